import { z } from 'zod';
import type { AuditEvent } from '../core/audit-event.ts';
import type { ReadAuditEvent } from '../vault/audit-reader.ts';
import { keyIdOf } from './keys.ts';
import { appRoute, type Route } from './route.ts';
import { line, requests, responses } from './schemas.ts';

const pageSize = 500;
/** A filter that matches nothing must not read the whole trail in one request: the client goes on from `next`. */
const maxScanned = 10_000;

const link = z.strictObject({
  writer: line(128),
  sequence: z.number().int().min(1),
  hash: z
    .string()
    .refine((text) => /^[\da-f]{64}$/.test(text), 'must be 64 hex digits')
    .meta({ description: 'In hex' }),
});
const verification = {
  request: z.strictObject({
    known: z
      .array(link)
      .min(1)
      .max(200)
      .optional()
      .meta({ description: 'Chains of an earlier answer: without them, what was cut off at the end cannot be missed' }),
  }),
  response: z
    .strictObject({
      intact: z.boolean(),
      entries: z.number().int().meta({ description: 'Stored entries found whole; one holds the events of a moment' }),
      chains: z.array(link).meta({ description: 'The newest link of every process that wrote' }),
      break: z
        .strictObject({
          writer: z.string(),
          sequence: z.number().int(),
          problem: z.enum(['sequence', 'hash', 'truncated', 'seal']),
        })
        .nullable(),
    })
    .meta({ id: 'AuditVerification' }),
};

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
  appRoute({
    method: 'POST',
    path: '/v1/apps/{app}/audit/verify',
    operationId: 'verifyAudit',
    summary: 'Prove that no event of the audit was changed, removed, added or moved, or name the first break',
    scope: 'dashboard_audit:read',
    body: verification.request,
    whileArchived: true,
    status: 200,
    response: verification.response,
    async answer({ app, readBody }) {
      const verdict = await app.audit.verify(readBody().known ?? []);
      if (verdict.kind === 'intact') {
        const { entries, chains } = verdict;
        return { body: { intact: true, entries, chains, break: null } };
      }
      const { entries, writer, sequence, problem } = verdict;
      return { body: { intact: false, entries, chains: [], break: { writer, sequence, problem } } };
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
