import { printable } from './printable.ts';

/** The fields of an audit event, in the order of the columns. */
export const csvColumns = [
  ...['id', 'time', 'event', 'request_id', 'app_id', 'key_id', 'principal_type', 'principal_id', 'agent_id', 'user_id'],
  ...['grant_id', 'managed_secret_id', 'managed_secret_slug', 'secret_version', 'method', 'host', 'path', 'status'],
  ...['latency_ms', 'decision', 'code', 'policy_error', 'reason', 'caller', 'context', 'client_ip'],
] as const;

/**
 * One record as RFC 4180 writes it. A cell that a spreadsheet would calculate gets an apostrophe in front: paths and
 * reasons are chosen by callers.
 */
export function csvLine(cells: readonly unknown[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = printable(typeof value === 'string' ? value : JSON.stringify(value));
  const safe = /^[=+\-@\t\r]/.test(text) && typeof value === 'string' ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
