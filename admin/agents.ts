import type { Agent, AgentStatus } from '../core/agent.ts';
import type { PageQuery, Versioned } from '../vault/records/record.ts';
import { representGrants } from './grants.ts';
import { requireRevision } from './http/etag.ts';
import { type AppCall, appRoute, type Route } from './http/route.ts';
import { revokeKeys } from './keys.ts';
import { showKeys } from './last-used.ts';
import { listMatching } from './list-matching.ts';
import { checkNewKey, mintKey } from './mint-key.ts';
import type { ChangeEvent } from './record-change.ts';
import { principalRequests, principalResponses } from './schemas/principal-schemas.ts';
import { representAgent, representPage } from './schemas/representation.ts';
import { requests, responses } from './schemas/schemas.ts';

const collection = '/v1/apps/{app}/agents';
const item = `${collection}/{agent}`;

export const agentRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listAgents',
    summary: 'The agents of the app',
    scope: 'dashboard_agents:read',
    query: principalRequests.listAgents,
    status: 200,
    response: principalResponses.agents,
    async answer({ app, query }) {
      const { limit, offset, status } = query;
      const { items, total } =
        status === undefined
          ? await app.agents.list({ limit, offset })
          : await listMatching(
              (page) => app.agents.list(page),
              (agent) => agent.status === status,
              { limit, offset },
            );
      const shown = items.map(({ value }) => representAgent(value));
      return { body: representPage(shown, { total, limit, offset }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'createAgent',
    summary: 'Create an agent: something that works by itself, with keys and grants of its own',
    scope: 'dashboard_agents:write',
    body: principalRequests.createAgent,
    status: 201,
    response: principalResponses.agent,
    async answer({ app, changes, readBody }) {
      const { name, display_name: displayName = null, type, metadata } = readBody();
      const created = await changes.after({
        create: () => app.agents.create({ name, displayName, type, metadata }),
        event: ({ value }) => agentEvent('agent.created', value),
        takeBack: ({ value }) => app.agents.update(value.id, (agent) => ({ ...agent, status: 'revoked' })),
      });
      return answerAgent(created);
    },
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getAgent',
    summary: 'One agent',
    scope: 'dashboard_agents:read',
    status: 200,
    response: principalResponses.agent,
    answer: async ({ app, params }) => answerAgent(await app.agents.get(params.agent!)),
  }),
  appRoute({
    method: 'PATCH',
    path: item,
    operationId: 'updateAgent',
    summary: 'Change the display name or the metadata of an agent',
    scope: 'dashboard_agents:write',
    body: principalRequests.updateAgent,
    conditional: true,
    status: 200,
    response: principalResponses.agent,
    async answer({ app, changes, params, expectedRevision, readBody }) {
      const current = await app.agents.get(params.agent!);
      const body = readBody();
      requireRevision(current, expectedRevision);
      const updated = await changes.before(agentEvent('agent.updated', current.value), () =>
        app.agents.update(
          current.value.id,
          (agent) => ({
            ...agent,
            displayName: body.display_name === undefined ? agent.displayName : body.display_name,
            metadata: body.metadata ?? agent.metadata,
          }),
          expectedRevision,
        ),
      );
      return answerAgent(updated);
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/deprecate`,
    operationId: 'deprecateAgent',
    summary: 'Let an agent run out: it keeps working, and gets no new keys or grants',
    scope: 'dashboard_agents:write',
    status: 200,
    response: principalResponses.agent,
    answer: (call) => setStatus(call, 'deprecated', 'agent.deprecated'),
  }),
  appRoute({
    method: 'POST',
    path: `${item}/revoke`,
    operationId: 'revokeAgent',
    summary: 'Revoke an agent for good, with all its keys and delegations',
    scope: 'dashboard_agents:admin',
    whileArchived: true,
    status: 200,
    response: principalResponses.agent,
    async answer(call) {
      const { app, changes } = call;
      const answered = await setStatus(call, 'revoked', 'agent.revoked');
      const agentId = answered.body.id;
      const list = (page: PageQuery) => app.keys.list({ ...page, agentId });
      await revokeKeys(list, `with its agent ${agentId}`, app, changes);
      return answered;
    },
  }),
  appRoute({
    method: 'GET',
    path: `${item}/keys`,
    operationId: 'listKeysOfAgent',
    summary: 'The keys of an agent',
    scope: 'dashboard_keys:read',
    query: requests.page,
    status: 200,
    response: responses.keys,
    async answer({ app, params, query, now }) {
      const { value: agent } = await app.agents.get(params.agent!);
      const { items, total } = await app.keys.list({ ...query, agentId: agent.id });
      const shown = await showKeys(app, items, now);
      return { body: representPage(shown, { total, ...query }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/keys`,
    operationId: 'mintAgentKey',
    summary: 'Mint a key for an agent; the answer holds its plaintext, this once',
    scope: 'dashboard_keys:write',
    body: principalRequests.mintAgentKey,
    shownOnce: ['key'],
    status: 201,
    response: responses.mintedKey,
    async answer({ app, changes, params, now, readBody }) {
      const { value: agent } = await app.agents.get(params.agent!);
      return mintKey(
        readBody((valid) => checkNewKey(valid, now)),
        { app, changes, now, agent },
      );
    },
  }),
  appRoute({
    method: 'GET',
    path: `${item}/grants`,
    operationId: 'listGrantsOfAgent',
    summary: 'The grants to an agent; what was lent to it stands with the delegations',
    scope: 'dashboard_secrets:read',
    query: requests.page,
    status: 200,
    response: responses.grants,
    async answer({ app, params, query, now }) {
      const { value: agent } = await app.agents.get(params.agent!);
      const page = await app.grants.list({ ...query, principal: { type: 'agent', agentId: agent.id } });
      return { body: representPage(await representGrants(app, page.items, now), { total: page.total, ...query }) };
    },
  }),
];

async function setStatus(
  { app, changes, params }: AppCall<Record<never, never>, Record<never, never>>,
  status: AgentStatus,
  event: ChangeEvent['event'],
): Promise<ReturnType<typeof answerAgent>> {
  const current = await app.agents.get(params.agent!);
  const updated = await changes.before(agentEvent(event, current.value), () =>
    app.agents.update(current.value.id, (agent) => (agent.status === status ? agent : { ...agent, status })),
  );
  return answerAgent(updated);
}

function answerAgent({ value, revision }: Versioned<Agent>) {
  return { body: representAgent(value), revision };
}

function agentEvent(event: ChangeEvent['event'], agent: Agent): ChangeEvent {
  return { event, app_id: agent.appId, agent_id: agent.id };
}
