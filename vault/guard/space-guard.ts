import { setTimeout as sleep } from 'node:timers/promises';
import { AlterError } from '../../core/errors.ts';
import { appKeyType, type SpaceKeys, systemSpace } from '../keys/keyring.ts';
import { isTransient, recordTypes } from '../records/record-kinds.ts';
import {
  type Change,
  type ListQuery,
  type Put,
  type RecordKey,
  type RecordPage,
  RevisionConflict,
  type Store,
  type StoredRecord,
  StoreUnavailable,
} from '../store/store.ts';
import { fromStoreFailure } from '../store/store-failure.ts';
import { Watchers } from '../store/watchers.ts';
import {
  continues,
  type Epoch,
  epochKey,
  firstEpoch,
  floorRecords,
  isNewer,
  type Mark,
  markOf,
  nextEpoch,
  openEpoch,
  sealEpoch,
} from './epoch.ts';
import {
  type FloorPlace,
  findFloor,
  floorsKey,
  floorsType,
  gone,
  openFloors,
  placeOf,
  readFloors,
  sealFloors,
} from './floors.ts';
import type { StateMarks } from './state-marks.ts';

export interface SpaceGuardOptions {
  readonly store: Store;
  readonly keys: SpaceKeys;
  readonly marks: StateMarks;
  /** Told when the space begins to be refused, and with null when it is no longer. */
  readonly onVerdict: (refusal: AlterError | null) => void;
}

/** How often a commit is tried again that another process was faster with. */
const maxAttempts = 100;
const scanPage = 500;

interface Answer {
  readonly epoch: Epoch | null;
  readonly epochRevision: number;
  /** By index, of those that were asked for: the entries, and the revision of their record. */
  readonly floors: ReadonlyMap<number, { readonly bytes: Buffer; readonly revision: number }>;
  readonly records: readonly (StoredRecord | null)[];
}

/**
 * Holds what the store says about one space to its epoch, and the epoch to the newest one that was seen.
 *
 * The order of a question matters where the store answers its parts one after the other: first the epoch, then the floors,
 * then the records. What a commit changes in between is newer than what was read before it, and never older.
 */
export class SpaceGuard {
  readonly space: string;
  readonly watchers = new Watchers();
  /** Why the space is refused. Null while it is not. */
  refusal: AlterError | null = null;
  /** `performance.now()` of the last answer that could be judged. */
  lookedAt = Number.NEGATIVE_INFINITY;
  readonly #store: Store;
  readonly #keys: SpaceKeys;
  readonly #marks: StateMarks;
  readonly #onVerdict: SpaceGuardOptions['onVerdict'];
  /** As it was opened last, with its bytes: while these are the same it need not be opened again. */
  #last: { readonly stored: StoredRecord; readonly epoch: Epoch } | null = null;
  #commits: Promise<unknown> = Promise.resolve();

  constructor(of: SpaceGuardOptions) {
    this.space = of.keys.space;
    this.#store = of.store;
    this.#keys = of.keys;
    this.#marks = of.marks;
    this.#onVerdict = of.onVerdict;
  }

  /** The newest epoch that was seen: as long as it is the same, nothing was changed. */
  get position(): string {
    const { era, number, trail } = this.#last?.epoch ?? firstEpoch(0);
    return `${era}.${number}.${trail[0]}`;
  }

  get era(): number {
    return this.#last?.epoch.era ?? 0;
  }

  async look(): Promise<void> {
    await this.#ask([], []);
  }

  async get(keys: readonly RecordKey[]): Promise<(StoredRecord | null)[]> {
    const places = this.#placesOf(keys);
    const { records, floors } = await this.#ask(indexesOf(places), keys);
    for (const [at, record] of records.entries())
      if (record !== null && isOlder(record, places[at]!, floors)) throw olderRecord(record);
    return [...records];
  }

  async areGone(keys: readonly RecordKey[]): Promise<boolean[]> {
    const places = keys.map((key) => placeOf(this.#keys, key));
    const { floors } = await this.#ask(indexesOf(places), []);
    return places.map(({ index, word }) => findFloor(floors.get(index)!.bytes, word) === gone);
  }

  /** The records are asked for first here, since only then it is known which they are: what seems old is asked for again. */
  async list(query: ListQuery): Promise<RecordPage> {
    const page = await this.#store.list(query);
    const places = this.#placesOf(page.records);
    const { epoch, floors } = await this.#ask(indexesOf(places), []);
    if (epoch === null && page.records.length > 0) throw this.#refuse(withoutEpoch());
    const records = await Promise.all(
      page.records.map(async (record, at) => {
        if (!isOlder(record, places[at]!, floors)) return record;
        return (await this.get([record]))[0]!;
      }),
    );
    return { records: records.filter((record) => record !== null), total: page.total };
  }

  /** Null for what never gets a floor: to read one would cost as much as to read the record. */
  #placesOf(keys: readonly RecordKey[]): (FloorPlace | null)[] {
    return keys.map((key) => (isTransient(key) ? null : placeOf(this.#keys, key)));
  }

  /** One at a time: each moves the epoch on, and two of one process would only get in each other's way. */
  async commit(changes: readonly Change[]): Promise<void> {
    if (this.refusal === null && changes.every(isTransient)) return this.#store.commit(this.space, changes);
    return this.#inTurn(() => this.#commit(changes));
  }

  reanchor(now: number): Promise<number> {
    return this.#inTurn(() => this.#reanchor(now));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#commits.then(work);
    this.#commits = turn.catch(() => undefined);
    return turn;
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    // What is created has no floor: there is no older state of it.
    const changed = changes.filter((change) => change.expectedRevision > 0 && !isTransient(change));
    const places = changed.map((change) => placeOf(this.#keys, change));
    for (let attempt = 1; ; attempt++) {
      const { epoch, epochRevision, floors } = await this.#ask(indexesOf(places), []);
      if (epoch === null) await this.#requireEmpty(changed);
      const before = epoch ?? firstEpoch(0);
      const { puts, revisions } = this.#moveFloors(before, floors, changed, places);
      const next = nextEpoch(before, revisions);
      try {
        await this.#store.commit(this.space, [...changes, ...puts, sealEpoch(this.#keys, next, epochRevision)]);
        this.#marks.raise(this.#keys, markOf(next));
        return;
      } catch (error) {
        const isOurs = error instanceof RevisionConflict && isLedger(error.key);
        if (!isOurs) throw error;
        if (attempt >= maxAttempts) throw new StoreUnavailable('other processes change the same space all the time');
        if (attempt > 2) await sleep(Math.random() * Math.min(attempt, 20));
      }
    }
  }

  #moveFloors(
    epoch: Epoch,
    stored: Answer['floors'],
    changed: readonly Change[],
    places: readonly FloorPlace[],
  ): { readonly puts: Put[]; readonly revisions: readonly number[] } {
    const moved = new Map<number, Map<string, number>>();
    for (const [at, change] of changed.entries()) {
      const { index, word } = places[at]!;
      const floors = moved.get(index) ?? readFloors(stored.get(index)!.bytes);
      floors.set(word, change.kind === 'delete' ? gone : change.expectedRevision + 1);
      moved.set(index, floors);
    }
    const revisions = [...epoch.floorRevisions];
    const puts = [...moved].map(([index, floors]) => {
      const { revision } = stored.get(index)!;
      revisions[index] = revision + 1;
      return sealFloors(this.#keys, floorsKey(epoch.era, index), floors, revision);
    });
    return { puts, revisions };
  }

  /** Asks for the epoch, the floors of these indexes, and these records, in one round trip, and judges the first two. */
  async #ask(indexes: readonly number[], keys: readonly RecordKey[]): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      // As it is now: another answer may raise it while this one is on its way.
      const mark = this.#marks.find(this.#keys);
      const { era } = this;
      const floorKeys = indexes.map((index) => floorsKey(era, index));
      const [first, ...rest] = await this.#store.get(this.space, [epochKey, ...floorKeys, ...keys]);
      const epoch = first === null || first === undefined ? null : this.#open(first);
      const records = rest.slice(floorKeys.length);
      // Once records were found without an epoch, to ask for none of them proves nothing.
      const isRefused = this.refusal !== null;
      if (epoch === null && (mark !== null || isRefused || records.some((record) => record !== null)))
        throw this.#refuse(withoutEpoch());
      if (epoch !== null && mark !== null && !continues(epoch, mark)) throw this.#refuse(olderSpace(epoch, mark));
      if (epoch !== null && epoch.era !== era && indexes.length > 0) {
        if (attempt < maxAttempts) continue; // its floors have other ids
        throw new StoreUnavailable('its state is accepted anew all the time');
      }
      const floors = new Map<number, { bytes: Buffer; revision: number }>();
      for (const [at, index] of indexes.entries()) {
        const stored = rest[at] ?? null;
        const listed = epoch?.floorRevisions[index] ?? 0;
        if (listed > (stored?.revision ?? 0)) throw this.#refuse(olderFloors());
        const bytes =
          stored === null ? Buffer.alloc(0) : this.#legible(() => openFloors(this.#keys, floorKeys[at]!, stored));
        floors.set(index, { bytes, revision: stored?.revision ?? 0 });
      }
      this.#accept(epoch);
      return { epoch, epochRevision: first?.revision ?? 0, floors, records };
    }
  }

  #open(stored: StoredRecord): Epoch {
    const last = this.#last;
    if (
      last !== null &&
      last.stored.revision === stored.revision &&
      Buffer.compare(last.stored.body, stored.body) === 0
    )
      return last.epoch;
    const epoch = this.#legible(() => openEpoch(this.#keys, stored));
    const before = this.#last?.epoch.era;
    this.#last = { stored, epoch };
    // Somebody accepted another state: what is in memory may be newer than it, and still is not what holds.
    if (before !== undefined && before !== epoch.era) this.watchers.tellReset();
    return epoch;
  }

  /** What tells an old state from a new one was changed: then nothing does. */
  #legible<T>(open: () => T): T {
    try {
      return open();
    } catch (cause) {
      if (!(cause instanceof AlterError)) throw cause;
      const detail = 'What says how new the state of the store is was changed outside this service.';
      throw this.#refuse(new AlterError('state_rollback', { detail, cause }));
    }
  }

  #accept(epoch: Epoch | null): void {
    this.lookedAt = performance.now();
    if (epoch !== null) this.#marks.raise(this.#keys, markOf(epoch));
    if (this.refusal === null) return;
    this.refusal = null;
    this.#onVerdict(null);
    this.watchers.tellReset();
  }

  #refuse(refusal: AlterError): AlterError {
    this.lookedAt = performance.now();
    const isNew = this.refusal === null;
    this.refusal = refusal;
    if (isNew) {
      this.#onVerdict(refusal);
      this.watchers.tellReset(); // what is in memory belongs to a state that the store no longer has
    }
    return refusal;
  }

  /** A space without an epoch is one that nothing was ever written to. Otherwise its epoch was taken away. */
  async #requireEmpty(changed: readonly Change[]): Promise<void> {
    if (changed.length > 0) throw this.#refuse(withoutEpoch());
    for (const type of recordTypes) {
      if (isTransient({ type })) continue;
      if (type === appKeyType && this.space === systemSpace) continue; // that of the system itself comes before all else
      if ((await this.#store.list({ space: this.space, type, limit: 1 })).total > 0) throw this.#refuse(withoutEpoch());
    }
  }

  async #reanchor(now: number): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      const [stored = null] = await this.#store.get(this.space, [epochKey]);
      const epoch = stored === null ? null : this.#openIfLegible(stored);
      const mark = this.#marks.find(this.#keys);
      // Above everything that anybody can have seen, also where this process has no memory of it.
      const era = Math.max(now, (epoch?.era ?? 0) + 1, (mark?.era ?? 0) + 1);
      const old = await this.#oldFloors(epoch);
      const floors = await this.#currentFloors(old);
      const puts = [...floors].map(([index, entries]) => sealFloors(this.#keys, floorsKey(era, index), entries, 0));
      const revisions = Array.from({ length: floorRecords }, (_, index) => (floors.has(index) ? 1 : 0));
      const next = nextEpoch({ ...(epoch ?? firstEpoch(0)), era }, revisions);
      const deletes = old.stored.map(
        ({ type, id, revision }) => ({ kind: 'delete', type, id, expectedRevision: revision }) as const,
      );
      try {
        await this.#store.commit(this.space, [...deletes, ...puts, sealEpoch(this.#keys, next, stored?.revision ?? 0)]);
        this.#marks.raise(this.#keys, markOf(next));
        await this.look();
        return era;
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt >= 5) throw fromStoreFailure(error);
      }
    }
  }

  #openIfLegible(stored: StoredRecord): Epoch | null {
    try {
      return openEpoch(this.#keys, stored);
    } catch (error) {
      if (error instanceof AlterError) return null;
      throw error;
    }
  }

  /** What is left of the floors. Those that can't be opened are as good as not there: the operator accepts the state. */
  async #oldFloors(
    epoch: Epoch | null,
  ): Promise<{ stored: StoredRecord[]; entries: Map<number, Map<string, number>> }> {
    const entries = new Map<number, Map<string, number>>();
    const keys = Array.from({ length: floorRecords }, (_, index) => floorsKey(epoch?.era ?? this.era, index));
    const answers = await this.#store.get(this.space, keys);
    for (const [index, answer] of answers.entries()) {
      if (answer === null) continue;
      try {
        entries.set(index, readFloors(openFloors(this.#keys, keys[index]!, answer)));
      } catch (error) {
        if (!(error instanceof AlterError)) throw error;
      }
    }
    return { stored: answers.filter((answer) => answer !== null), entries };
  }

  /** Of every record that has an older state, the revision that it has now; of those that are gone, that they are. */
  async #currentFloors(old: { readonly entries: Map<number, Map<string, number>> }) {
    const { entries } = old;
    // What only a lost state knew of must not be refused for ever, and what was deleted stays so.
    for (const floors of entries.values()) for (const [word, floor] of floors) if (floor !== gone) floors.delete(word);
    for (const type of recordTypes) {
      let after: string | undefined;
      for (;;) {
        const query = { space: this.space, type, limit: scanPage };
        const { records } = await this.#store.list(after === undefined ? query : { ...query, after });
        for (const record of records) {
          const { index, word } = placeOf(this.#keys, record);
          const floors = entries.get(index) ?? new Map<string, number>();
          if (record.revision > 1 && !isTransient(record)) floors.set(word, record.revision);
          else floors.delete(word);
          if (floors.size > 0) entries.set(index, floors);
        }
        if (records.length < scanPage) break;
        after = records.at(-1)!.id;
      }
    }
    for (const [index, floors] of entries) if (floors.size === 0) entries.delete(index);
    return entries;
  }
}

function indexesOf(places: readonly (FloorPlace | null)[]): number[] {
  return [...new Set(places.filter((place) => place !== null).map(({ index }) => index))];
}

function isOlder(record: StoredRecord, place: FloorPlace | null, floors: Answer['floors']): boolean {
  return place !== null && record.revision < findFloor(floors.get(place.index)!.bytes, place.word);
}

function isLedger({ type }: RecordKey): boolean {
  return type === epochKey.type || type === floorsType;
}

function olderSpace(epoch: Epoch, mark: Mark): AlterError {
  const isParted = !isNewer(mark, markOf(epoch));
  return new AlterError('state_rollback', {
    detail: isParted
      ? 'The store has a state that does not follow from the one that was seen here before.'
      : `The store has an older state (epoch ${epoch.era}.${epoch.number}) than was seen here before (${mark.era}.${mark.number}).`,
  });
}

function withoutEpoch(): AlterError {
  return new AlterError('state_rollback', {
    detail: 'The store has lost what says how new its state is: it was emptied, or records were taken out of it.',
  });
}

function olderFloors(): AlterError {
  return new AlterError('state_rollback', {
    detail: 'The store has an older state of the floors of its records than its epoch names.',
  });
}

function olderRecord({ type, id }: RecordKey): AlterError {
  return new AlterError('state_invalid', {
    detail: `The store gives an older state of the ${type} ${id} than it had before.`,
  });
}
