import { type AuditEvent, auditEventNames } from '../../core/audit-event.ts';

/**
 * Events as they are kept, in one entry: `[parties, rows]`. A row is what is an event's own, its fields in the order of
 * {@link rowColumns}, behind the index of its party: who asked for what, which under load many events of an entry have in
 * common. Names and parties would be two thirds of what is sealed, sent and written for a request. The app is not in it,
 * because an entry opens in its own space only.
 *
 * A column that comes later goes to the end, and an older row is without it. Nulls at the end may be left out.
 */
export type StoredEvents = readonly [parties: readonly Row[], rows: readonly Row[]];

type Row = readonly (string | number | null | undefined)[];
type StoredEvent = Omit<AuditEvent, 'app_id'>;

const partyColumns = [
  ...(['key_id', 'principal_type', 'principal_id', 'agent_id', 'user_id', 'grant_id'] as const),
  ...(['managed_secret_id', 'managed_secret_slug', 'secret_version', 'host', 'client_ip'] as const),
  ...(['event', 'decision', 'method'] as const),
] as const satisfies readonly (keyof StoredEvent)[];

const rowColumns = [
  ...(['id', 'time', 'request_id', 'path', 'status', 'latency_ms'] as const),
  ...(['code', 'policy_error', 'reason', 'caller', 'context'] as const),
] as const satisfies readonly (keyof StoredEvent)[];

const texts: readonly (keyof StoredEvent)[] = ['id', 'time', 'event'];
const names: readonly unknown[] = auditEventNames;
/** How many parties back one is looked for: beyond that it is written again. */
const maxLookBack = 8;

/** Written out, here and below, since it runs for every event. */
export function toRows(events: readonly StoredEvent[]): StoredEvents {
  const parties: Row[] = [];
  const ofParties: StoredEvent[] = [];
  let party = -1;
  const rows = events.map((of): Row => {
    if (party === -1 || !sameParty(ofParties[party]!, of)) {
      party = findParty(ofParties, of);
      if (party === -1) {
        party = parties.push(toParty(of)) - 1;
        ofParties.push(of);
      }
    }
    const { id, time, request_id, path, status, latency_ms, code, policy_error, reason, caller, context } = of;
    if ((code ?? policy_error ?? reason ?? caller ?? context ?? null) === null)
      return [party, id, time, request_id, path, status, latency_ms];
    return [party, id, time, request_id, path, status, latency_ms, code, policy_error, reason, caller, context];
  });
  return [parties, rows];
}

function findParty(known: readonly StoredEvent[], of: StoredEvent): number {
  for (let index = known.length - 1; index >= 0 && index >= known.length - maxLookBack; index--)
    if (sameParty(known[index]!, of)) return index;
  return -1;
}

function sameParty(a: StoredEvent, b: StoredEvent): boolean {
  return (
    a.event === b.event &&
    a.key_id === b.key_id &&
    a.principal_type === b.principal_type &&
    a.principal_id === b.principal_id &&
    a.agent_id === b.agent_id &&
    a.user_id === b.user_id &&
    a.grant_id === b.grant_id &&
    a.managed_secret_id === b.managed_secret_id &&
    a.managed_secret_slug === b.managed_secret_slug &&
    a.secret_version === b.secret_version &&
    a.decision === b.decision &&
    a.method === b.method &&
    a.client_ip === b.client_ip &&
    a.host === b.host
  );
}

function toParty(of: StoredEvent): Row {
  return partyColumns.map((name) => of[name]);
}

/** Null where this is nothing that this version writes. */
export function readRows(stored: unknown, appId: string): readonly AuditEvent[] | null {
  if (!Array.isArray(stored) || stored.length !== 2) return null;
  const [parties, rows] = stored as unknown[];
  if (!Array.isArray(parties) || !Array.isArray(rows)) return null;
  const events: AuditEvent[] = [];
  for (const row of rows as unknown[]) {
    const party: unknown = Array.isArray(row) ? parties[row[0] as number] : null;
    if (!Array.isArray(row) || !Array.isArray(party)) return null;
    const event: Record<string, unknown> = { app_id: appId };
    if (!readColumns(row.slice(1), rowColumns, event) || !readColumns(party, partyColumns, event)) return null;
    if (!isAuditEvent(event)) return null;
    events.push(event);
  }
  return events;
}

function readColumns(
  values: readonly unknown[],
  columns: readonly (keyof StoredEvent)[],
  into: Record<string, unknown>,
): boolean {
  if (values.length > columns.length) return false;
  for (const [index, name] of columns.entries()) {
    const value = values[index] ?? null;
    if (value !== null && typeof value !== 'string' && typeof value !== 'number') return false;
    into[name] = value;
  }
  return true;
}

function isAuditEvent(event: Record<string, unknown>): event is Record<string, unknown> & AuditEvent {
  return texts.every((name) => typeof event[name] === 'string') && names.includes(event.event);
}
