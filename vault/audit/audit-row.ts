import { type AuditEvent, auditEventNames } from '../../core/audit-event.ts';

/**
 * An event as it is kept: its fields in the order of {@link columns}. The names would be half of what is sealed, sent and
 * written for a request. The app is not in it, because an entry opens in its own space only.
 *
 * A column that comes later goes to the end, and an older row is without it.
 */
export type AuditRow = readonly (string | number | null)[];

type Column = Exclude<keyof AuditEvent, 'app_id'>;

const columns = [
  ...([
    'id',
    'time',
    'event',
    'request_id',
    'key_id',
    'principal_type',
    'principal_id',
    'agent_id',
    'user_id',
  ] as const),
  ...(['grant_id', 'managed_secret_id', 'managed_secret_slug', 'secret_version', 'method', 'host', 'path'] as const),
  ...(['status', 'latency_ms', 'decision', 'code', 'policy_error', 'reason', 'caller', 'context'] as const),
  'client_ip',
] as const satisfies readonly Column[];

const texts: readonly Column[] = ['id', 'time', 'event'];
const names: readonly unknown[] = auditEventNames;

/** Written out, since this runs for every event: `undefined` becomes null in JSON. */
export function toRow(of: Omit<AuditEvent, 'app_id'>): readonly unknown[] {
  return [
    of.id,
    of.time,
    of.event,
    of.request_id,
    of.key_id,
    of.principal_type,
    of.principal_id,
    of.agent_id,
    of.user_id,
    of.grant_id,
    of.managed_secret_id,
    of.managed_secret_slug,
    of.secret_version,
    of.method,
    of.host,
    of.path,
    of.status,
    of.latency_ms,
    of.decision,
    of.code,
    of.policy_error,
    of.reason,
    of.caller,
    of.context,
    of.client_ip,
  ];
}

/** Null where this is not a row of this version. */
export function readRow(row: unknown, appId: string): AuditEvent | null {
  if (!Array.isArray(row) || row.length > columns.length) return null;
  const event: Record<string, unknown> = { app_id: appId };
  for (const [index, name] of columns.entries()) {
    const value: unknown = row[index] ?? null;
    if (value !== null && typeof value !== 'string' && typeof value !== 'number') return null;
    event[name] = value;
  }
  return isAuditEvent(event) ? event : null;
}

function isAuditEvent(event: Record<string, unknown>): event is Record<string, unknown> & AuditEvent {
  return texts.every((name) => typeof event[name] === 'string') && names.includes(event.event);
}
