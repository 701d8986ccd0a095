import { AlterError, type Problem } from '../core/errors.ts';
import { keyStatus, maxWorkingKeys, type RuntimeKey } from '../core/runtime-key.ts';
import type { Page, PageQuery, Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { countKeys } from './count-keys.ts';
import { requireRevision } from './http/etag.ts';
import { appRoute, type Route } from './http/route.ts';
import { showKeys } from './last-used.ts';
import { listMatching } from './list-matching.ts';
import { checkNewKey, keyEvent, mintKey } from './mint-key.ts';
import type { ChangeRecorder } from './record-change.ts';
import { rotateKey } from './rotate-key.ts';
import { representPage } from './schemas/representation.ts';
import { requests, responses } from './schemas/schemas.ts';

const collection = '/v1/apps/{app}/keys';
const item = `${collection}/{key}`;

export const keyRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listKeys',
    summary: 'The runtime keys of the app',
    scope: 'dashboard_keys:read',
    query: requests.listKeys,
    status: 200,
    response: responses.keys,
    async answer({ app, query, now }) {
      const { limit, offset, status } = query;
      const { items, total } =
        status === undefined
          ? await app.keys.list({ limit, offset })
          : await listMatching(
              (page) => app.keys.list(page),
              (key) => keyStatus(key, now) === status, // depends on the time, so that it is no index of the store
              { limit, offset },
            );
      const shown = await showKeys(app, items, now);
      return { body: representPage(shown, { total, limit, offset }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'mintKey',
    summary: 'Mint a runtime key; the answer holds its plaintext, this once',
    scope: 'dashboard_keys:write',
    body: requests.mintKey,
    shownOnce: ['key'],
    status: 201,
    response: responses.mintedKey,
    async answer({ app, changes, now, readBody }) {
      const body = readBody((valid) => [...checkNewKey(valid, now), ...checkAgentOfKey(valid)]);
      const agent = body.agent_id === undefined ? null : (await app.agents.get(body.agent_id)).value;
      return mintKey(body, { app, changes, now, agent });
    },
  }),
  appRoute({
    method: 'GET',
    path: `${collection}/statistics`,
    operationId: 'getKeyStatistics',
    summary: 'How many keys the app has and may have; derived keys are not counted',
    scope: 'dashboard_keys:read',
    status: 200,
    response: responses.keyStatistics,
    answer: async ({ app, now }) => ({ body: { ...(await countKeys(app.keys, now)), max_allowed: maxWorkingKeys } }),
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getKey',
    summary: 'One runtime key, without its plaintext',
    scope: 'dashboard_keys:read',
    status: 200,
    response: responses.key,
    answer: async ({ app, params, now }) => answerKey(app, await app.keys.get(keyIdOf(params.key!)), now),
  }),
  appRoute({
    method: 'PATCH',
    path: item,
    operationId: 'renameKey',
    summary: 'Rename a runtime key',
    scope: 'dashboard_keys:write',
    body: requests.renameKey,
    conditional: true,
    status: 200,
    response: responses.key,
    async answer({ app, changes, params, now, expectedRevision, readBody }) {
      const current = await app.keys.get(keyIdOf(params.key!));
      const { name } = readBody();
      requireRevision(current, expectedRevision);
      const renamed = await changes.before(keyEvent('key.renamed', current.value), () =>
        app.keys.update(current.value.id, (key) => ({ ...key, name }), expectedRevision),
      );
      return answerKey(app, renamed, now);
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/rotate`,
    operationId: 'rotateKey',
    summary:
      'Mint a key in the place of another, which works until it is revoked; the answer holds the plaintext, this once',
    scope: 'dashboard_keys:write',
    body: requests.rotateKey,
    conditional: true,
    shownOnce: ['key'],
    status: 201,
    response: responses.mintedKey,
    async answer({ app, changes, params, now, expectedRevision, readBody }) {
      const current = await app.keys.get(keyIdOf(params.key!));
      const { scopes } = readBody();
      requireRevision(current, expectedRevision);
      return rotateKey(current, { app, changes, now, scopes, expectedRevision });
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/revoke`,
    operationId: 'revokeKey',
    summary: 'Revoke a runtime key for good, with those that were derived from it',
    scope: 'dashboard_keys:admin',
    body: requests.revokeKey,
    whileArchived: true,
    status: 200,
    response: responses.key,
    async answer({ app, changes, params, now, readBody }) {
      const current = await app.keys.get(keyIdOf(params.key!));
      const { force } = readBody();
      if (!force) await requireAnother(current.value, app, now);
      const revoked = await changes.before(keyEvent('key.revoked', current.value), () =>
        app.keys.revoke(current.value.id),
      );
      await revokeDerived(current.value, app, changes);
      return answerKey(app, revoked, now);
    },
  }),
];

/** An agent without a key stands still. Throws `conflict` where this is the only one that is active. */
async function requireAnother(key: RuntimeKey, app: AppVault, now: number): Promise<void> {
  if (key.agentId === null || keyStatus(key, now) !== 'active') return;
  const { value: agent } = await app.agents.get(key.agentId);
  if (agent.status === 'revoked') return;
  const list = (page: PageQuery) => app.keys.list({ ...page, agentId: agent.id });
  const isAnother = (other: RuntimeKey) => other.id !== key.id && keyStatus(other, now) === 'active';
  if ((await listMatching(list, isAnother, { limit: 1, offset: 0 })).total > 0) return;
  throw new AlterError('conflict', {
    detail: `This is the only active key of the agent ${agent.name}, which would stand still without it.`,
    hint: 'Mint or rotate its key first, or force the revocation.',
  });
}

async function revokeDerived(parent: RuntimeKey, app: AppVault, changes: ChangeRecorder): Promise<void> {
  if (parent.keyType !== 'runtime') return;
  await revokeKeys(
    (page) => app.keys.list({ ...page, parentId: parent.id }),
    `derived from ${parent.id}`,
    app,
    changes,
  );
}

/** The proxy refuses them already, as what they hang on is revoked; here their records come to say so. */
export async function revokeKeys(
  list: (page: PageQuery) => Promise<Page<RuntimeKey>>,
  reason: string,
  app: AppVault,
  changes: ChangeRecorder,
): Promise<void> {
  const { items } = await listMatching(list, (key) => key.revokedAt === null, { limit: Infinity, offset: 0 });
  for (const { value: key } of items)
    await changes.before({ ...keyEvent('key.revoked', key), reason }, () => app.keys.revoke(key.id));
}

/** `alter_rk_` and the id is what lists show and logs hold, so it names the key as well. */
export function keyIdOf(idOrPrefix: string): string {
  return idOrPrefix.replace(/^alter_(?:rk|ak|dk)_/, '');
}

async function answerKey(app: AppVault, key: Versioned<RuntimeKey>, now: number) {
  const [shown] = await showKeys(app, [key], now);
  return { body: shown!, revision: key.revision };
}

function checkAgentOfKey(body: Partial<ReturnType<typeof requests.mintKey.parse>>): Problem[] {
  const isAgents = body.key_type === 'agent';
  if (isAgents && body.agent_id === undefined) return [{ field: 'agent_id', message: 'is needed for an agent key' }];
  if (!isAgents && body.agent_id !== undefined) return [{ field: 'agent_id', message: 'is for agent keys only' }];
  return [];
}
