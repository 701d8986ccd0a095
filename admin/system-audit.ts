import type { AccessToken } from '../core/access-token.ts';
import { AlterError } from '../core/errors.ts';
import { representVerdict, verification } from './audit.ts';
import { type Route, route } from './http/route.ts';
import { requests, responses } from './schemas/schemas.ts';
import { getAuditEvent, searchAudit } from './search-audit.ts';

export const systemAuditRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/audit',
    operationId: 'listSystemAudit',
    summary: 'The audit of what belongs to no app: tokens for all apps, and apps that were deleted',
    scope: 'dashboard_audit:read',
    query: requests.listAudit,
    status: 200,
    response: responses.audit,
    async answer({ vault, accessToken, query, now }) {
      requireAllApps(accessToken);
      const { items, next, cursor } = await searchAudit(vault.audit, query, now);
      return { body: { items, limit: query.limit, has_more: next !== null, next, cursor } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/audit/{event}',
    operationId: 'getSystemAuditEvent',
    summary: 'One event of the audit of what belongs to no app',
    scope: 'dashboard_audit:read',
    status: 200,
    response: responses.auditEvent,
    async answer({ vault, accessToken, params }) {
      requireAllApps(accessToken);
      return { body: await getAuditEvent(vault.audit, params.event!) };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/audit/verify',
    operationId: 'verifySystemAudit',
    summary: 'Prove the audit of what belongs to no app, or name the first break',
    scope: 'dashboard_audit:read',
    body: verification.request,
    status: 200,
    response: verification.response,
    async answer({ vault, accessToken, readBody }) {
      requireAllApps(accessToken);
      return { body: representVerdict(await vault.audit.verify(readBody().known ?? [])) };
    },
  }),
];

function requireAllApps(accessToken: Pick<AccessToken, 'appId'>): void {
  if (accessToken.appId !== null)
    throw new AlterError('insufficient_scope', {
      detail: 'The token is limited to one app, and this is the audit of none.',
    });
}
