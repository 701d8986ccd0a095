import type { AuditEvent } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import { type ChainBreak, type ChainHead, verifyChain } from './audit-chain.ts';
import { readRow } from './audit-row.ts';
import type { SpaceKeys } from './keyring.ts';
import type { SealContext } from './seal.ts';
import type { Store, StoredAuditEntry } from './store.ts';
import { asked } from './store-failure.ts';

const entriesPerRead = 200;
const entriesPerVerification = 1_000;

export type ReadAuditEvent = AuditEvent & { readonly cursor: string };

export interface AuditPage {
  readonly events: readonly ReadAuditEvent[];
  /** The cursor to go on after; null at the end. */
  readonly next: string | null;
}

/** One link of the chain of a writer; `hash` in hex. */
export interface KnownLink {
  readonly writer: string;
  readonly sequence: number;
  readonly hash: string;
}

/** `entries`: how many were found whole, before the break where there is one. `seal`: it does not open. */
export type AuditVerdict =
  | { readonly kind: 'intact'; readonly entries: number; readonly chains: readonly KnownLink[] }
  | {
      readonly kind: 'broken';
      readonly entries: number;
      readonly writer: string;
      readonly sequence: number;
      readonly problem: ChainBreak['problem'] | 'seal';
    };

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

  /**
   * Walks every chain of the space from its first link, and opens every entry: who has the store but not the keys can
   * compute the links anew, but seals nothing. `known`: links that once existed; without them, what was cut off at the end
   * can't be missed.
   */
  async verify(known: readonly KnownLink[]): Promise<AuditVerdict> {
    const { space } = this.#keys;
    const awaited = new Map(known.map((link) => [linkName(link), link]));
    let heads: ReadonlyMap<string, ChainHead> = new Map();
    let count = 0;
    let after: string | undefined;
    for (;;) {
      const limit = entriesPerVerification;
      const read = { space, order: 'ascending', limit, ...(after === undefined ? {} : { after }) } as const;
      const entries = await asked(this.#store.readAudit(read));
      const verdict = verifyChain(entries, { space, from: heads });
      const intact = verdict.kind === 'intact' ? entries : entries.slice(0, verdict.index ?? 0);
      for (const entry of intact) {
        const { writer, sequence } = entry;
        if (!this.#isOpened(entry)) return { kind: 'broken', entries: count, writer, sequence, problem: 'seal' };
        const wanted = awaited.get(linkName(entry));
        if (wanted !== undefined && wanted.hash !== Buffer.from(entry.hash).toString('hex'))
          return { kind: 'broken', entries: count, writer, sequence, problem: 'hash' };
        awaited.delete(linkName(entry));
        count += 1;
      }
      if (verdict.kind === 'broken') {
        const { writer, sequence, problem } = verdict;
        return { kind: 'broken', entries: count, writer, sequence, problem };
      }
      heads = verdict.heads;
      after = entries.at(-1)?.cursor;
      if (entries.length < limit) break;
    }
    for (const { writer, sequence } of awaited.values())
      return { kind: 'broken', entries: count, writer, sequence, problem: 'truncated' };
    const chains = [...heads].map(([writer, head]) => ({
      ...{ writer, sequence: head.sequence, hash: Buffer.from(head.hash).toString('hex') },
    }));
    return { kind: 'intact', entries: count, chains };
  }

  #isOpened(entry: StoredAuditEntry): boolean {
    try {
      this.#open(entry);
      return true;
    } catch (error) {
      if (error instanceof AlterError && error.code === 'state_invalid') return false;
      throw error;
    }
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
    const rows = parseJson(this.#keys.openAudit(auditContext(entry), entry.body));
    const events = Array.isArray(rows) ? rows.map((row) => readRow(row, this.#keys.space)) : [null];
    if (!events.every((event) => event !== null)) {
      throw new AlterError('state_invalid', {
        detail: `The stored audit entry ${entry.writer} ${entry.sequence} has not the form of this version.`,
      });
    }
    return events;
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

function linkName({ writer, sequence }: { readonly writer: string; readonly sequence: number }): string {
  return `${writer}/${sequence}`;
}

/** What an audit entry is bound to when it is sealed. */
export function auditContext(of: { readonly writer: string; readonly sequence: number }): Omit<SealContext, 'space'> {
  return { type: 'audit-entry', id: of.writer, revision: of.sequence };
}

function parseJson(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString());
  } catch {
    return null;
  }
}
