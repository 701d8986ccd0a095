/**
 * The port behind which state lives. The store is untrusted: what crosses it is sealed bytes and opaque names, and every
 * adapter passes `test/contract/store.ts`.
 *
 * A *space* is one app, or `system` for what belongs to none. Everything of one space can change atomically together;
 * two spaces can't, because a Redis Cluster keeps them on different nodes.
 */
export interface Store {
  /** One round trip. The answers stand in the order of the ids; null where there is no such record. */
  get(space: string, keys: readonly RecordKey[]): Promise<(StoredRecord | null)[]>;

  /** The records that hold every one of these names, whatever their type: `findByName` of a unique name gives at most one. */
  findByName(space: string, names: readonly string[]): Promise<(RecordKey | null)[]>;

  /** A page in ascending or descending order of id, optionally only of records that carry `tag`. */
  list(query: ListQuery): Promise<RecordPage>;

  /** The ids and types of the records that carry any of these tags, at most `limit`. One round trip. */
  findByTags(space: string, tags: readonly string[], limit: number): Promise<RecordKey[]>;

  /**
   * Applies every change, or none. Resolves when the changes are durable and stand in the feed of the space.
   * Rejects with {@link RevisionConflict} or {@link NameTaken}, with nothing changed.
   */
  commit(space: string, changes: readonly Change[]): Promise<void>;

  /**
   * Takes every rate and appends every entry in one atomic step. An entry is appended whether or not a rate refuses;
   * the caller learns of the refusal and records it as the outcome. Resolves when the entries are durable.
   */
  append(space: string, entries: readonly AuditEntry[], takes: readonly RateTake[]): Promise<RateVerdict[]>;

  /** Audit entries of a space in the order in which they were appended, or the reverse. `after` is a cursor that an entry carried; with `including`, that entry comes first. */
  readAudit(query: AuditQuery): Promise<StoredAuditEntry[]>;

  /** Removes the oldest audit entries of a space, up to and with the one that has the cursor `upTo`. */
  trimAudit(space: string, upTo: string): Promise<void>;

  /**
   * Follows the changes of a space from now on. Resolves when nothing that is committed afterwards can be missed.
   * `onChange` gets every changed key once or more, in order, also across a lost connection; `onReset` says that changes
   * may have been lost and everything known of the space must be forgotten; `onContact` says that everything that was
   * acknowledged before `at` (milliseconds, monotonic clock of `performance.now()`) has been delivered.
   */
  watch(space: string, watcher: Watcher): Promise<Watch>;

  /** Rejects when the store can't be reached or written. */
  ping(): Promise<void>;

  /** Waits for what is under way, then lets go of everything. Calls after it reject. */
  close(): Promise<void>;
}

export interface RecordKey {
  readonly type: string;
  readonly id: string;
}

export interface StoredRecord extends RecordKey {
  /** From 1, one more with every change. */
  readonly revision: number;
  readonly body: Uint8Array;
}

export interface Put extends RecordKey {
  readonly kind: 'put';
  /** The revision that the record must have now: 0 where it must not exist. The new one is one more. */
  readonly expectedRevision: number;
  readonly body: Uint8Array;
  /** Opaque words to list by. The whole set: what is not named here is gone. */
  readonly tags: readonly string[];
  /** Opaque words that no other record of the space may hold. The whole set. */
  readonly names: readonly string[];
}

export interface Delete extends RecordKey {
  readonly kind: 'delete';
  readonly expectedRevision: number;
}

export type Change = Put | Delete;

export interface ListQuery {
  readonly space: string;
  readonly type: string;
  readonly tag?: string;
  /** Exclusive: the last id of the page before. */
  readonly after?: string;
  readonly offset?: number;
  readonly order?: 'ascending' | 'descending';
  readonly limit: number;
}

export interface RecordPage {
  readonly records: readonly StoredRecord[];
  /** How many records the query has in all. */
  readonly total: number;
}

/** One link of the hash chain of one writer. */
export interface AuditEntry {
  readonly writer: string;
  readonly sequence: number;
  readonly hash: Uint8Array;
  readonly body: Uint8Array;
}

export interface StoredAuditEntry extends AuditEntry {
  readonly cursor: string;
}

export interface AuditQuery {
  readonly space: string;
  readonly after?: string;
  readonly including?: boolean;
  readonly order?: 'ascending' | 'descending';
  readonly limit: number;
}

/** At most `requests` in any fixed window of `perSeconds`, counted by the store's clock. */
export interface RateTake {
  readonly bucket: string;
  readonly requests: number;
  readonly perSeconds: number;
  /**
   * For the same request as the take before: where one of them refuses, none is counted. Otherwise a caller who goes on
   * beyond a rate of their own would use up one that others share.
   */
  readonly withPrevious?: boolean;
}

export interface RateVerdict {
  readonly allowed: boolean;
  /** Until the window ends; 0 where allowed. */
  readonly retryAfterSeconds: number;
}

export interface Watcher {
  onChange(key: RecordKey): void;
  onReset(): void;
  onContact(at: number): void;
}

export interface Watch {
  stop(): void;
}

/** The record was changed since it was read. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
  readonly key: RecordKey;
  constructor(key: RecordKey) {
    super(`the ${key.type} record has another revision`);
    this.key = key;
  }
}

/** Another record of the space holds this name. */
export class NameTaken extends Error {
  override readonly name = 'NameTaken';
  readonly taken: string;
  constructor(taken: string) {
    super('the name is taken');
    this.taken = taken;
  }
}

/** The store can't be reached, is closed, or refused the command. Nothing is known about what it did. */
export class StoreUnavailable extends Error {
  override readonly name: string = 'StoreUnavailable';
}

/** The write was done where it was asked for, and not confirmed by as many replicas as have to have it. It may be lost. */
export class NotDurable extends StoreUnavailable {
  override readonly name = 'NotDurable';
}
