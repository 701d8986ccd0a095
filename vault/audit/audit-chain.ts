import { createHash, hash } from 'node:crypto';
import { encodeParts } from '../keys/seal.ts';
import type { AuditEntry } from '../store/store.ts';

/** The newest link of a chain. `sequence` 0 is the chain without a link. */
export interface ChainHead {
  readonly sequence: number;
  readonly hash: Uint8Array;
}

/** Where the chain of a writer starts. No two writers and no two spaces start alike. */
export function startChain(of: { readonly space: string; readonly writer: string }): ChainHead {
  const hash = createHash('sha256')
    .update(encodeParts(['alter-egress', '1', 'audit-chain', of.space, of.writer]))
    .digest();
  return { sequence: 0, hash };
}

/** SHA-256(hash before || sequence, 64 bits big endian || SHA-256(body)). */
export function nextLink(head: ChainHead, body: Uint8Array): ChainHead {
  const sequence = head.sequence + 1;
  const link = Buffer.allocUnsafe(72);
  link.set(head.hash, 0);
  link.writeBigUInt64BE(BigInt(sequence), 32);
  link.set(hash('sha256', body, 'buffer'), 40);
  return { sequence, hash: hash('sha256', link, 'buffer') };
}

export interface ChainBreak {
  /** Position in the entries; null where entries are missing that a known head promises. */
  readonly index: number | null;
  readonly writer: string;
  readonly sequence: number;
  readonly problem: 'sequence' | 'hash' | 'truncated';
}

export type ChainVerdict =
  | { readonly kind: 'intact'; readonly heads: ReadonlyMap<string, ChainHead> }
  | ({ readonly kind: 'broken' } & ChainBreak);

/**
 * Walks the entries of one space in the order in which they were appended, every writer along its own chain, and names
 * the first break. Without `from`, every chain must start at its first link. `knownHeads` are links that are known from
 * elsewhere to exist: without them, entries that were cut off at the end can't be missed.
 */
export function verifyChain(
  entries: Iterable<AuditEntry>,
  of: {
    readonly space: string;
    readonly from?: ReadonlyMap<string, ChainHead>;
    readonly knownHeads?: ReadonlyMap<string, ChainHead>;
  },
): ChainVerdict {
  const heads = new Map(of.from);
  const awaited = new Map(of.knownHeads);
  let index = 0;
  for (const { writer, sequence, hash: given, body } of entries) {
    const head = heads.get(writer) ?? startChain({ space: of.space, writer });
    const link = nextLink(head, body);
    const broken = (problem: 'sequence' | 'hash') => ({ kind: 'broken', index, writer, sequence, problem }) as const;
    if (sequence !== link.sequence) return broken('sequence');
    if (!sameBytes(given, link.hash)) return broken('hash');
    const known = awaited.get(writer);
    if (known !== undefined && known.sequence === sequence) {
      if (!sameBytes(known.hash, given)) return broken('hash');
      awaited.delete(writer);
    }
    heads.set(writer, link);
    index++;
  }
  for (const [writer, { sequence, hash: known }] of awaited) {
    const head = of.from?.get(writer);
    const before = head !== undefined && head.sequence === sequence && sameBytes(head.hash, known);
    if (!before && sequence > 0) return { kind: 'broken', index: null, writer, sequence, problem: 'truncated' };
  }
  return { kind: 'intact', heads };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
