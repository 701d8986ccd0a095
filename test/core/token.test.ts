import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestsEqual, findToken, issueToken, tokenKinds, tokenPrefix } from '../../core/token.ts';

const kinds = Object.values(tokenKinds);
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

describe('a token', () => {
  it.each(Object.entries(tokenKinds))('starts with alter_%s_ when it is a %s one, and is read back', (short, kind) => {
    const issued = issueToken(kind, Date.now());
    expect(issued.plaintext).toMatch(new RegExp(`^alter_${short}_[0-9A-Za-z]{65}$`));
    expect(issued.plaintext).toContain(`_${issued.id}`);
    expect(issued.id).toMatch(/^[0-9A-Za-z]{16}$/);
    expect(tokenPrefix(kind, issued.id)).toBe(issued.plaintext.slice(0, `alter_${short}_`.length + 16));
    expect(findToken(issued.plaintext)).toEqual({ kind, id: issued.id, digest: issued.digest });
    expect(issued.digest).toEqual(createHash('sha256').update(issued.plaintext).digest());
  });

  it('is not read after a change of any single character', () => {
    const { plaintext } = issueToken('runtime', Date.now());
    for (let at = 0; at < plaintext.length; at++)
      for (const character of `${alphabet}_- \n`)
        if (character !== plaintext[at])
          expect(findToken(plaintext.slice(0, at) + character + plaintext.slice(at + 1))).toBeNull();
  });

  it('is not read after two neighbours changed places', () => {
    const { plaintext } = issueToken('agent', Date.now());
    for (let at = 0; at + 1 < plaintext.length; at++) {
      if (plaintext[at] === plaintext[at + 1]) continue;
      const swapped = plaintext.slice(0, at) + plaintext[at + 1] + plaintext[at] + plaintext.slice(at + 2);
      expect(findToken(swapped)).toBeNull();
    }
  });

  it('is not read when it is cut, lengthened, padded, folded or of another kind', () => {
    const { plaintext } = issueToken('pat', Date.now());
    for (let length = 0; length < plaintext.length; length++) expect(findToken(plaintext.slice(0, length))).toBeNull();
    for (const text of [
      ...[`${plaintext}0`, ` ${plaintext}`, `${plaintext} `, `${plaintext}\n`, `\n${plaintext}`, `${plaintext}\0`],
      ...[plaintext.toLowerCase(), plaintext.toUpperCase(), plaintext + plaintext, `Bearer ${plaintext}`],
      ...[
        plaintext.replace('_pat_', '_rk_'),
        plaintext.replace('_pat_', '_xx_'),
        plaintext.replace('alter_', 'alter-'),
      ],
    ])
      expect(findToken(text)).toBeNull();
  });

  it('has an id, a secret and a digest that no other token has', () => {
    const issued = Array.from({ length: 2_000 }, (_, index) => issueToken(kinds[index % kinds.length]!, Date.now()));
    expect(new Set(issued.map((token) => token.id)).size).toBe(issued.length);
    expect(new Set(issued.map((token) => token.digest.toString('hex'))).size).toBe(issued.length);
    expect(new Set(issued.map((token) => token.plaintext.slice(-49, -6))).size).toBe(issued.length);
  });

  it('uses every character of the alphabet in its secret', () => {
    const seen = new Set(
      Array.from({ length: 200 }, () => issueToken('runtime', Date.now()).plaintext.slice(-49, -6)).join(''),
    );
    expect(seen.size).toBe(alphabet.length);
  });

  it('is never found in other text, and looking never throws', () => {
    const nearly = fc.stringMatching(/^alter_(?:rk|ak|dk|pat)_[0-9A-Za-z]{65}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 100 }), nearly), (text) => {
        expect(findToken(text)).toBeNull();
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('the comparison of digests', () => {
  it('holds for equal bytes only, and for no two lengths', () => {
    const digest = issueToken('runtime', Date.now()).digest;
    expect(digestsEqual(digest, Buffer.from(digest))).toBe(true);
    for (let at = 0; at < digest.length; at++) {
      const other = Buffer.from(digest);
      other[at]! ^= 1;
      expect(digestsEqual(digest, other)).toBe(false);
    }
    expect(digestsEqual(digest, digest.subarray(0, 31))).toBe(false);
    expect(digestsEqual(digest, Buffer.alloc(0))).toBe(false);
  });
});
