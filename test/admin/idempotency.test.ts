import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { takesIdempotencyKey } from '../../admin/http/answer-once.ts';
import { routes } from '../../admin/routes.ts';
import { dashboardScopes } from '../../core/access-token.ts';
import { type AdminRig, type Ask, type Reply, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
let base: string;

beforeAll(async () => {
  rig = await startAdminRig();
  base = `/v1/apps/${rig.app.id}`;
});
afterAll(() => rig.close());

const make = (key: string, path: string, body: object, ask: Ask = {}): Promise<Reply> =>
  rig.send('POST', path, { ...ask, body, headers: { 'idempotency-key': key, ...ask.headers } });
const total = async (path: string): Promise<number> => (await rig.send('GET', path)).json.total;

describe('the same request with the same Idempotency-Key', () => {
  it('makes one object and gets one answer, also when ten arrive at once', async () => {
    const body = { name: 'Once', credential_value: 'v' };
    const replies = await Promise.all(Array.from({ length: 10 }, () => make('k-1', `${base}/managed-secrets`, body)));
    replies.push(await make('k-1', `${base}/managed-secrets`, body));
    expect(new Set(replies.map(({ text, status, headers }) => `${status} ${headers.etag} ${text}`)).size).toBe(1);
    expect(replies[0]!.status).toBe(201);
    expect(replies.filter(({ headers }) => headers['idempotency-replayed'] === undefined)).toHaveLength(1);
    expect(await total(`${base}/managed-secrets`)).toBe(1);
    expect((await rig.events()).filter(({ event }) => event === 'secret.created')).toHaveLength(1);
  });

  it('never gets a plaintext a second time, and none is kept', async () => {
    const minted = await make('k-2', `${base}/keys`, { name: 'k', scopes: ['grants:read'] });
    const again = await make('k-2', `${base}/keys`, { name: 'k', scopes: ['grants:read'] });
    expect([again.status, again.json]).toEqual([201, { ...minted.json, key: null }]);
    const token = await make('k-2', '/v1/tokens', { name: 't', scopes: ['dashboard_keys:read'] });
    expect(token.json.token).toMatch(/^alter_pat_/);
    expect((await make('k-2', '/v1/tokens', { name: 't', scopes: ['dashboard_keys:read'] })).json).toEqual({
      ...token.json,
      token: null,
    });
    for (const space of [rig.app.id, 'system']) {
      const keys = await rig.vault.keyring.of(space);
      const { records } = await rig.vault.store.list({ space, type: 'idempotency', limit: 100 });
      expect(records.length).toBeGreaterThan(0);
      for (const { id, body, revision } of records) {
        const opened = keys.open({ type: 'idempotency', id, revision }, body).toString();
        expect(opened).not.toContain(minted.json.key);
        expect(opened).not.toContain(token.json.token);
        expect(opened).not.toContain(createHash('sha256').update('v').digest('hex'));
        expect(Buffer.from(body).toString('latin1')).not.toContain('k-2');
      }
    }
  });

  it('says that it is another request where it is one', async () => {
    await make('k-3', `${base}/agents`, { name: 'one' });
    const other = await make('k-3', `${base}/agents`, { name: 'two' });
    expect([other.status, other.json.code]).toEqual([422, 'idempotency_mismatch']);
    expect((await rig.send('GET', `${base}/agents/two`)).status).toBe(404);
  });

  it('is another one for another path, another app and another token', async () => {
    const somebody = await rig.issuePat(dashboardScopes);
    const body = { name: 'same' };
    const ids = [
      await make('k-4', '/v1/apps', body),
      await make('k-4', `${base}/agents`, body),
      await make('k-4', `/v1/apps/${rig.otherApp.id}/agents`, body),
    ].map(({ status, json }) => [status, json.id] as const);
    expect(ids.map(([status]) => status)).toEqual([201, 201, 201]);
    expect(new Set(ids.map(([, id]) => id)).size).toBe(3);
    expect((await make('k-4', '/v1/apps', body, { token: somebody.plaintext })).json.code).toBe('conflict');
    const reader = await rig.issuePat(['dashboard_apps:read']);
    expect((await make('k-4', '/v1/apps', body, { token: reader.plaintext })).json.code).toBe('insufficient_scope');
  });

  it('may be repeated after it failed, since nothing was made', async () => {
    expect((await make('k-5', `${base}/agents`, { name: '-bad-' })).status).toBe(422);
    expect((await make('k-5', `${base}/agents`, { name: 'good' })).status).toBe(201);
    expect((await make('k-6', `${base}/agents`, { name: 'good' })).status).toBe(409);
    expect((await make('k-6', `${base}/agents`, { name: 'better' })).status).toBe(201);
  });

  it('is told that nobody knows where the one that began never ended', async () => {
    const app = await rig.vault.app(rig.app.id);
    const subject = createHash('sha256')
      .update(JSON.stringify(['k-7', 'token', rig.operator.id, undefined, undefined, 'createAgent', `${base}/agents`]))
      .digest('hex');
    const content = app.idempotency.contentOf(JSON.stringify(['', '', { name: 'lost' }]));
    await app.idempotency.begin({ subject, content });
    const reply = await make('k-7', `${base}/agents`, { name: 'lost' });
    expect([reply.status, reply.json.code, reply.headers['retry-after']]).toEqual([409, 'idempotency_pending', '1']);
    expect((await make('k-7', `${base}/agents`, { name: 'else' })).json.code).toBe('idempotency_mismatch');
  });

  it('counts for a day, and what is older is removed with what comes', async () => {
    rig.time.offsetMs += 24 * 3_600_000 + 1;
    expect((await make('k-3', `${base}/agents`, { name: 'two' })).status).toBe(201);
    await make('k-8', `${base}/agents`, { name: 'three' });
    const { total: kept } = await rig.vault.store.list({ space: rig.app.id, type: 'idempotency', limit: 1 });
    expect(kept).toBe(2);
  });
});

it('an Idempotency-Key that is none is refused, and one on a route that makes nothing is not looked at', async () => {
  for (const key of ['a b', 'ä', 'x'.repeat(256)])
    expect((await make(key, `${base}/agents`, { name: 'x' })).json.code).toBe('request_malformed');
  const read = await rig.send('GET', `${base}/agents`, { headers: { 'idempotency-key': 'a b' } });
  expect(read.status).toBe(200);
});

it('every route that makes something says so in the document, and every plaintext is known to be one', async () => {
  const document = (await rig.send('GET', '/openapi.json', { token: null })).json;
  const making = routes.filter(takesIdempotencyKey);
  expect(making.length).toBeGreaterThan(10);
  for (const route of making) {
    const { parameters, responses } = document.paths[route.path].post;
    expect(parameters.map(({ name }: { name: string }) => name)).toContain('Idempotency-Key');
    const { $ref } = responses['201'].content['application/json'].schema;
    const { properties } = document.components.schemas[$ref.split('/').at(-1)];
    const plaintexts = Object.entries<{ description?: string }>(properties)
      .filter(([, { description }]) => /shown this once/i.test(description ?? ''))
      .map(([name]) => name);
    expect([route.operationId, plaintexts]).toEqual([route.operationId, route.shownOnce ?? []]);
  }
});
