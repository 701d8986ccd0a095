import type { AuditEvent } from '../../core/audit-event.ts';
import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store, StoredAuditEntry } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import { AuditCheckpoints, type Ledger } from './audit-checkpoints.ts';
import { openEntry } from './audit-entry.ts';
import { type AuditVerdict, type KnownLink, verifyAudit } from './verify-audit.ts';

const entriesPerRead = 200;

export type ReadAuditEvent = AuditEvent & { readonly cursor: string };

export interface AuditPage {
  readonly events: readonly ReadAuditEvent[];
  /** The cursor to go on after; null at the end. */
  readonly next: string | null;
}

/** Reads and opens the audit of one space. */
export class AuditReader {
  readonly #store: Store;
  readonly #keys: SpaceKeys;

  constructor(of: { readonly store: Store; readonly keys: SpaceKeys }) {
    this.#store = of.store;
    this.#keys = of.keys;
  }

  /** `after`: the cursor of an event of an earlier page, exclusive. Throws `state_invalid` where an entry was changed. */
  async list(query: {
    readonly after?: string | undefined;
    readonly order: 'ascending' | 'descending';
    readonly limit: number;
  }): Promise<AuditPage> {
    const { order, limit } = query;
    const found: ReadAuditEvent[] = [];
    let from = query.after === undefined ? null : parseCursor(query.after);
    let including = true; // of the entry that the cursor points into, the rest is still to come
    while (found.length <= limit) {
      const wanted = Math.min(limit + 1 - found.length, entriesPerRead);
      const entries = await asked(
        this.#store.readAudit({
          space: this.#keys.space,
          order,
          limit: wanted,
          ...(from === null ? {} : { after: from.entry, including }),
        }),
      );
      for (const entry of entries) {
        const behind = from !== null && including && entry.cursor === from.entry ? from.index : null;
        found.push(...this.#eventsOf(entry, order, behind));
      }
      const last = entries.at(-1);
      if (last === undefined || entries.length < wanted) break;
      from = { entry: last.cursor, index: 0 };
      including = false;
    }
    const events = found.slice(0, limit);
    return { events, next: found.length > limit ? (events.at(-1)?.cursor ?? null) : null };
  }

  /** What retention removed, and how far it was exported. */
  async findLedger(): Promise<Ledger> {
    return (await new AuditCheckpoints({ store: this.#store, keys: this.#keys }).findLedger()).value;
  }

  /** Everything up to `cursor` is safe somewhere else. */
  async acknowledge(cursor: string, now: number): Promise<void> {
    await new AuditCheckpoints({ store: this.#store, keys: this.#keys }).acknowledge({ cursor, acknowledgedAt: now });
  }

  verify(known: readonly KnownLink[]): Promise<AuditVerdict> {
    return verifyAudit({ store: this.#store, keys: this.#keys }, known);
  }

  /**
   * The cursor of an entry behind which everything stands that was written at `at` or later; null where that is the whole
   * log. It may stand a little before.
   */
  async seek(at: number): Promise<string | null> {
    const { space } = this.#keys;
    const [first] = await asked(this.#store.readAudit({ space, limit: 1 }));
    const [last] = await asked(this.#store.readAudit({ space, order: 'descending', limit: 1 }));
    if (first === undefined || last === undefined) return null;
    // A stream of Redis names its entries by the time at which they came.
    if (first.cursor.includes('-')) return at <= Number.parseInt(first.cursor, 10) ? null : `${Math.floor(at) - 1}-0`;
    let low = Number(first.cursor) - 1; // before `at`, or the beginning
    let high = Number(last.cursor); // perhaps not
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const [entry] = await asked(this.#store.readAudit({ space, after: String(middle), including: true, limit: 1 }));
      if (entry === undefined || this.#timeOf(entry) >= at) high = middle - 1;
      else low = Math.max(middle, Number(entry.cursor));
    }
    return low < Number(first.cursor) ? null : String(low);
  }

  /** Of its first event, in milliseconds. */
  #timeOf(entry: StoredAuditEntry): number {
    const [event] = this.#open(entry);
    return event === undefined ? 0 : Date.parse(event.time);
  }

  /** The events of one entry in the order of the page; with `behind`, only those that come after that one. */
  #eventsOf(entry: StoredAuditEntry, order: 'ascending' | 'descending', behind: number | null): ReadAuditEvent[] {
    const events = this.#open(entry).map((event, index) => ({ ...event, cursor: `${entry.cursor}.${index}` }));
    const rest =
      behind === null
        ? events
        : order === 'ascending'
          ? events.slice(behind + 1)
          : events.slice(0, Math.max(behind, 0));
    return order === 'ascending' ? rest : rest.reverse();
  }

  #open(entry: StoredAuditEntry): readonly AuditEvent[] {
    return openEntry(this.#keys, entry);
  }
}

/** An event's place: the cursor of its entry, and its index in it. Throws `validation_failed`. */
function parseCursor(text: string): { readonly entry: string; readonly index: number } {
  const match = /^([\d-]{1,40})\.(\d{1,6})$/.exec(text);
  if (match === null) {
    throw new AlterError('validation_failed', {
      problems: [{ field: 'after', message: 'is not a cursor of this audit log' }],
    });
  }
  return { entry: match[1]!, index: Number(match[2]) };
}
