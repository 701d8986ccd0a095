import { z } from 'zod';
import { accessRoutes } from './access.ts';
import { agentRoutes } from './agents.ts';
import { appRoutes } from './apps.ts';

import { auditRoutes } from './audit.ts';
import { auditRetentionRoutes } from './audit-retention.ts';
import { authorityRoutes } from './authority.ts';
import { backupRoutes } from './backups.ts';
import { delegationRoutes } from './delegations.ts';
import { grantRoutes } from './grants.ts';
import { groupRoutes } from './groups.ts';
import { type Route, route } from './http/route.ts';
import { identityProviderRoutes } from './identity-providers.ts';
import { keyRoutes } from './keys.ts';
import { managedSecretRoutes } from './managed-secrets.ts';
import { policyRoutes } from './policies.ts';
import { rootKeyRoutes } from './root-key.ts';
import { runtimeRoutes } from './runtime.ts';
import { sidecarCredentialRoutes } from './sidecar-credentials.ts';
import { stateRoutes } from './state-routes.ts';
import { systemAuditRoutes } from './system-audit.ts';
import { templateRoutes } from './templates.ts';
import { tokenRoutes } from './tokens.ts';
import { unscopedRoutes } from './unscoped.ts';
import { userRoutes } from './users.ts';
import { webhookRoutes } from './webhooks.ts';
import { workloadIdentityRoutes } from './workload-identities.ts';

/** Everything that the admin API answers to. */
export const routes: readonly Route[] = [
  ...unscopedRoutes,
  ...templateRoutes,
  ...tokenRoutes,
  ...appRoutes,
  ...sidecarCredentialRoutes,
  ...rootKeyRoutes,
  ...authorityRoutes,
  ...managedSecretRoutes,
  ...grantRoutes,
  ...keyRoutes,
  ...agentRoutes,
  ...identityProviderRoutes,
  ...workloadIdentityRoutes,
  ...userRoutes,
  ...groupRoutes,
  ...delegationRoutes,
  ...accessRoutes,
  ...webhookRoutes,
  ...runtimeRoutes,
  ...policyRoutes,
  ...auditRetentionRoutes, // before those of one event, whose id could be any word
  ...auditRoutes,
  ...systemAuditRoutes,
  ...stateRoutes,
  ...backupRoutes,
  route({
    method: 'GET',
    path: '/openapi.json',
    operationId: 'getOpenApi',
    summary: 'This document',
    scope: 'public',
    status: 200,
    response: z.looseObject({ openapi: z.string() }),
    answer: async () => ({ body: await describedApi() }),
  }),
];

let document: object | undefined;

async function describedApi(): Promise<object> {
  const { describeApi } = await import('./http/openapi.ts'); // seldom asked for
  document ??= describeApi(routes);
  return document;
}
