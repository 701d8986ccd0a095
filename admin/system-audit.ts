import { AlterError } from '../core/errors.ts';
import { type Route, route } from './route.ts';
import { requests, responses } from './schemas.ts';
import { searchAudit } from './search-audit.ts';

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
      if (accessToken.appId !== null)
        throw new AlterError('insufficient_scope', {
          detail: 'The token is limited to one app, and this is the audit of none.',
        });
      const { items, next, cursor } = await searchAudit(vault.audit, query, now);
      return { body: { items, limit: query.limit, has_more: next !== null, next, cursor } };
    },
  }),
];
