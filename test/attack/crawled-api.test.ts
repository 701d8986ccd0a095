import http from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Route } from '../../admin/http/route.ts';
import { routes } from '../../admin/routes.ts';
import { dashboardScopes, hasDashboardScope } from '../../core/access-token.ts';
import { issueId } from '../../core/id.ts';
import { hasRuntimeScope, type RuntimeScope, runtimeScopes } from '../../core/runtime-key.ts';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { inParallel } from '../support/in-parallel.ts';

/** Somebody who tries every door with every key that they could have, looking for a credential or another tenant. */

interface Role {
  readonly name: string;
  readonly token: string | null;
  readonly kind: 'token' | 'key' | 'none';
  readonly scopes: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly code: string | null;
  readonly text: string;
  readonly headers: http.IncomingHttpHeaders;
}

const canary = `c@nary+/"<u>"-${'7d1f'.repeat(6)}`;
/** In each, the canary would be readable again. Base64 has three alignments, of which the inner part is looked for. */
const traces = [
  canary,
  JSON.stringify(canary).slice(1, -1),
  encodeURIComponent(canary),
  Buffer.from(canary).toString('hex'),
  Buffer.from(canary).toString('hex').toUpperCase(),
  [...Buffer.from(canary)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  ...[0, 1, 2].map((shift) =>
    Buffer.from(`${' '.repeat(shift)}${canary}`)
      .toString('base64')
      .slice(4, -4),
  ),
  ...[0, 1, 2].map((shift) =>
    Buffer.from(`${' '.repeat(shift)}${canary}`)
      .toString('base64url')
      .slice(4, -4),
  ),
  '7d1f7d1f7d1f', // the part of it that no encoding of text changes
];

let rig: AdminRig;
let roles: Role[];
/** The ids of one object of each kind, of the app and of another app. */
let own: Record<string, string>;
let foreign: Record<string, string>;
let answers = 0;
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
/** One who fails too often from one address is no longer answered: each such request comes from another one. */
let addresses = 0;

function call(method: string, path: string, role: Pick<Role, 'token'>, body?: string, from?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const url = new URL(rig.url);
    const request = http.request(
      {
        host: url.hostname,
        port: url.port,
        method,
        path,
        ...(from === undefined ? { agent } : { localAddress: from, agent: false as const }),
        headers: {
          ...(role.token === null ? {} : { authorization: `Bearer ${role.token}` }),
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = /json/.test(response.headers['content-type'] ?? '');
          const code = isJson && response.statusCode! >= 400 ? (JSON.parse(text).code as string) : null;
          answers += 1;
          resolve({ status: response.statusCode!, code, text, headers: response.headers });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

function pathTo(route: Route, ids: Record<string, string>): string {
  return route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(ids[name] ?? 'nothing'));
}

/** Nothing that a caller may keep holds a credential, a digest of one, or a plaintext of somebody else. */
function requireClean(route: Route, { text, headers }: Answer): void {
  const seen = `${text}\n${JSON.stringify(headers)}`;
  for (const trace of traces) if (seen.includes(trace)) throw new Error(`${route.operationId} shows ${trace}`);
  for (const { name, token } of roles)
    if (token !== null && seen.includes(token.slice(-30))) throw new Error(`${route.operationId} shows the ${name}`);
}

const withoutId = ({ status, text }: Answer) => `${status} ${text.replace(/"request_id":"[^"]+"/, '"request_id":""')}`;

async function fill(appId: string): Promise<Record<string, string>> {
  const base = `/v1/apps/${appId}`;
  const post = async (path: string, body: object) => {
    const reply = await rig.send('POST', `${base}${path}`, { body });
    if (reply.status !== 201) throw new Error(`${path}: ${reply.text}`);
    return reply.json;
  };
  const secret = await post('/managed-secrets', {
    name: 'One',
    credential_value: canary,
    credentials: { zone: canary },
  });
  await post('/managed-secrets', {
    name: 'Signed',
    credential_type: 'aws_sig_v4',
    credentials: { access_key_id: 'AKIDEXAMPLE', secret_access_key: canary, session_token: canary },
  });
  await rig.send('POST', `${base}/managed-secrets/one/rotate`, { body: { credential_value: `${canary}2` } });
  const provider = { name: 'p', issuer: 'https://i.example', audience: 'a', jwks_url: 'https://i.example/keys' };
  const idp = (await post('/identity-providers', provider)).id;
  const user = (await post('/users', { idp_id: idp, external_id: 'ada' })).id;
  const group = (await post('/groups', { idp_id: idp, external_group_id: 'ops' })).id;
  const made = (await post('/agents', { name: 'robot' })).id;
  const grant = (await post('/managed-secrets/one/grants', { principal_type: 'user', app_user_id: user })).grant_id;
  const key = (await post('/keys', { name: 'k', scopes: ['proxy:execute'] })).id;
  const delegation = await (await rig.vault.app(appId)).delegations.create({
    agentId: made,
    sourceGrantId: grant,
    userId: user,
    expiresAt: rig.clock() + 3_600_000,
  });
  const account = {
    issuer: 'https://k.example',
    namespace: 'shop',
    service_account: 'web',
    jwks_url: 'https://k.example/keys',
  };
  const workload = (await post('/workload-identities', account)).id;
  const event = (await rig.send('GET', `${base}/audit?limit=1`)).json.items[0].id;
  const hook = { name: 'h', url: 'https://hook.example.com/', events: ['key.*'] };
  const webhook = (await post('/webhooks', hook)).id;
  const token = (await rig.issuePat(['dashboard_keys:read'], { appId })).id;
  return {
    ...{ app: appId, secret: secret.id, grant, key, agent: made, idp, user, group },
    ...{ delegation: delegation.value.id, token, webhook, workload, event },
  };
}

beforeAll(async () => {
  rig = await startAdminRig();
  own = await fill(rig.app.id);
  foreign = await fill(rig.otherApp.id);
  const base = `/v1/apps/${rig.app.id}`;
  const keyOf = async (body: object) => (await rig.send('POST', `${base}/keys`, { body })).json.key as string;
  const full = await keyOf({ name: 'full', scopes: runtimeScopes });
  const derived = await rig.send('POST', '/v1/runtime/keys/derive', {
    token: full,
    body: { name: 'd', scopes: ['grants:read'] },
  });
  const ofAgent = { name: 'a', scopes: runtimeScopes, key_type: 'agent', agent_id: own.agent };
  roles = [
    { name: 'nobody', kind: 'none', token: null, scopes: [] },
    { name: 'token without a scope', kind: 'token', token: (await rig.issuePat([])).plaintext, scopes: [] },
    { name: 'runtime key', kind: 'key', token: full, scopes: runtimeScopes },
    {
      name: 'runtime key without a scope that matters',
      kind: 'key',
      token: await keyOf({ name: 'n', scopes: ['audit:read'] }),
      scopes: ['audit:read'],
    },
    { name: 'agent key', kind: 'key', token: await keyOf(ofAgent), scopes: runtimeScopes },
    { name: 'derived key', kind: 'key', token: derived.json.key, scopes: ['grants:read'] },
  ];
  for (const scope of dashboardScopes)
    roles.push({ name: scope, kind: 'token', token: (await rig.issuePat([scope])).plaintext, scopes: [scope] });
});
afterAll(async () => {
  agent.destroy();
  await rig.close();
});

/** What the table says the role may. */
function mayCall({ scope }: Route, role: Role): boolean {
  if (scope === 'public') return true;
  if (typeof scope === 'object')
    return (
      role.kind === 'key' && (scope.runtime === null || hasRuntimeScope(role.scopes as RuntimeScope[], scope.runtime))
    );
  if (role.kind !== 'token') return false;
  return scope === 'any-token' || hasDashboardScope(role.scopes as (typeof dashboardScopes)[number][], scope);
}

/**
 * With CRAWL=all every role knocks at every door; otherwise those whose scope is of the same thing, all that are no scope of
 * a token, and every fifth of the others.
 */
function isVisited(route: Route, role: Role, turn: number): boolean {
  if (process.env.CRAWL === 'all' || role.kind !== 'token' || role.scopes.length === 0 || turn % 5 === 0) return true;
  return typeof route.scope === 'string' && route.scope.split(':')[0] === role.scopes[0]!.split(':')[0];
}

const isOpen = (route: Route) => route.scope === 'public';

describe('a crawler of the admin API', () => {
  it('gets through every door that its key opens and through no other, and finds no credential behind any', async () => {
    const changes = async () => (await rig.events()).length;
    const before = await changes();
    const visits = routes.flatMap((route, index) =>
      roles.filter((role, other) => isVisited(route, role, index + other)).map((role) => ({ route, role })),
    );
    await inParallel(visits, 8, async ({ route, role }) => {
      // A field that no route knows: whoever gets as far as the body changes nothing.
      const body = route.method === 'GET' ? undefined : '{"unknown_field":1}';
      const isStranger = role.kind === 'none' || (typeof route.scope === 'object') !== (role.kind === 'key');
      const from = isStranger && !isOpen(route) ? `127.1.${addresses >> 8}.${addresses++ & 255}` : undefined;
      const answer = await call(route.method, pathTo(route, own), role, body, from);
      requireClean(route, answer);
      const named = `${route.operationId} as ${role.name}`;
      if (mayCall(route, role)) {
        // A key may still be told that it is not one of the right kind, or that it has to show a user.
        const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
        // A backup, for one, is under way only while it is made; and the event is one of an app.
        const isThere = names.every((name) => Object.hasOwn(own, name)) && route.operationId !== 'getSystemAuditEvent';
        const expected = [200, 422, ...(role.kind === 'key' ? [403] : []), ...(isThere ? [] : [404])];
        expect([named, expected.includes(answer.status), answer.text.slice(0, 200)]).toEqual([
          named,
          true,
          expect.anything(),
        ]);
      } else {
        const code = isStranger ? 'unauthenticated' : 'insufficient_scope';
        expect([named, answer.status, answer.code]).toEqual([named, isStranger ? 401 : 403, code]);
      }
    });
    expect(await changes()).toBe(before);
  });

  it('sees another app as if there were none, whatever its own token may', async () => {
    const neighbour = { token: (await rig.issuePat(dashboardScopes, { appId: rig.otherApp.id })).plaintext };
    const unknown = issueId(Date.now());
    await inParallel(
      routes.filter(({ path }) => path.startsWith('/v1/apps/{app}')),
      8,
      async (route) => {
        const body = route.method === 'GET' ? undefined : '{"unknown_field":1}';
        const theirs = await call(route.method, pathTo(route, own), neighbour, body);
        const byName = await call(route.method, pathTo(route, { ...own, app: 'shop' }), neighbour, body);
        const nobodys = await call(route.method, pathTo(route, { ...own, app: unknown }), neighbour, body);
        requireClean(route, theirs);
        expect([route.operationId, theirs.status]).toEqual([route.operationId, 404]);
        expect(withoutId(theirs)).toBe(withoutId(nobodys));
        expect(withoutId(byName)).toBe(withoutId(nobodys));
      },
    );
    const { json } = await rig.send('GET', '/v1/apps', { token: neighbour.token });
    expect(json.items.map(({ id }: { id: string }) => id)).toEqual([rig.otherApp.id]);
    const tokens = await rig.send('GET', '/v1/tokens', { token: neighbour.token });
    expect(tokens.text).not.toContain(own.token);
    const { token: ownToken } = own;
    for (const path of [`/v1/tokens/${ownToken}`, `/v1/tokens/${'0'.repeat(16)}`])
      expect((await rig.send('GET', path, { token: neighbour.token })).status).toBe(404);
  });

  it('gets for the id of another app, and for what is no id, the bytes that it gets for an id of nothing', async () => {
    const operator = { token: rig.operator.plaintext };
    const odd = [
      '1',
      'a,b',
      '*',
      '%2e%2e',
      '%2e',
      'x%2Fy',
      '%2F',
      '%5c',
      '[]',
      '__proto__',
      'constructor',
      '%ff',
      '%F0%9F%94%91',
    ];
    const below = routes.filter(({ path }) => /\/v1\/apps\/\{app\}\/.*\{/.test(path));
    expect(below.length).toBeGreaterThan(30);
    await inParallel(below, 8, async (route) => {
      const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!).filter((name) => name !== 'app');
      const body = route.method === 'GET' ? undefined : '{}';
      for (const name of names) {
        const ask = (id: string) =>
          call(
            route.method,
            route.path.replaceAll(/\{(\w+)\}/g, (_, other: string) => (other === name ? id : own[other]!)),
            operator,
            body,
          );
        const nothing = await ask(issueId(Date.now()));
        expect([route.operationId, nothing.status]).toEqual([route.operationId, 404]);
        for (const id of [foreign[name]!, ...odd]) {
          const answer = await ask(id);
          requireClean(route, answer);
          const isBroken = answer.status === 400; // %ff is no text at all
          expect([route.operationId, id, isBroken ? '' : withoutId(answer)]).toEqual([
            route.operationId,
            id,
            isBroken ? '' : withoutId(nothing),
          ]);
        }
        for (const id of ['..', '.', `${own[name]}/..`, '']) {
          const answer = await ask(id);
          requireClean(route, answer);
          expect([route.operationId, id, [404, 405].includes(answer.status)]).toEqual([route.operationId, id, true]);
        }
      }
    });
  });

  it('brings nothing of another app into its own by naming it in a body', async () => {
    const base = `/v1/apps/${rig.app.id}`;
    const { token: key } = roles.find(({ name }) => name === 'runtime key')!;
    const grants = (body: object) => rig.send('POST', `${base}/managed-secrets/${own.secret}/grants`, { body });
    const runtime = (path: string, body: object) => rig.send('POST', `/v1/runtime${path}`, { token: key, body });
    const before = (await rig.send('GET', `${base}/grants`)).json.total;
    for (const reply of [
      await grants({ principal_type: 'agent', agent_id: foreign.agent }),
      await grants({ principal_type: 'user', app_user_id: foreign.user }),
      await grants({ principal_type: 'group', idp_id: foreign.idp, external_group_id: 'ops' }),
      await rig.send('POST', `${base}/keys`, {
        body: { name: 'x', scopes: ['grants:read'], key_type: 'agent', agent_id: foreign.agent },
      }),
      await rig.send('POST', `${base}/users`, { body: { idp_id: foreign.idp, external_id: 'eve' } }),
      await rig.send('POST', `${base}/groups`, { body: { idp_id: foreign.idp, external_group_id: 'eves' } }),
      await runtime('/grants', { managed_secret: foreign.secret, principal_type: 'system' }),
      await runtime('/grants', { managed_secret: own.secret, principal_type: 'agent', agent_id: foreign.agent }),
    ])
      expect([reply.status, [404, 422].includes(reply.status)]).toEqual([reply.status, true]);
    expect((await rig.send('GET', `${base}/grants`)).json.total).toBe(before);
  });

  it('really knocked', () => {
    expect(answers).toBeGreaterThan(2_000);
    expect(rig.logged.join('\n')).not.toContain('7d1f7d1f7d1f');
  });
});
