import { AlterError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import type { WorkloadIdentity } from '../core/workload-identity.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { requireRevision } from './http/etag.ts';
import { appRoute, type Route } from './http/route.ts';
import { discover } from './identity-providers.ts';
import { checkNewKey, requireActive } from './mint-key.ts';
import type { ChangeEvent } from './record-change.ts';
import { principalRequests, principalResponses } from './schemas/principal-schemas.ts';
import { representPage, representWorkloadIdentity } from './schemas/representation.ts';
import { requests } from './schemas/schemas.ts';

const collection = '/v1/apps/{app}/workload-identities';
const item = `${collection}/{workload}`;

/** They stand in for keys, so the scopes of keys are asked for. */
export const workloadIdentityRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listWorkloadIdentities',
    summary: 'The ServiceAccounts whose tokens are taken in the place of a key',
    scope: 'dashboard_keys:read',
    query: requests.page,
    status: 200,
    response: principalResponses.workloadIdentities,
    async answer({ app, query }) {
      const { items, total } = await app.workloadIdentities.list(query);
      const shown = items.map(({ value }) => representWorkloadIdentity(value));
      return { body: representPage(shown, { total, ...query }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'createWorkloadIdentity',
    summary: 'Take the projected token of a ServiceAccount in the place of a key',
    scope: 'dashboard_keys:write',
    body: principalRequests.createWorkloadIdentity,
    status: 201,
    response: principalResponses.workloadIdentity,
    async answer({ app, changes, fetchHttps, now, readBody }) {
      const body = readBody((valid) => checkNewKey({ cidr: valid.cidr ?? [] }, now));
      const agent = typeof body.agent_id === 'string' ? (await app.agents.get(body.agent_id)).value : null;
      if (agent !== null) requireActive(agent);
      const { issuer, namespace, service_account: serviceAccount } = body;
      const jwksUrl = body.jwks_url ?? (await discover(issuer, fetchHttps));
      const created = await changes.after({
        create: () =>
          app.workloadIdentities.create({
            name: body.name ?? `${namespace}/${serviceAccount}`,
            issuer,
            jwksUrl,
            algorithms: [...new Set(body.algorithms)],
            namespace,
            serviceAccount,
            agentId: agent?.id ?? null,
            cidr: [...new Set(body.cidr)],
            rateLimitRpm: body.rate_limit_rpm ?? null,
          }),
        event: ({ value }) => workloadEvent('workload_identity.created', value),
        takeBack: ({ value }) => app.workloadIdentities.delete(value.id),
      });
      return answerWorkload(created);
    },
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getWorkloadIdentity',
    summary: 'One workload identity',
    scope: 'dashboard_keys:read',
    status: 200,
    response: principalResponses.workloadIdentity,
    answer: async ({ app, params }) => answerWorkload(await getWorkload(app, params.workload!)),
  }),
  appRoute({
    method: 'DELETE',
    path: item,
    operationId: 'deleteWorkloadIdentity',
    summary: 'Take the tokens of a ServiceAccount no longer, on open connections too',
    scope: 'dashboard_keys:admin',
    conditional: true,
    whileArchived: true,
    status: 204,
    response: null,
    async answer({ app, changes, params, expectedRevision }) {
      const current = await getWorkload(app, params.workload!);
      requireRevision(current, expectedRevision);
      await changes.before(workloadEvent('workload_identity.deleted', current.value), () =>
        app.workloadIdentities.delete(current.value.id, expectedRevision),
      );
      return { body: null };
    },
  }),
];

async function getWorkload(app: AppVault, id: string): Promise<Versioned<WorkloadIdentity>> {
  if (!isId(id)) throw new AlterError('not_found', { detail: 'There is no such workload identity in this app.' });
  return app.workloadIdentities.get(id);
}

function answerWorkload({ value, revision }: Versioned<WorkloadIdentity>): { body: object; revision: number } {
  return { body: representWorkloadIdentity(value), revision };
}

/** Uses of it have its id where those of a key have the key's. */
function workloadEvent(event: ChangeEvent['event'], identity: WorkloadIdentity): ChangeEvent {
  return { event, app_id: identity.appId, key_id: identity.id, agent_id: identity.agentId };
}
