import { findAddressRange } from '../core/address.ts';
import type { Problem } from '../core/errors.ts';
import { type KeyStatus, keyStatus, type RuntimeKey, type RuntimeScope } from '../core/runtime-key.ts';
import { issueToken } from '../core/token.ts';
import type { KeyRepository } from '../vault/key-repository.ts';
import type { Versioned } from '../vault/record.ts';
import { requireRevision } from './etag.ts';
import { checkEnd, durationMs, endOf } from './parse-time.ts';
import type { ChangeEvent } from './record-change.ts';
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
      const body = readBody((valid) => checkNewKey(valid, now));
      const token = issueToken('runtime');
      const key: RuntimeKey = {
        id: token.id,
        appId: app.appId,
        keyType: 'runtime',
        agentId: null,
        parentId: null,
        name: body.name,
        scopes: [...new Set<RuntimeScope>(body.scopes)],
        cidr: [...new Set(body.cidr)],
        rateLimitRpm: body.rate_limit_rpm ?? null,
        expiresAt: body.expires_in === undefined ? endOf(body.expires_at) : now + durationMs(body.expires_in),
        digest: token.digest.toString('hex'),
        createdAt: now,
        revokedAt: null,
      };
      const minted = await changes.before(keyEvent('key.minted', key), () => app.keys.create(key));
      return { body: { ...representKey(minted.value, now), key: token.plaintext }, revision: minted.revision };
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

function keyEvent(event: ChangeEvent['event'], key: RuntimeKey): ChangeEvent {
  return { event, app_id: key.appId, key_id: key.id };
}

function checkNewKey(body: Partial<ReturnType<typeof requests.mintKey.parse>>, now: number): Problem[] {
  const problems: Problem[] = [];
  (body.cidr ?? []).forEach((text, index) => {
    const range = findAddressRange(text);
    const field = `cidr[${index}]`;
    if (range === null || range.port !== null)
      problems.push({ field, message: 'is not a range of addresses, such as 203.0.113.0/24 or 2001:db8::/32' });
    else if (range.prefix === 0) problems.push({ field, message: 'holds every address; leave cidr out instead' });
  });
  const { expires_in: expiresIn, expires_at: expiresAt } = body;
  if (expiresIn !== undefined && expiresAt !== undefined && expiresAt !== null)
    problems.push({ field: 'expires_in', message: 'and expires_at exclude each other' });
  if (expiresIn !== undefined) problems.push(...checkEnd(now + durationMs(expiresIn), { field: 'expires_in', now }));
  return [...problems, ...checkEnd(endOf(expiresAt), { field: 'expires_at', now })];
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
