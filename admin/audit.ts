import type { AuditEvent } from '../core/audit-event.ts';
import type { ReadAuditEvent } from '../vault/audit-reader.ts';
import { keyIdOf } from './keys.ts';
import { appRoute, type Route } from './route.ts';
import { requests, responses } from './schemas.ts';

const pageSize = 500;
/** A filter that matches nothing must not read the whole trail in one request: the client goes on from `next`. */
const maxScanned = 10_000;

export const auditRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: '/v1/apps/{app}/audit',
    operationId: 'listAudit',
    summary: 'The audit of the app. A page may hold fewer events than `limit`, even none, while `has_more` is true',
    scope: 'dashboard_audit:read',
    query: requests.listAudit,
    status: 200,
    response: responses.audit,
    async answer({ app, query }) {
      const order = query.order === 'asc' ? 'ascending' : 'descending';
      const items: AuditEvent[] = [];
      let after = query.after;
      let scanned = 0;
      let hasMore = false;
      do {
        const page = await app.audit.list({ ...(after === undefined ? {} : { after }), order, limit: pageSize });
        hasMore = page.next !== null;
        for (const [index, event] of page.events.entries()) {
          after = event.cursor;
          scanned += 1;
          if (!matches(event, query)) continue;
          const { cursor: _, ...shown } = event;
          items.push(shown);
          if (items.length === query.limit) {
            hasMore ||= index < page.events.length - 1;
            break;
          }
        }
      } while (hasMore && items.length < query.limit && scanned < maxScanned);
      return { body: { items, limit: query.limit, has_more: hasMore, next: hasMore ? (after ?? null) : null } };
    },
  }),
];

function matches(event: ReadAuditEvent, query: ReturnType<typeof requests.listAudit.parse>): boolean {
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
    (query.decision === undefined || event.decision === query.decision) &&
    (query.code === undefined || event.code === query.code)
  );
}

/** An event names its host without the default port. Asked for without a port, a name is found with any. */
function isHost(recorded: string, wanted: string): boolean {
  return recorded === wanted || (!wanted.includes(':') && recorded.replace(/:\d+$/, '') === wanted);
}
