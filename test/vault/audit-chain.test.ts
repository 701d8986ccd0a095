import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { type ChainHead, nextLink, startChain, verifyChain } from '../../vault/audit/audit-chain.ts';
import type { AuditEntry } from '../../vault/store/store.ts';

const space = 'app-1';

/** 60 entries of three writers, mixed as three processes would mix them. */
function writeChains(): { entries: AuditEntry[]; heads: Map<string, ChainHead> } {
  const heads = new Map<string, ChainHead>();
  const entries: AuditEntry[] = [];
  for (let i = 0; i < 60; i++) {
    const writer = `writer-${(i * 7) % 3}`;
    const body = randomBytes(20 + (i % 9));
    const head = nextLink(heads.get(writer) ?? startChain({ space, writer }), body);
    heads.set(writer, head);
    entries.push({ writer, sequence: head.sequence, hash: head.hash, body });
  }
  return { entries, heads };
}

/** A small generator with a seed, so that a failure can be repeated. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('the audit chain', () => {
  const { entries, heads } = writeChains();

  it('is intact as it was written, and leads to the heads of every writer', () => {
    const verdict = verifyChain(entries, { space, knownHeads: heads });
    expect(verdict.kind).toBe('intact');
    if (verdict.kind === 'intact') expect(verdict.heads).toEqual(heads);
  });

  it('can be verified page by page', () => {
    const first = verifyChain(entries.slice(0, 25), { space });
    if (first.kind !== 'intact') throw new Error('the first page is broken');
    expect(verifyChain(entries.slice(25), { space, from: first.heads, knownHeads: heads }).kind).toBe('intact');
    expect(verifyChain(entries.slice(25), { space }).kind).toBe('broken');
    expect(verifyChain(entries.slice(26), { space, from: first.heads }).kind).toBe('broken');
  });

  it('belongs to its space and its writer', () => {
    expect(verifyChain(entries, { space: 'app-2' })).toMatchObject({ kind: 'broken', index: 0, problem: 'hash' });
    const renamed = entries.map((entry) => ({ ...entry, writer: `${entry.writer}x` }));
    expect(verifyChain(renamed, { space })).toMatchObject({ kind: 'broken', index: 0, problem: 'hash' });
  });

  it('names the first break', () => {
    const edited = entries.map((entry, index) => (index === 30 ? { ...entry, body: randomBytes(8) } : entry));
    const { writer, sequence } = entries[30]!;
    expect(verifyChain(edited, { space })).toEqual({ kind: 'broken', index: 30, writer, sequence, problem: 'hash' });
    expect(verifyChain(entries.slice(0, -1), { space, knownHeads: heads })).toMatchObject({
      kind: 'broken',
      index: null,
      problem: 'truncated',
      writer: entries[59]!.writer,
    });
  });

  it('breaks under each of 1,000 random edits, deletions, insertions, swaps and truncations', () => {
    const seed = 20_261_121;
    const random = randomFrom(seed);
    const mutations: ((copy: AuditEntry[]) => void)[] = [
      (copy) => {
        const at = random(copy.length);
        const body = Buffer.from(copy[at]!.body);
        body[random(body.length)]! ^= 1 << random(8);
        copy[at] = { ...copy[at]!, body };
      },
      (copy) => {
        const at = random(copy.length);
        const hash = Buffer.from(copy[at]!.hash);
        hash[random(hash.length)]! ^= 1 << random(8);
        copy[at] = { ...copy[at]!, hash };
      },
      (copy) => {
        const at = random(copy.length);
        copy[at] = { ...copy[at]!, sequence: copy[at]!.sequence + 1 + random(3) };
      },
      (copy) => {
        const at = random(copy.length);
        copy[at] = { ...copy[at]!, writer: `writer-${(Number(copy[at]!.writer.slice(-1)) + 1 + random(2)) % 3}` };
      },
      (copy) => copy.splice(random(copy.length), 1 + random(3)),
      (copy) => copy.splice(random(copy.length), 0, copy[random(copy.length)]!), // a copy of a real entry
      (copy) => {
        // a link made by somebody who knows how links are made
        const at = random(copy.length);
        const body = randomBytes(16);
        const before = copy[at]!;
        const link = nextLink({ sequence: before.sequence - 1, hash: before.hash }, body);
        copy.splice(at, 0, { writer: before.writer, body, sequence: link.sequence, hash: link.hash });
      },
      (copy) => {
        // two entries of one writer change places
        const a = random(copy.length - 3);
        [copy[a], copy[a + 3]] = [copy[a + 3]!, copy[a]!];
      },
      (copy) => copy.splice(copy.length - 1 - random(copy.length - 1)),
    ];
    for (let i = 0; i < 1_000; i++) {
      const copy = [...entries];
      mutations[i % mutations.length]!(copy);
      const verdict = verifyChain(copy, { space, knownHeads: heads });
      if (verdict.kind !== 'broken') throw new Error(`mutation ${i} of seed ${seed} was not seen`);
    }
  });
});
