import { AlterError } from '../../core/errors.ts';
import { type Put, RevisionConflict, type Store, type StoredRecord } from '../store/store.ts';
import { asked, fromStoreFailure } from '../store/store-failure.ts';
import { appKeyType, systemSpace, wrappingContext } from './keyring.ts';
import type { KmsKeys } from './kms.ts';
import { findWrappingKey, unwrapKey, wrapKey } from './wrapped-key.ts';

/** How many keys are wrapped by what. */
export interface WrappingCount {
  readonly total: number;
  /** By the key that wraps now. */
  readonly current: number;
  /** By each other one, those that nobody has given included. */
  readonly others: readonly { readonly keyId: string; readonly isKnown: boolean; readonly count: number }[];
}

export interface RewrapStep {
  /** Of these, so many were wrapped by another key, and are no longer. */
  readonly examined: number;
  readonly rewrapped: number;
  /** Keys that can't be unwrapped: of apps that can't be used before either. */
  readonly failed: readonly { readonly space: string; readonly detail: string }[];
  /** To go on after; null at the end. */
  readonly next: string | null;
}

const countPage = 1_000;
/** Keys that go into one commit: each moves the epoch of the system space on, which others want to move too. */
const perCommit = 25;

/**
 * The wrapped keys of all spaces, the system's included, and their way from one root key to the next. A step does what is
 * to be done and leaves the rest, so that it can be repeated, given up and taken up again at any point, by several at once.
 */
export class WrappedKeys {
  readonly #store: Store;
  readonly #kms: KmsKeys;

  constructor(of: { readonly store: Store; readonly kms: KmsKeys }) {
    this.#store = of.store;
    this.#kms = of.kms;
  }

  /** The ids of the key that wraps, and of those that only unwrap. */
  get keyIds(): { readonly current: string; readonly previous: readonly string[] } {
    return { current: this.#kms.current.keyId, previous: this.#kms.previous.map(({ keyId }) => keyId) };
  }

  async count(): Promise<WrappingCount> {
    const counts = new Map<string, number>();
    let after: string | undefined;
    for (;;) {
      const records = await this.#page(after, countPage);
      for (const { body } of records) {
        const keyId = findWrappingKey(body) ?? 'unreadable';
        counts.set(keyId, (counts.get(keyId) ?? 0) + 1);
      }
      after = records.at(-1)?.id;
      if (after === undefined) break;
    }
    const { current, previous } = this.keyIds;
    return {
      total: [...counts.values()].reduce((sum, count) => sum + count, 0),
      current: counts.get(current) ?? 0,
      others: [...counts]
        .filter(([keyId]) => keyId !== current)
        .map(([keyId, count]) => ({ keyId, isKnown: previous.includes(keyId), count })),
    };
  }

  /** The next `limit` keys after `after`. Rejects with `kms_unavailable` and `state_unavailable`; what was done until then stays. */
  async rewrap(of: { readonly after?: string | undefined; readonly limit: number }): Promise<RewrapStep> {
    const records = await this.#page(of.after, of.limit);
    const failed: { space: string; detail: string }[] = [];
    let rewrapped = 0;
    for (let from = 0; from < records.length; from += perCommit) {
      const puts: Put[] = [];
      for (const record of records.slice(from, from + perCommit)) {
        if (findWrappingKey(record.body) === this.#kms.current.keyId) continue;
        try {
          puts.push(await this.#rewrapOne(record));
        } catch (error) {
          if (!(error instanceof AlterError && error.code === 'state_invalid')) throw error;
          failed.push({ space: record.id, detail: error.detail });
        }
      }
      rewrapped += await this.#commit(puts);
    }
    return { examined: records.length, rewrapped, failed, next: records.at(-1)?.id ?? null };
  }

  async #rewrapOne({ type, id, revision, body }: StoredRecord): Promise<Put> {
    const key = await unwrapKey(this.#kms, body, wrappingContext(id, revision));
    const wrapped = await wrapKey(this.#kms.current, key, wrappingContext(id, revision + 1));
    key.fill(0);
    return { kind: 'put', type, id, expectedRevision: revision, body: wrapped, tags: [], names: [] };
  }

  /** How many were written. One that another process was faster with, or whose app is gone, is left to that one. */
  async #commit(puts: readonly Put[]): Promise<number> {
    if (puts.length === 0) return 0;
    try {
      await this.#store.commit(systemSpace, puts);
      return puts.length;
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw fromStoreFailure(error);
      if (puts.length === 1) return 0;
      let written = 0;
      for (const put of puts) written += await this.#commit([put]);
      return written;
    }
  }

  async #page(after: string | undefined, limit: number): Promise<readonly StoredRecord[]> {
    const query = { space: systemSpace, type: appKeyType, limit, ...(after === undefined ? {} : { after }) };
    return (await asked(this.#store.list(query))).records;
  }
}
