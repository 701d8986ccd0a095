import { type AuditEvent, auditEventNames } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import type { SpaceKeys } from './keyring.ts';
import type { SealContext } from './seal.ts';
import type { Store, StoredAuditEntry } from './store.ts';
import { asked } from './store-failure.ts';

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
    const events = parseJson(this.#keys.openAudit(auditContext(entry), entry.body));
    if (!Array.isArray(events) || !events.every(isAuditEvent)) {
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

/** What an audit entry is bound to when it is sealed. */
export function auditContext(of: { readonly writer: string; readonly sequence: number }): Omit<SealContext, 'space'> {
  return { type: 'audit-entry', id: of.writer, revision: of.sequence };
}

const texts = ['id', 'time', 'event', 'app_id'];
const fields = new Set([
  ...texts,
  ...['request_id', 'key_id', 'principal_type', 'principal_id', 'agent_id', 'user_id', 'grant_id'],
  ...[
    'managed_secret_id',
    'managed_secret_slug',
    'secret_version',
    'method',
    'host',
    'path',
    'status',
    'latency_ms',
    'decision',
    'code',
  ],
  ...['policy_error', 'reason', 'caller', 'context', 'client_ip'],
]);
const names: readonly unknown[] = auditEventNames;

function parseJson(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString());
  } catch {
    return null;
  }
}

function isAuditEvent(value: unknown): value is AuditEvent {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  const given = Object.fromEntries(entries);
  return (
    entries.every(
      ([name, part]) => fields.has(name) && (part === null || ['string', 'number'].includes(typeof part)),
    ) &&
    texts.every((name) => typeof given[name] === 'string') &&
    names.includes(given.event)
  );
}
