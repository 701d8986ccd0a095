import { type AuditEvent, auditEventNames } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import type { SpaceKeys } from './keyring.ts';
import type { SealContext } from './seal.ts';
import type { Store, StoredAuditEntry } from './store.ts';
import { asked } from './store-failure.ts';

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

  /** `after`: a cursor of an earlier page, exclusive. Throws `state_invalid` where an entry was changed. */
  async list(query: {
    readonly after?: string | undefined;
    readonly order: 'ascending' | 'descending';
    readonly limit: number;
  }): Promise<AuditPage> {
    const { after, order, limit } = query;
    const entries = await asked(
      this.#store.readAudit({
        space: this.#keys.space,
        order,
        limit: limit + 1,
        ...(after === undefined ? {} : { after }),
      }),
    );
    const events = entries.slice(0, limit).map((entry) => ({ ...this.#open(entry), cursor: entry.cursor }));
    return { events, next: entries.length > limit ? events[events.length - 1]!.cursor : null };
  }

  #open(entry: StoredAuditEntry): AuditEvent {
    const json = this.#keys.openAudit(auditContext(entry), entry.body);
    const event = parseJson(json);
    if (!isAuditEvent(event)) {
      throw new AlterError('state_invalid', {
        detail: `The stored audit event ${entry.writer} ${entry.sequence} has not the form of this version.`,
      });
    }
    return event;
  }
}

/** What an audit event is bound to when it is sealed. */
export function auditContext(of: { readonly writer: string; readonly sequence: number }): Omit<SealContext, 'space'> {
  return { type: 'audit-event', id: of.writer, revision: of.sequence };
}

const texts = ['id', 'time', 'event', 'app_id'];
const fields = new Set([
  ...texts,
  ...['request_id', 'key_id', 'principal_type', 'principal_id', 'agent_id', 'grant_id', 'managed_secret_id'],
  ...['managed_secret_slug', 'secret_version', 'method', 'host', 'path', 'status', 'latency_ms', 'decision', 'code'],
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
