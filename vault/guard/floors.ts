import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Put, RecordKey, StoredRecord } from '../store/store.ts';
import { floorRecords } from './epoch.ts';

/**
 * The lowest revision that each record may have, for all records of a space that were ever changed or deleted: what was
 * written once has no older state that could be put back. They are kept in sealed records of their own, whose revisions
 * stand in the epoch, so that these can't be put back alone either.
 *
 * An entry is ten bytes of the word that stands for the record, and the revision in six bytes. The entries are sorted.
 */
export type Floors = ReadonlyMap<string, number>;

export const floorsType = 'floors';
/** Of a record that was deleted. Ids are never given twice. */
export const gone = 2 ** 48 - 1;

const wordBytes = 10;
const entryBytes = wordBytes + 6;

/** Where the floor of a record stands: in which of the records of floors, and under which word there. */
export interface FloorPlace {
  readonly index: number;
  readonly word: string;
}

export function placeOf(keys: SpaceKeys, { type, id }: RecordKey): FloorPlace {
  const word = Buffer.from(keys.word(floorsType, JSON.stringify([type, id])), 'base64url');
  return { index: word.readUInt16BE(0) % floorRecords, word: word.toString('hex', 2, 2 + wordBytes) };
}

/** The era is part of the id: floors of before an operator accepted another state say nothing about it. */
export function floorsKey(era: number, index: number): RecordKey {
  return { type: floorsType, id: `${era}.${index}` };
}

export function sealFloors(keys: SpaceKeys, key: RecordKey, floors: Floors, expectedRevision: number): Put {
  const bytes = Buffer.alloc(floors.size * entryBytes);
  let at = 0;
  for (const [word, floor] of [...floors].sort(([one], [other]) => (one < other ? -1 : 1))) {
    bytes.write(word, at, 'hex');
    bytes.writeUIntBE(floor, at + wordBytes, 6);
    at += entryBytes;
  }
  const body = keys.seal({ ...key, revision: expectedRevision + 1 }, bytes);
  return { kind: 'put', ...key, expectedRevision, body, tags: [], names: [] };
}

/** The entries as they are stored, to look up a few of many. Throws `state_invalid`. */
export function openFloors(keys: SpaceKeys, key: RecordKey, stored: StoredRecord): Buffer {
  const bytes = keys.open({ ...key, revision: stored.revision }, stored.body);
  if (bytes.length % entryBytes !== 0) throw new AlterError('state_invalid');
  return bytes;
}

/** 0 where the record was never changed. */
export function findFloor(bytes: Buffer, word: string): number {
  const wanted = Buffer.from(word, 'hex');
  let low = 0;
  let high = bytes.length / entryBytes;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * entryBytes;
    const order = bytes.compare(wanted, 0, wordBytes, at, at + wordBytes);
    if (order === 0) return bytes.readUIntBE(at + wordBytes, 6);
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return 0;
}

export function readFloors(bytes: Buffer): Map<string, number> {
  const floors = new Map<string, number>();
  for (let at = 0; at < bytes.length; at += entryBytes)
    floors.set(bytes.toString('hex', at, at + wordBytes), bytes.readUIntBE(at + wordBytes, 6));
  return floors;
}
