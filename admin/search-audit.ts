import type { AuditEvent } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import type { AuditReader, ReadAuditEvent } from '../vault/audit/audit-reader.ts';
import { keyIdOf } from './keys.ts';
import { durationMs } from './parse-time.ts';
import type { requests } from './schemas/schemas.ts';

export type AuditQuery = ReturnType<typeof requests.listAudit.parse>;

export interface FoundEvents {
  readonly items: readonly AuditEvent[];
  /** To go on after; null at the end. */
  readonly next: string | null;
  /** Of the last event that was looked at; null where there was none. */
  readonly cursor: string | null;
}

const pageSize = 500;
/** A filter that matches nothing must not read the whole trail in one request: the client goes on from `next`. */
const maxScanned = 10_000;
/** The log is in the order of writing. A clock may be this much ahead of the store's, and an event wait this long for a store that was away. */
const skewMs = 5 * 60_000;
const lateMs = 3_600_000;
/** Behind every event of an entry. */
const endOfEntry = 999_999;

/** One page of what the filters leave. A bound in time is a place in the log, which is found without reading up to it. */
export async function searchAudit(reader: AuditReader, query: AuditQuery, now: number): Promise<FoundEvents> {
  const since = momentOf(query.since, now) ?? Number.NEGATIVE_INFINITY;
  const until = momentOf(query.until, now) ?? Number.POSITIVE_INFINITY;
  const isAscending = query.order === 'asc';
  const isBeyond = isAscending ? (at: number) => at >= until + lateMs : (at: number) => at < since - skewMs;
  const start = query.after ?? (await findStart(reader, { since, until, isAscending }));
  if (start === null) return { items: [], next: null, cursor: null };

  const items: AuditEvent[] = [];
  let after = start === 'end' ? undefined : start;
  let scanned = 0;
  for (;;) {
    const order = isAscending ? 'ascending' : 'descending';
    const page = await reader.list({ ...(after === undefined ? {} : { after }), order, limit: pageSize });
    for (const [index, event] of page.events.entries()) {
      const at = Date.parse(event.time);
      if (isBeyond(at)) return { items, next: null, cursor: after ?? null };
      after = event.cursor;
      scanned += 1;
      if (at < since || at >= until || !matches(event, query)) continue;
      const { cursor: _, ...shown } = event;
      items.push(shown);
      if (items.length === query.limit) {
        const hasMore = page.next !== null || index < page.events.length - 1;
        return { items, next: hasMore ? after : null, cursor: after };
      }
    }
    if (page.next === null) return { items, next: null, cursor: after ?? null };
    if (scanned >= maxScanned) return { items, next: after ?? null, cursor: after ?? null };
  }
}

/** Throws `not_found`. The id of an event says when it was recorded, and so about where it stands. */
export async function getAuditEvent(reader: AuditReader, id: string): Promise<AuditEvent> {
  const recordedAt = isId(id) ? Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16) : null;
  let after = recordedAt === null ? null : await findStart(reader, { since: recordedAt, until: 0, isAscending: true });
  while (after !== null && recordedAt !== null) {
    const page = await reader.list({ ...(after === 'end' ? {} : { after }), order: 'ascending', limit: pageSize });
    const found = page.events.find((event) => event.id === id);
    if (found !== undefined) {
      const { cursor: _, ...shown } = found;
      return shown;
    }
    if (page.events.some(({ time }) => Date.parse(time) > recordedAt + lateMs)) break;
    after = page.next;
  }
  throw new AlterError('not_found', { detail: 'There is no such event in the audit of this app.' });
}

/** The cursor to begin after, `end` for either end of the log, or null where nothing can be found. */
async function findStart(
  reader: AuditReader,
  { since, until, isAscending }: { since: number; until: number; isAscending: boolean },
): Promise<string | null> {
  if (isAscending) {
    const entry = Number.isFinite(since) ? await reader.seek(since - skewMs) : null;
    return entry === null ? 'end' : `${entry}.0`;
  }
  if (!Number.isFinite(until)) return 'end';
  const entry = await reader.seek(until + lateMs);
  return entry === null ? null : `${entry}.${endOfEntry}`;
}

/** An age counts back from now. The form was checked by the schema. */
function momentOf(text: string | undefined, now: number): number | null {
  if (text === undefined) return null;
  return /^\d+[smhd]$/.test(text) ? now - durationMs(text) : Date.parse(text);
}

function matches(event: ReadAuditEvent, query: AuditQuery): boolean {
  return (
    (query.event === undefined || event.event === query.event) &&
    (query.secret === undefined ||
      event.managed_secret_id === query.secret ||
      event.managed_secret_slug === query.secret) &&
    (query.grant === undefined || event.grant_id === query.grant) &&
    (query.key === undefined || event.key_id === keyIdOf(query.key)) &&
    (query.agent === undefined || event.agent_id === query.agent) &&
    (query.user === undefined || event.user_id === query.user) &&
    (query.host === undefined || isHost(event.host ?? '', query.host.toLowerCase())) &&
    (query.outcome === undefined || outcomeOf(event) === query.outcome) &&
    (query.decision === undefined || event.decision === query.decision) &&
    (query.code === undefined || event.code === query.code)
  );
}

/** How it ended, of events that say so: those of a decision alone say nothing yet. */
function outcomeOf({ event, decision, code, status }: AuditEvent): AuditQuery['outcome'] {
  if (decision === 'deny') return 'denied';
  if (event === 'request.decided' || event === 'tunnel.decided') return undefined;
  return (code ?? null) !== null || (status ?? 0) >= 400 ? 'failed' : 'succeeded';
}

/** An event names its host without the default port. Asked for without a port, a name is found with any. */
function isHost(recorded: string, wanted: string): boolean {
  return recorded === wanted || (!wanted.includes(':') && recorded.replace(/:\d+$/, '') === wanted);
}
