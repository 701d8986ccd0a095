import type { Delegation } from '../core/delegation.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { findSecret } from './grants.ts';
import { appRoute, type Route } from './http/route.ts';
import { principalRequests, principalResponses } from './schemas/principal-schemas.ts';
import { representDelegation, representPage } from './schemas/representation.ts';

const collection = '/v1/apps/{app}/delegations';
const item = `${collection}/{delegation}`;

export const delegationRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listDelegations',
    summary: 'What users lent to agents; of the filters, at most one',
    scope: 'dashboard_secrets:read',
    query: principalRequests.listDelegations,
    status: 200,
    response: principalResponses.delegations,
    async answer({ app, query, now }) {
      const { limit, offset, agent, user, grant } = query;
      const agentId = agent === undefined ? undefined : (await app.agents.get(agent)).value.id;
      const found = await app.delegations.list({ limit, offset, agentId, userId: user, sourceGrantId: grant });
      const shown: object[] = [];
      for (const one of found.items) shown.push(await represent(app, one.value, now));
      return { body: representPage(shown, { total: found.total, limit, offset }) };
    },
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getDelegation',
    summary: 'One delegation',
    scope: 'dashboard_secrets:read',
    status: 200,
    response: principalResponses.delegation,
    answer: async ({ app, params, now }) => answerDelegation(app, await app.delegations.get(params.delegation!), now),
  }),
  appRoute({
    method: 'POST',
    path: `${item}/revoke`,
    operationId: 'revokeDelegation',
    summary: 'Revoke a delegation for good; it stays listed',
    scope: 'dashboard_secrets:write',
    whileArchived: true,
    status: 200,
    response: principalResponses.delegation,
    async answer({ app, changes, params, now }) {
      const { value } = await app.delegations.get(params.delegation!);
      const event = {
        event: 'delegation.revoked',
        app_id: value.appId,
        grant_id: value.id,
        agent_id: value.agentId,
        user_id: value.userId,
      } as const;
      return answerDelegation(app, await changes.before(event, () => app.delegations.revoke(value.id)), now);
    },
  }),
];

async function answerDelegation(app: AppVault, { value, revision }: Versioned<Delegation>, now: number) {
  return { body: await represent(app, value, now), revision };
}

async function represent(app: AppVault, delegation: Delegation, now: number) {
  const { value: grant } = await app.grants.get(delegation.sourceGrantId);
  const secret = await findSecret(app.secrets, grant.secretId);
  return representDelegation(delegation, { secretId: grant.secretId, secret }, now);
}
