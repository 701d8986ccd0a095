import { randomBytes } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Put, RecordKey, StoredRecord } from '../store/store.ts';

/**
 * The state of a space as one sealed record, which every commit of the space moves on in the same atomic step. It can't be
 * forged without the key of the space; that an old one is put back is found by the marks of those who saw a newer one.
 */
export interface Epoch {
  /** Raised by an operator who accepts a state (`alter state reanchor`), and by nothing else. */
  readonly era: number;
  /** One more with every commit. */
  readonly number: number;
  /** Random words, in hex: of this epoch first, then of those before it. They tell two histories apart that parted. */
  readonly trail: readonly string[];
  /** The revision that each record of floors has now; 0 where there is none. */
  readonly floorRevisions: readonly number[];
}

/** What a process remembers of the newest epoch that it saw. */
export interface Mark {
  readonly era: number;
  readonly number: number;
  /** The first word of the trail; null where it is not known, which no number of the era can satisfy. */
  readonly word: string | null;
}

/**
 * How many records of floors a space has. With 512, the epoch is about 1 KB, and the floors of a million changed records
 * are 32 KB each.
 */
export const floorRecords = 512;

/** A process that saw one of the last so many commits knows whether they belong to the history that it knew. */
const trailLength = 32;
const wordBytes = 8;

export const epochKey: RecordKey = { type: 'epoch', id: 'current' };

export function firstEpoch(era: number): Epoch {
  return { era, number: 0, trail: [], floorRevisions: new Array<number>(floorRecords).fill(0) };
}

/** The one after `epoch`. `floorRevisions` of its own where floors change with it. */
export function nextEpoch(epoch: Epoch, floorRevisions: readonly number[] = epoch.floorRevisions): Epoch {
  const trail = [randomBytes(wordBytes).toString('hex'), ...epoch.trail].slice(0, trailLength);
  return { era: epoch.era, number: epoch.number + 1, trail, floorRevisions };
}

export function markOf({ era, number, trail }: Epoch): Mark {
  return { era, number, word: trail[0] ?? null };
}

export function isNewer(mark: Mark, than: Mark | null): boolean {
  return than === null || mark.era > than.era || (mark.era === than.era && mark.number > than.number);
}

/** Is `epoch` the one that was marked, or one that came after it? */
export function continues(epoch: Epoch, mark: Mark): boolean {
  if (epoch.era !== mark.era) return epoch.era > mark.era;
  if (mark.word === null || epoch.number < mark.number) return false;
  const word = epoch.trail[epoch.number - mark.number];
  return word === undefined || word === mark.word; // undefined: so far back that it is no longer known
}

export function sealEpoch(keys: SpaceKeys, epoch: Epoch, expectedRevision: number): Put {
  const body = keys.seal({ ...epochKey, revision: expectedRevision + 1 }, encode(epoch));
  return { kind: 'put', ...epochKey, expectedRevision, body, tags: [], names: [] };
}

/** Throws `state_invalid`. */
export function openEpoch(keys: SpaceKeys, stored: StoredRecord): Epoch {
  const bytes = keys.open({ ...epochKey, revision: stored.revision }, stored.body);
  const epoch = decode(bytes);
  if (epoch === null) throw new AlterError('state_invalid', { detail: 'The epoch has not the form of this version.' });
  return epoch;
}

/** Era and number in 8 bytes each, the length of the trail and its words, then the revisions as LEB128. */
function encode({ era, number, trail, floorRevisions }: Epoch): Buffer {
  const head = Buffer.alloc(17);
  head.writeBigUInt64BE(BigInt(era), 0);
  head.writeBigUInt64BE(BigInt(number), 8);
  head[16] = trail.length;
  const revisions: number[] = [];
  for (const revision of floorRevisions) {
    let rest = revision;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) revisions.push((rest % 0x80) | 0x80);
    revisions.push(rest);
  }
  return Buffer.concat([head, ...trail.map((word) => Buffer.from(word, 'hex')), Buffer.from(revisions)]);
}

function decode(bytes: Buffer): Epoch | null {
  if (bytes.length < 17) return null;
  const era = Number(bytes.readBigUInt64BE(0));
  const number = Number(bytes.readBigUInt64BE(8));
  const trail = Array.from({ length: bytes[16]! }, (_, word) =>
    bytes.toString('hex', 17 + word * wordBytes, 17 + (word + 1) * wordBytes),
  );
  let at = 17 + trail.length * wordBytes;
  const floorRevisions: number[] = [];
  for (let revision = 0, scale = 1; at < bytes.length; at++) {
    revision += (bytes[at]! & 0x7f) * scale;
    if (bytes[at]! >= 0x80) scale *= 0x80;
    else {
      floorRevisions.push(revision);
      revision = 0;
      scale = 1;
    }
  }
  return floorRevisions.length === floorRecords ? { era, number, trail, floorRevisions } : null;
}
