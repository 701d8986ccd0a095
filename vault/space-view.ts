import { AlterError } from '../core/errors.ts';
import type { SpaceKeys } from './keys/keyring.ts';
import { Lru, type SharedCapacity } from './lru.ts';
import { openRecord, type RecordKind } from './records/sealed-records.ts';
import type { RecordKey, Store, Watch } from './store/store.ts';
import { asked } from './store/store-failure.ts';

/** Memory that all spaces share, each part bounded. */
export interface ReadMemory {
  readonly records: SharedCapacity;
  /** For ids that there is nothing for. Kept apart, so that a client that asks for made-up ids pushes out no record. */
  readonly absences: SharedCapacity;
  /** The highest revision seen of a record; `Infinity` once it was seen to be gone, since ids are never given twice. */
  readonly floors: Lru<number>;
}

/** What is remembered of one type of records, by id: a key made of space, type and id would be made for every look-up. */
interface Shelf {
  readonly records: Lru<Remembered>;
  readonly absences: Lru<Remembered>;
  /** How often a record of the type changed. */
  changes: number;
}

/** `epoch` is the one of the space when the load began: after a reset nothing of before counts. */
interface Remembered {
  readonly epoch: number;
  readonly value: object | null;
}

/** How a record is read: its kind, and what is kept of it in memory. */
export interface Reading<T extends object, V extends object> {
  readonly kind: RecordKind<T>;
  /** Throws `state_invalid`. */
  readonly keep: (value: T) => V;
}

export interface SpaceViewOptions {
  readonly store: Store;
  readonly keys: SpaceKeys;
  readonly memory: ReadMemory;
  /** Another one each time when an operator accepted a state that may be older: what was seen before says nothing then. */
  readonly era: () => number;
  readonly onChange: (key: RecordKey) => void;
  /** Anything may have changed. */
  readonly onReset: () => void;
}

/**
 * The records of one space as the data plane sees them: loaded on demand, kept until the change feed says otherwise, and
 * never older than what was seen before.
 */
export class SpaceView {
  readonly keys: SpaceKeys;
  /** `performance.now()` of the last contact: what was acknowledged before it is known here. */
  contactAt: number;
  readonly #of: SpaceViewOptions;
  /** By type. */
  readonly #shelves = new Map<string, Shelf>();
  readonly #flights = new Map<string, Promise<object | null>>();
  #epoch = 0;
  #watch: Watch | null = null;

  /** Follows the space first, so that no change can slip in between a load and the feed. Rejects with `state_unavailable`. */
  static async open(of: SpaceViewOptions): Promise<SpaceView> {
    const view = new SpaceView(of);
    view.#watch = await asked(
      of.store.watch(of.keys.space, {
        onChange: (key) => view.#forget(key),
        onReset: () => view.#forgetAll(),
        onContact: (at) => {
          view.contactAt = Math.max(view.contactAt, at);
        },
      }),
    );
    return view;
  }

  private constructor(of: SpaceViewOptions) {
    this.#of = of;
    this.keys = of.keys;
    this.contactAt = performance.now();
  }

  close(): void {
    this.#watch?.stop();
  }

  /** How often records of this type changed: an answer that was made from them holds as long as this number stands still. */
  changesOf(type: string): number {
    return this.#shelfOf(type).changes + this.#epoch;
  }

  /** Sync when in memory. Rejects with `state_invalid`, `state_unavailable`. */
  find<T extends object, V extends object>(reading: Reading<T, V>, id: string): V | null | Promise<V | null> {
    const shelf = this.#shelfOf(reading.kind.type);
    const known = shelf.records.get(id) ?? shelf.absences.get(id);
    if (known !== undefined && known.epoch === this.#epoch) return known.value as V | null;
    const key = memoryKey(this.keys.space, reading.kind.type, id);
    const flight = this.#flights.get(key) as Promise<V | null> | undefined;
    return flight ?? this.#startFlight(reading, id, key);
  }

  /** Asks the store, whatever is in memory: the change feed may be late. Rejects as `find` does. */
  findAnew<T extends object, V extends object>(reading: Reading<T, V>, id: string): Promise<V | null> {
    const { records, absences } = this.#shelfOf(reading.kind.type);
    records.delete(id);
    absences.delete(id);
    return this.#startFlight(reading, id, memoryKey(this.keys.space, reading.kind.type, id));
  }

  /** One load for all who ask meanwhile, except those who ask after a change has arrived: they need a load of their own. */
  #startFlight<T extends object, V extends object>(reading: Reading<T, V>, id: string, key: string): Promise<V | null> {
    const epoch = this.#epoch;
    const flight: Promise<V | null> = this.#load(reading, id, key).then(
      (value) => {
        if (this.#flights.get(key) !== flight) return value; // a change came in between: good for those who asked, no longer
        this.#flights.delete(key);
        const { records, absences } = this.#shelfOf(reading.kind.type);
        (value === null ? absences : records).set(id, { epoch, value });
        return value;
      },
      (error: unknown) => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        throw error;
      },
    );
    this.#flights.set(key, flight);
    return flight;
  }

  async #load<T extends object, V extends object>(reading: Reading<T, V>, id: string, key: string): Promise<V | null> {
    const { store, memory } = this.#of;
    const { kind, keep } = reading;
    for (;;) {
      const eraBefore = this.#of.era();
      const floorKey = `${key} ${eraBefore}`;
      const floor = memory.floors.get(floorKey) ?? 0;
      const [stored = null] = await asked(store.get(this.keys.space, [{ type: kind.type, id }]));
      if (this.#of.era() !== eraBefore) continue;
      if (stored !== null && stored.revision < floor) throw rolledBack(kind.type, id);

      // Two loads can overtake each other. What the other one saw is newer, so that this answer is only late, not forged.
      const floorNow = memory.floors.get(floorKey) ?? 0;
      if (floorNow > (stored?.revision ?? Infinity)) continue;

      if (stored === null) {
        if (floorNow > 0) memory.floors.set(floorKey, Infinity);
        return null;
      }
      const value = keep(openRecord(kind, this.keys, id, stored).value);
      memory.floors.set(floorKey, stored.revision);
      return value;
    }
  }

  #forget(changed: RecordKey): void {
    const { type, id } = changed;
    const shelf = this.#shelves.get(type);
    if (shelf !== undefined) {
      shelf.records.delete(id);
      shelf.absences.delete(id);
      shelf.changes++;
    }
    this.#flights.delete(memoryKey(this.keys.space, type, id));
    this.#of.onChange(changed);
  }

  /** Only of types that were asked for, so that the feed of a forged store makes none. */
  #shelfOf(type: string): Shelf {
    let shelf = this.#shelves.get(type);
    if (shelf === undefined) {
      const { records, absences } = this.#of.memory;
      shelf = { records: new Lru(records), absences: new Lru(absences), changes: 0 };
      this.#shelves.set(type, shelf);
    }
    return shelf;
  }

  #forgetAll(): void {
    this.#epoch++;
    this.#flights.clear();
    this.#of.onReset();
  }
}

function memoryKey(space: string, type: string, id: string): string {
  return `${space} ${type} ${id}`;
}

function rolledBack(type: string, id: string): AlterError {
  return new AlterError('state_invalid', {
    detail: `The store gives an older state of the ${type} ${id} than it gave before.`,
  });
}
