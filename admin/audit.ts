import { z } from 'zod';
import type { AuditVerdict } from '../vault/audit/verify-audit.ts';
import { trimmed } from './audit-retention.ts';
import { appRoute, type Route } from './http/route.ts';
import { line, requests, responses, time } from './schemas/schemas.ts';
import { getAuditEvent, searchAudit } from './search-audit.ts';

const link = z.strictObject({
  writer: line(128),
  sequence: z.number().int().min(1),
  hash: z
    .string()
    .refine((text) => /^[\da-f]{64}$/.test(text), 'must be 64 hex digits')
    .meta({ description: 'In hex' }),
});
export const verification = {
  request: z.strictObject({
    known: z
      .array(link)
      .min(1)
      .max(200)
      .optional()
      .meta({ description: 'Chains of an earlier answer: with them, also a store that was wholly set back is found' }),
  }),
  response: z
    .strictObject({
      intact: z.boolean(),
      entries: z.number().int().meta({ description: 'Stored entries found whole; one holds the events of a moment' }),
      trimmed: z
        .strictObject({ events: z.number().int(), up_to: time, trimmed_at: time })
        .nullable()
        .meta({ description: 'What retention removed before: a cut that nobody signed off is a break' }),
      chains: z.array(link).meta({ description: 'The newest link of every process that wrote' }),
      break: z
        .strictObject({
          writer: z.string(),
          sequence: z.number().int(),
          problem: z.enum(['sequence', 'hash', 'truncated', 'seal', 'writer', 'checkpoint']),
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
    async answer({ app, query, now }) {
      const { items, next, cursor } = await searchAudit(app.audit, query, now);
      return { body: { items, limit: query.limit, has_more: next !== null, next, cursor } };
    },
  }),
  appRoute({
    method: 'GET',
    path: '/v1/apps/{app}/audit/{event}',
    operationId: 'getAuditEvent',
    summary: 'One event of the audit',
    scope: 'dashboard_audit:read',
    status: 200,
    response: responses.auditEvent,
    async answer({ app, params }) {
      return { body: await getAuditEvent(app.audit, params.event!) };
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
      return { body: representVerdict(await app.audit.verify(readBody().known ?? [])) };
    },
  }),
];

export function representVerdict(verdict: AuditVerdict): z.input<typeof verification.response> {
  if (verdict.kind === 'intact') {
    const { entries, chains, trim } = verdict;
    return { intact: true, entries, trimmed: trimmed(trim), chains: [...chains], break: null };
  }
  const { entries, writer, sequence, problem } = verdict;
  return { intact: false, entries, trimmed: null, chains: [], break: { writer, sequence, problem } };
}
