import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store, StoredAuditEntry } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import { openEntry } from './audit-entry.ts';

/** Clocks of several machines differ, and a record may have waited for others. */
const allowedMs = 5 * 60_000;
/** Of `2026-01-31T12:34:56.789Z`, without the fraction. */
const secondLength = 19;
/** The newest record need not be the last one: a clock that was wrong for a moment wrote some as well. */
const entriesLookedAt = 50;

/**
 * The newest time in the audit of a space: a clock that shows less, by more than five minutes, is wrong, or somebody set it
 * back. Times are compared as they are written, ISO 8601 in UTC, since that is how they come.
 */
export class ClockFloor {
  readonly #store: Store;
  readonly #keys: SpaceKeys;
  #newest = '';
  /** The least that the clock may show. */
  #least = '';
  #finding: Promise<void> | null = null;
  isKnown = false;

  constructor(of: { readonly store: Store; readonly keys: SpaceKeys }) {
    this.#store = of.store;
    this.#keys = of.keys;
  }

  /** Reads it from what was written before this process. Rejects with `state_unavailable`, and can be asked again. */
  find(): Promise<void> {
    this.#finding ??= this.#find().finally(() => {
      this.#finding = null;
    });
    return this.#finding;
  }

  raise(time: string): void {
    if (time <= this.#newest) return;
    // To the second is enough: this is told of every entry, and to read a time takes longer than all else here.
    if (this.#newest !== '' && time.startsWith(this.#newest.slice(0, secondLength))) return;
    this.#newest = time;
    this.#least = new Date(Date.parse(time) - allowedMs).toISOString();
  }

  isBehind(time: string): boolean {
    return time < this.#least;
  }

  refusal(time: string): AlterError {
    const minutes = Math.round((Date.parse(this.#newest) - Date.parse(time)) / 60_000);
    return new AlterError('state_unavailable', {
      detail: `The clock of the proxy is ${minutes} minutes behind the last record of the audit, so no credential is used.`,
      hint: 'Set the clock of the machine. Where it is right, another one was ahead: set that, and start this process again.',
    });
  }

  async #find(): Promise<void> {
    const { space } = this.#keys;
    const entries = await asked(this.#store.readAudit({ space, order: 'descending', limit: entriesLookedAt }));
    for (const entry of entries) for (const time of this.#timesOf(entry)) this.raise(time);
    this.isKnown = true;
  }

  /** An entry that was changed says nothing here; finding that is for who verifies. */
  #timesOf(entry: StoredAuditEntry): readonly string[] {
    try {
      return openEntry(this.#keys, entry).map(({ time }) => time);
    } catch (error) {
      if (error instanceof AlterError && error.code === 'state_invalid') return [];
      throw error;
    }
  }
}
