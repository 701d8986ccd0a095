import type { Problem } from '../core/errors.ts';
import { type KeyStatus, keyStatus, type RuntimeKey } from '../core/runtime-key.ts';
import type { KeyRepository } from '../vault/key-repository.ts';
import type { Versioned } from '../vault/record.ts';
import { requireRevision } from './etag.ts';
import { checkNewKey, keyEvent, mintKey } from './mint-key.ts';
import { representKey, representPage } from './representation.ts';
import { appRoute, type Route } from './route.ts';
import { requests, responses } from './schemas.ts';

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
          : await listWithStatus(app.keys, { limit, offset, status, now });
      const shown = items.map(({ value }) => representKey(value, now));
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
    path: item,
    operationId: 'getKey',
    summary: 'One runtime key, without its plaintext',
    scope: 'dashboard_keys:read',
    status: 200,
    response: responses.key,
    answer: async ({ app, params, now }) => answerKey(await app.keys.get(keyIdOf(params.key!)), now),
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
      return answerKey(renamed, now);
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/revoke`,
    operationId: 'revokeKey',
    summary: 'Revoke a runtime key for good',
    scope: 'dashboard_keys:admin',
    status: 200,
    response: responses.key,
    async answer({ app, changes, params, now }) {
      const current = await app.keys.get(keyIdOf(params.key!));
      const revoked = await changes.before(keyEvent('key.revoked', current.value), () =>
        app.keys.revoke(current.value.id),
      );
      return answerKey(revoked, now);
    },
  }),
];

/** `alter_rk_` and the id is what lists show and logs hold, so it names the key as well. */
export function keyIdOf(idOrPrefix: string): string {
  return idOrPrefix.replace(/^alter_(?:rk|ak|dk)_/, '');
}

function answerKey({ value, revision }: Versioned<RuntimeKey>, now: number) {
  return { body: representKey(value, now), revision };
}

function checkAgentOfKey(body: Partial<ReturnType<typeof requests.mintKey.parse>>): Problem[] {
  const isAgents = body.key_type === 'agent';
  if (isAgents && body.agent_id === undefined) return [{ field: 'agent_id', message: 'is needed for an agent key' }];
  if (!isAgents && body.agent_id !== undefined) return [{ field: 'agent_id', message: 'is for agent keys only' }];
  return [];
}

const pageSize = 1000;

/** The status depends on the time, so it is no index of the store: all keys of the app are read, a page at a time. */
async function listWithStatus(
  keys: KeyRepository,
  of: { limit: number; offset: number; status: KeyStatus; now: number },
): Promise<{ items: readonly Versioned<RuntimeKey>[]; total: number }> {
  const items: Versioned<RuntimeKey>[] = [];
  let matching = 0;
  for (let offset = 0; ; offset += pageSize) {
    const page = await keys.list({ limit: pageSize, offset });
    for (const key of page.items) {
      if (keyStatus(key.value, of.now) !== of.status) continue;
      if (matching >= of.offset && items.length < of.limit) items.push(key);
      matching += 1;
    }
    if (page.items.length === 0 || offset + pageSize >= page.total) return { items, total: matching };
  }
}
