import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { encodeContext, openSealed, type SealContext, seal, sealOverheadBytes } from '../../vault/keys/seal.ts';

const key = createSecretKey(randomBytes(32));
const context: SealContext = { type: 'secret', space: 'app-1', id: 'id-1', revision: 7 };
const stateInvalid = expect.objectContaining({ code: 'state_invalid' });

describe('sealed bytes', () => {
  it('open to what was sealed, also when that is nothing', () => {
    for (const length of [0, 1, 15, 16, 17, 4_096]) {
      const plaintext = randomBytes(length);
      const sealed = seal(key, context, plaintext);
      expect(sealed.length).toBe(length + sealOverheadBytes);
      expect(openSealed(key, context, sealed)).toEqual(plaintext);
    }
  });

  it('never look alike, since every IV is fresh', () => {
    const seen = new Set(Array.from({ length: 1_000 }, () => seal(key, context, Buffer.from('same')).toString('hex')));
    expect(seen.size).toBe(1_000);
  });

  it('do not open after any single bit was flipped', () => {
    const sealed = seal(key, context, Buffer.from('{"a":1}'));
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => openSealed(key, context, flipped)).toThrow(stateInvalid);
    }
  });

  it('do not open when they are cut or extended, and a tag of 4, 8 or 12 bytes is no tag', () => {
    const plaintext = Buffer.from('0123456789abcdef');
    const sealed = seal(key, context, plaintext);
    for (let length = 0; length < sealed.length; length++) {
      expect(() => openSealed(key, context, sealed.subarray(0, length))).toThrow(stateInvalid);
    }
    expect(() => openSealed(key, context, Buffer.concat([sealed, Buffer.of(0)]))).toThrow(stateInvalid);
    for (const authTagLength of [4, 8, 12]) {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength });
      cipher.setAAD(encodeContext(context));
      const short = [Buffer.of(1), iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()];
      expect(() => openSealed(key, context, Buffer.concat(short))).toThrow(stateInvalid);
    }
  });

  it('open only as the type, app, id and revision that they were sealed as, and under that key', () => {
    const sealed = seal(key, context, Buffer.from('x'));
    const others: SealContext[] = [
      { ...context, type: 'grant' },
      { ...context, space: 'app-2' },
      { ...context, id: 'id-2' },
      { ...context, revision: 6 },
    ];
    for (const other of others) expect(() => openSealed(key, other, sealed)).toThrow(stateInvalid);
    expect(() => openSealed(createSecretKey(randomBytes(32)), context, sealed)).toThrow(stateInvalid);
  });

  it('are bound to a context that no other context spells', () => {
    const part = fc.string({ maxLength: 4 });
    const contexts = fc.record({ type: part, space: part, id: part, revision: fc.nat(20) });
    fc.assert(
      fc.property(contexts, contexts, (a, b) => {
        const same = a.type === b.type && a.space === b.space && a.id === b.id && a.revision === b.revision;
        expect(encodeContext(a).equals(encodeContext(b))).toBe(same);
      }),
      { numRuns: 2_000 },
    );
    expect(encodeContext({ ...context, type: 'ab', space: 'c' })).not.toEqual(
      encodeContext({ ...context, type: 'a', space: 'bc' }),
    );
  });
});
