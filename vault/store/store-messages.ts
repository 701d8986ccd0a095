import type { Problem } from '../../core/errors.ts';
import type {
  AuditEntry,
  AuditQuery,
  Change,
  ListQuery,
  RateTake,
  RateVerdict,
  RecordKey,
  RecordPage,
  StoredAuditEntry,
  StoredRecord,
} from './store.ts';

/** Between two processes of one machine: messages arrive whole, once and in order, and bytes in them stay bytes. */
export interface StoreChannel {
  send(message: object): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once, at the latest when the other process is gone. */
  onClose(listener: () => void): void;
}

/** What a process asks the one that owns the store. */
export type RemoteQuestion =
  | { readonly kind: 'get'; readonly space: string; readonly keys: readonly RecordKey[] }
  | { readonly kind: 'findByName'; readonly space: string; readonly names: readonly string[] }
  | { readonly kind: 'list'; readonly query: ListQuery }
  | { readonly kind: 'findByTags'; readonly space: string; readonly tags: readonly string[]; readonly limit: number }
  | { readonly kind: 'commit'; readonly space: string; readonly changes: readonly Change[] }
  | {
      readonly kind: 'append';
      readonly space: string;
      readonly entries: readonly AuditEntry[];
      readonly takes: readonly RateTake[];
    }
  | { readonly kind: 'readAudit'; readonly query: AuditQuery }
  | { readonly kind: 'trimAudit'; readonly space: string; readonly upTo: string }
  | { readonly kind: 'watch'; readonly space: string }
  | { readonly kind: 'unwatch'; readonly space: string }
  | { readonly kind: 'ping' };

export interface RemoteAnswerOf {
  get: (StoredRecord | null)[];
  findByName: (RecordKey | null)[];
  list: RecordPage;
  findByTags: RecordKey[];
  commit: null;
  append: RateVerdict[];
  readAudit: StoredAuditEntry[];
  trimAudit: null;
  watch: null;
  unwatch: null;
  ping: null;
}

export type RemoteFailure =
  | { readonly kind: 'revision_conflict'; readonly key: RecordKey }
  | { readonly kind: 'name_taken'; readonly name: string }
  | { readonly kind: 'validation_failed'; readonly problems: readonly Problem[] }
  | { readonly kind: 'unavailable'; readonly message: string };

/** To the owner. `remote` names one user of the store among several on a channel. */
export interface RemoteBatch {
  readonly store: 'questions';
  readonly remote: string;
  /** The number of the first question; the others follow. */
  readonly first: number;
  readonly questions: readonly RemoteQuestion[];
}

/** To the owner: everything that was told before this number was taken note of. */
export interface RemoteReceipt {
  readonly store: 'receipt';
  readonly remote: string;
  readonly number: number;
}

/** From the owner, in the order in which it came about: a change stands before the answer to the commit that made it. */
export interface OwnerNews {
  readonly store: 'news';
  readonly remote: string;
  readonly news: readonly News[];
}

export type News =
  | { readonly kind: 'answer'; readonly number: number; readonly value?: unknown; readonly failure?: RemoteFailure }
  | { readonly kind: 'change'; readonly space: string; readonly key: RecordKey }
  | { readonly kind: 'reset'; readonly space: string }
  /** `at` in milliseconds of the machine's monotonic clock: that of `performance.now()` begins anew in each process. */
  | { readonly kind: 'contact'; readonly space: string; readonly at: number }
  /** To be answered with a receipt. */
  | { readonly kind: 'receipt'; readonly number: number };

/** What turns `performance.now()` of this process into the machine's monotonic clock, in milliseconds. */
export const monotonicOffsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export function isStoreMessage(message: unknown): message is RemoteBatch | RemoteReceipt | OwnerNews {
  return typeof message === 'object' && message !== null && 'store' in message && 'remote' in message;
}
