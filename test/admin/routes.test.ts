import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { routes } from '../../admin/routes.ts';
import { type DashboardScope, dashboardScopes, hasDashboardScope } from '../../core/access-token.ts';
import { hasRuntimeScope, type RuntimeScope, runtimeScopes } from '../../core/runtime-key.ts';
import { findToken } from '../../core/token.ts';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
let base: string;

beforeAll(async () => {
  rig = await startAdminRig();
  base = `/v1/apps/${rig.app.id}`;
});
afterAll(() => rig.close());

const createSecret = async (more: object = {}) =>
  (await rig.send('POST', `${base}/managed-secrets`, { body: { name: 'Stripe', credential_value: 'v-1', ...more } }))
    .json;

const eventsAbout = async (id: string) =>
  (await rig.events()).filter((event) => [event.managed_secret_id, event.grant_id, event.key_id].includes(id));

describe('apps', () => {
  it('are created, listed, and found by id and by name', async () => {
    const created = await rig.send('POST', '/v1/apps', { body: { name: 'billing' } });
    expect(created.status).toBe(201);
    expect(created.headers.etag).toBe('"1"');
    expect((await rig.send('GET', '/v1/apps/billing')).json).toEqual(created.json);
    expect((await rig.send('GET', `/v1/apps/${created.json.id}`)).json).toEqual(created.json);
    const list = await rig.send('GET', '/v1/apps?limit=1&offset=1');
    expect(list.json).toMatchObject({ total: 3, limit: 1, offset: 1, has_more: true });
    expect(list.json.items).toHaveLength(1);
    expect(await rig.events(created.json.id)).toMatchObject([
      { event: 'app.created', principal_type: 'token', principal_id: rig.operator.id, client_ip: '127.0.0.1' },
    ]);
  });

  it('have a name of their own: a second of the same name is a conflict', async () => {
    const again = await rig.send('POST', '/v1/apps', { body: { name: 'shop' } });
    expect([again.status, again.json.code]).toEqual([409, 'conflict']);
  });

  it('are not called like an id', async () => {
    expect((await rig.send('POST', '/v1/apps', { body: { name: rig.app.id } })).json.problems[0].field).toBe('name');
  });
});

describe('managed secrets', () => {
  it('are created with a base grant, defaults of their type, and an audit record', async () => {
    const reply = await rig.send('POST', `${base}/managed-secrets`, {
      body: {
        name: 'Stripe (EU)',
        slug: 'mine',
        credential_value: 'sk_1',
        allowed_hosts: ['API.Stripe.com:443', 'api.stripe.com'],
      },
    });
    expect(reply.status).toBe(201);
    expect(reply.json).toMatchObject({
      slug: 'stripe-eu',
      credential_type: 'bearer_token',
      injection_header: 'Authorization',
      injection_format: 'Bearer {token}',
      injection_rules: [],
      allowed_hosts: ['api.stripe.com'],
      description: null,
      version: 1,
      rotated_at: null,
    });
    const grant = await rig.send('GET', `${base}/grants/${reply.json.grant_id}`);
    expect(grant.json).toMatchObject({
      managed_secret_slug: 'stripe-eu',
      managed_secret_name: 'Stripe (EU)',
      principal_type: 'system',
      label: 'default',
      status: 'active',
    });
    expect(await eventsAbout(reply.json.id)).toMatchObject([
      { event: 'secret.created', managed_secret_slug: 'stripe-eu', grant_id: reply.json.grant_id, decision: 'allow' },
    ]);
  });

  it('take every type of credential and additional rules', async () => {
    const basic = await createSecret({
      name: 'basic',
      credential_type: 'basic_auth',
      credential_value: undefined,
      credentials: { username: 'u', password: 'p', region: 'eu' },
      injection_rules: [
        { target: 'query', name: 'region', format: '{region}' },
        { target: 'header', name: 'X-Version', format: '2024-01-01' },
      ],
      label: 'first',
    });
    expect(basic).toMatchObject({ credential_type: 'basic_auth', injection_format: 'Basic {token}' });
    expect(basic.injection_rules).toHaveLength(2);
    const header = await createSecret({ name: 'dd', credential_type: 'header_key', injection_header: 'DD-API-KEY' });
    expect(header).toMatchObject({ injection_header: 'DD-API-KEY', injection_format: '{token}' });
  });

  it('are listed and found by id and slug', async () => {
    const created = await createSecret({ name: 'Findable' });
    const { grant_id: _, ...shown } = created;
    expect((await rig.send('GET', `${base}/managed-secrets/findable`)).json).toEqual(shown);
    expect((await rig.send('GET', `${base}/managed-secrets/${created.id}`)).json).toEqual(shown);
    expect((await rig.send('GET', `${base}/managed-secrets`)).json.items).toContainEqual(shown);
  });

  it('change their words and their injection, and nothing else', async () => {
    const created = await createSecret({ name: 'Before', description: 'old' });
    const changed = await rig.send('PATCH', `${base}/managed-secrets/${created.slug}`, {
      body: {
        name: 'After',
        description: null,
        injection_header: 'X-Token',
        injection_format: 'v={token}',
        account_identifier: 'acct_1',
      },
    });
    expect(changed.status).toBe(200);
    expect(changed.json).toMatchObject({
      slug: 'before',
      name: 'After',
      description: null,
      injection_header: 'X-Token',
      injection_format: 'v={token}',
      account_identifier: 'acct_1',
      version: 1,
    });
    expect((await eventsAbout(created.id)).map(({ event }) => event)).toEqual(['secret.created', 'secret.updated']);
  });

  it('rotate to a new version without losing a grant', async () => {
    const created = await createSecret({ name: 'Rotating' });
    const rotated = await rig.send('POST', `${base}/managed-secrets/rotating/rotate`, {
      body: { credential_value: 'v-2' },
    });
    expect(rotated.json).toMatchObject({ version: 2, rotated_at: expect.any(String) });
    expect((await rig.send('GET', `${base}/grants/${created.grant_id}`)).json.status).toBe('active');
    expect((await eventsAbout(created.id)).at(-1)).toMatchObject({ event: 'secret.rotated', secret_version: 2 });
  });

  it('refuse a rotation that takes a field away from a rule', async () => {
    await createSecret({
      name: 'Fielded',
      credentials: { region: 'eu' },
      injection_rules: [{ target: 'query', name: 'r', format: '{region}' }],
    });
    const reply = await rig.send('POST', `${base}/managed-secrets/fielded/rotate`, {
      body: { credential_value: 'v-2' },
    });
    expect([reply.status, reply.json.problems[0].field]).toEqual([422, 'injection_rules[0].format']);
  });

  it('have their allowed hosts replaced as a whole', async () => {
    await createSecret({ name: 'Hosted', allowed_hosts: ['a.example.com'] });
    const set = (hosts: string[]) =>
      rig.send('PUT', `${base}/managed-secrets/hosted/allowed-hosts`, { body: { hosts } });
    expect((await set(['*.Example.com:8443', 'b.example.com:443'])).json.allowed_hosts).toEqual([
      '*.example.com:8443',
      'b.example.com',
    ]);
    expect((await set([])).json.allowed_hosts).toEqual([]);
  });

  it('are deleted for good; their grants are revoked and stay listed', async () => {
    const created = await createSecret({ name: 'Gone' });
    const deleted = await rig.send('DELETE', `${base}/managed-secrets/gone`);
    expect([deleted.status, deleted.text]).toEqual([204, '']);
    expect((await rig.send('GET', `${base}/managed-secrets/gone`)).status).toBe(404);
    expect((await rig.send('GET', `${base}/grants/${created.grant_id}`)).json).toMatchObject({
      status: 'revoked',
      managed_secret_id: created.id,
      managed_secret_slug: null,
    });
  });

  it('honour If-Match: an old revision is 412, with nothing changed', async () => {
    const created = await createSecret({ name: 'Matched' });
    const path = `${base}/managed-secrets/${created.id}`;
    const first = await rig.send('GET', path);
    const patched = await rig.send('PATCH', path, {
      body: { name: 'M2' },
      headers: { 'if-match': first.headers.etag },
    });
    expect([patched.status, patched.headers.etag]).toEqual([200, '"2"']);
    for (const [method, suffix, body] of [
      ['PATCH', '', { name: 'M3' }],
      ['PUT', '/allowed-hosts', { hosts: ['x.example.com'] }],
      ['POST', '/rotate', { credential_value: 'v-9' }],
      ['DELETE', '', undefined],
    ] as const) {
      for (const tag of ['"1"', 'W/"2"', '"abc"']) {
        const reply = await rig.send(method, path + suffix, { body, headers: { 'if-match': tag } });
        expect([reply.status, reply.json.code]).toEqual([412, 'revision_conflict']);
      }
    }
    expect((await rig.send('PATCH', path, { body: {}, headers: { 'if-match': '2' } })).status).toBe(400);
    expect((await rig.send('GET', path)).json).toEqual({ ...patched.json });
    expect((await rig.send('PATCH', path, { body: { name: 'M4' }, headers: { 'if-match': '*' } })).status).toBe(200);
  });

  it('lose no concurrent rotation', async () => {
    const created = await createSecret({ name: 'Raced' });
    const rotate = (n: number) =>
      rig.send('POST', `${base}/managed-secrets/raced/rotate`, { body: { credential_value: `v-${n}` } });
    const replies = await Promise.all([rotate(1), rotate(2), rotate(3)]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await rig.send('GET', `${base}/managed-secrets/${created.id}`)).json.version).toBe(4);
  });
});

describe('grants', () => {
  it('are created, changed, listed and revoked', async () => {
    const secret = await createSecret({ name: 'Granted' });
    const path = `${base}/managed-secrets/granted/grants`;
    const until = new Date(rig.clock() + 3_600_000).toISOString();
    const created = await rig.send('POST', path, {
      body: { principal_type: 'system', label: 'ci', expires_at: until },
    });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({
      label: 'ci',
      expires_at: until,
      status: 'active',
      managed_secret_id: secret.id,
    });
    const item = `${base}/grants/${created.json.grant_id}`;
    const changed = await rig.send('PATCH', item, {
      body: { label: 'cd', description: 'deploys', expires_at: null },
      headers: { 'if-match': created.headers.etag },
    });
    expect(changed.json).toMatchObject({ label: 'cd', description: 'deploys', expires_at: null });
    expect((await rig.send('PATCH', item, { body: {}, headers: { 'if-match': '"1"' } })).status).toBe(412);
    const list = await rig.send('GET', `${path}?limit=1`);
    expect(list.json).toMatchObject({ total: 2, limit: 1, has_more: true });
    expect((await rig.send('GET', `${base}/grants`)).json.items).toContainEqual(changed.json);
    const revoked = await rig.send('POST', `${item}/revoke`);
    expect(revoked.json).toMatchObject({ status: 'revoked', revoked_at: expect.any(String) });
    expect((await rig.send('POST', `${item}/revoke`)).json).toEqual(revoked.json);
    expect((await rig.send('PATCH', item, { body: { label: 'x' } })).json.code).toBe('conflict');
    expect((await eventsAbout(created.json.grant_id)).map(({ event }) => event).slice(0, 3)).toEqual([
      'grant.created',
      'grant.updated',
      'grant.revoked',
    ]);
  });

  it('are listed with the secrets and last uses of all of them, asked for together', async () => {
    const many = 12;
    for (let made = 0; made < many; made++) await createSecret({ name: `Of a page ${made}` });
    const { store } = rig.vault;
    const get = jest.spyOn(store, 'get');
    const { json } = await rig.send('GET', `${base}/grants?limit=${many}`);
    const questions = get.mock.calls.length;
    get.mockRestore();
    expect(new Set(json.items.map((grant: { managed_secret_id: string }) => grant.managed_secret_id)).size).toBe(many);
    expect(questions).toBeLessThan(many / 2);
  });

  it('are shown as expired from the very moment of their end', async () => {
    await createSecret({ name: 'Ending' });
    const end = rig.clock() + 60_000;
    const { json } = await rig.send('POST', `${base}/managed-secrets/ending/grants`, {
      body: { principal_type: 'system', expires_at: new Date(end).toISOString() },
    });
    rig.time.offsetMs = 61_000;
    expect((await rig.send('GET', `${base}/grants/${json.grant_id}`)).json.status).toBe('expired');
    rig.time.offsetMs = 0;
  });

  it('name their principal by the fields of its type, and by no others', async () => {
    await createSecret({ name: 'Principled' });
    const problems = async (body: object) =>
      (await rig.send('POST', `${base}/managed-secrets/principled/grants`, { body })).json.problems.map(
        ({ field, message }: { field: string; message: string }) => `${field} ${message}`,
      );
    expect(await problems({ principal_type: 'agent' })).toEqual([
      'agent_id is needed for a grant to principal_type agent',
    ]);
    expect(await problems({ principal_type: 'group', app_user_id: 'x' })).toEqual([
      'app_user_id is not used for a grant to principal_type group',
      'idp_id is needed for a grant to principal_type group',
      'external_group_id is needed for a grant to principal_type group',
    ]);
    expect(await problems({ principal_type: 'system', agent_id: 'x' })).toEqual([
      'agent_id is not used for a grant to principal_type system',
    ]);
    expect(await problems({ principal_type: 'root' })).toEqual([
      'principal_type must be one of system, user, group, agent',
    ]);
  });
});

describe('keys', () => {
  it('are minted with their plaintext once, and never shown again', async () => {
    const minted = await rig.send('POST', `${base}/keys`, {
      body: {
        name: 'ci',
        scopes: ['proxy:execute'],
        cidr: ['10.0.0.0/8', '2001:db8::/32'],
        rate_limit_rpm: 60,
        expires_in: '12h',
      },
    });
    expect(minted.status).toBe(201);
    const token = findToken(minted.json.key);
    expect(token).toMatchObject({ kind: 'runtime', id: minted.json.id });
    const { key: _, ...shown } = minted.json;
    expect(shown).toMatchObject({ key_type: 'runtime', key_prefix: `alter_rk_${token!.id}`, status: 'active' });
    expect(Date.parse(shown.expires_at) - Date.parse(shown.created_at)).toBe(12 * 3_600_000);
    expect((await rig.send('GET', `${base}/keys/${shown.id}`)).json).toEqual(shown);
    expect((await rig.send('GET', `${base}/keys/${shown.key_prefix}`)).json).toEqual(shown);
    const renamed = await rig.send('PATCH', `${base}/keys/${shown.id}`, { body: { name: 'cd' } });
    expect(renamed.json).toEqual({ ...shown, name: 'cd' });
    const revoked = await rig.send('POST', `${base}/keys/${shown.id}/revoke`);
    expect(revoked.json.status).toBe('revoked');
    expect((await eventsAbout(shown.id)).map(({ event }) => event)).toEqual([
      'key.minted',
      'key.renamed',
      'key.revoked',
    ]);
  });

  it('are listed by status', async () => {
    for (const name of ['a', 'b', 'c'])
      await rig.send('POST', `${base}/keys`, { body: { name, scopes: ['proxy:execute'] } });
    const first = await rig.send('GET', `${base}/keys?status=active&limit=1`);
    expect(first.json).toMatchObject({ total: 3, limit: 1, offset: 0, has_more: true });
    const rest = await rig.send('GET', `${base}/keys?status=active&limit=2&offset=1`);
    expect(rest.json).toMatchObject({ total: 3, limit: 2, offset: 1, has_more: false });
    const names = [...first.json.items, ...rest.json.items].map(({ name }: { name: string }) => name);
    expect(new Set(names)).toEqual(new Set(['a', 'b', 'c']));
    expect((await rig.send('GET', `${base}/keys?status=revoked`)).json.total).toBe(1);
    expect((await rig.send('GET', `${base}/keys?status=lost`)).json.problems[0].field).toBe('status');
    expect((await rig.send('GET', `${base}/keys`)).json.total).toBe(4);
  });

  it('say everything that is wrong with them at once', async () => {
    const reply = await rig.send('POST', `${base}/keys`, {
      body: {
        scopes: ['proxy:execute', 'root'],
        cidr: ['0.0.0.0/0', '10.0.0.0/8:443', 'nonsense'],
        rate_limit_rpm: 0,
        expires_in: '12h',
        expires_at: '2001-01-01T00:00:00Z',
        key_type: 'robot',
      },
    });
    expect(reply.status).toBe(422);
    expect(reply.json.problems.map(({ field }: { field: string }) => field)).toEqual([
      'name',
      'scopes[1]',
      'rate_limit_rpm',
      'key_type',
      'cidr[0]',
      'cidr[1]',
      'cidr[2]',
      'expires_in',
      'expires_at',
    ]);
  });
});

describe('audit', () => {
  it('is paged by cursor in both directions and filtered', async () => {
    const secret = await createSecret({ name: 'Audited' });
    await rig.send('PATCH', `${base}/managed-secrets/audited`, { body: { name: 'Audited 2' } });
    const all: string[] = [];
    let after = '';
    for (;;) {
      const { json } = await rig.send('GET', `${base}/audit?order=asc&limit=3${after}`);
      all.push(...json.items.map(({ id }: { id: string }) => id));
      if (!json.has_more) break;
      after = `&after=${encodeURIComponent(json.next)}`;
    }
    const newest = await rig.send('GET', `${base}/audit`);
    expect(newest.json.items.map(({ id }: { id: string }) => id).reverse()).toEqual(all);
    expect(newest.json).toMatchObject({ has_more: false, next: null });
    const about = await rig.send('GET', `${base}/audit?secret=audited&order=asc`);
    expect(about.json.items.map(({ event }: { event: string }) => event)).toEqual(['secret.created', 'secret.updated']);
    expect((await rig.send('GET', `${base}/audit?secret=${secret.id}&event=secret.updated`)).json.items).toHaveLength(
      1,
    );
    expect((await rig.send('GET', `${base}/audit?host=nowhere.example.com`)).json.items).toEqual([]);
    expect((await rig.send('GET', `${base}/audit?event=nothing`)).status).toBe(422);
  });

  it('answers a cursor that it never gave with a 4xx', async () => {
    for (const after of ['0', 'x', '%00', '-1', '99999999999999999999'])
      expect((await rig.send('GET', `${base}/audit?after=${after}`)).status).toBeLessThan(500);
  });
});

describe('a token', () => {
  it('can ask who it is and which authority workloads trust', async () => {
    expect((await rig.send('GET', '/v1/me')).json).toMatchObject({ id: rig.operator.id, app_id: null });
    expect((await rig.send('GET', '/v1/ca')).json.certificate).toMatch(/^-----BEGIN CERTIFICATE-----/);
  });
});

const scoped = routes.filter(({ scope }) => scope !== 'public' && scope !== 'any-token' && typeof scope !== 'object');
const forCode = routes.filter(({ scope }) => typeof scope === 'object');
const fill = (path: string, app: string) =>
  path
    .replace('{app}', app)
    .replace('{secret}', 'stripe')
    .replace(/\{(grant|key|delegation)\}/, '0190a0a0-0000-7000-8000-000000000000');

describe('every route', () => {
  it.each(scoped.map((route) => [`${route.method} ${route.path}`, route] as const))(
    '%s is closed to a token that holds every scope but those that allow it',
    async (_, route) => {
      const scopes = dashboardScopes.filter((scope) => !hasDashboardScope([scope], route.scope as DashboardScope));
      const token = (await rig.issuePat(scopes)).plaintext;
      for (const app of [rig.app.id, 'no-such-app']) {
        const reply = await rig.send(route.method, fill(route.path, app), { token });
        expect([reply.status, reply.json.code]).toEqual([403, 'insufficient_scope']);
        expect(reply.json.detail).toContain(route.scope);
      }
    },
  );

  it.each(forCode.map((route) => [`${route.method} ${route.path}`, route] as const))(
    '%s is closed to keys that lack its scope, and to those used from elsewhere',
    async (_, route) => {
      const { runtime } = route.scope as { readonly runtime: RuntimeScope | null };
      const mint = async (body: object) =>
        (
          await rig.send('POST', `${base}/keys`, {
            body: {
              name: 'k',
              scopes: runtimeScopes.filter((scope) => runtime === null || !hasRuntimeScope([scope], runtime)),
              ...body,
            },
          })
        ).json;
      const ask = (token: string) => rig.send(route.method, fill(route.path, ''), { token, body: {} });
      if (runtime !== null) {
        const reply = await ask((await mint({})).key);
        expect([reply.status, reply.json.code]).toEqual([403, 'insufficient_scope']);
      }
      const elsewhere = await ask((await mint({ scopes: runtimeScopes, cidr: ['192.0.2.0/24'] })).key);
      expect([elsewhere.status, elsewhere.json.policy_error]).toEqual([403, 'ip_not_allowed']);
    },
  );

  it('for application code is closed to tokens and to dead keys, as all others are to keys', async () => {
    const { id, key } = (await rig.send('POST', `${base}/keys`, { body: { name: 'k', scopes: ['proxy:execute'] } }))
      .json;
    expect((await rig.send('GET', '/v1/runtime/me', { token: key })).json).toMatchObject({
      app_id: rig.app.id,
      key: { id, key_type: 'runtime' },
      agent: null,
      user: null,
    });
    expect((await rig.send('GET', `${base}/keys`, { token: key })).status).toBe(401);
    expect((await rig.send('GET', '/v1/runtime/me')).status).toBe(401);
    await rig.send('POST', `${base}/keys/${id}/revoke`);
    expect((await rig.send('GET', '/v1/runtime/me', { token: key })).status).toBe(401);
  });

  const inApp = routes.filter((route) => route.path.includes('{app}'));
  it.each(inApp.map((route) => [`${route.method} ${route.path}`, route] as const))(
    '%s answers with the same bytes for an unknown app, an app the token may not see and an object that is not there',
    async (_, route) => {
      const bound = (await rig.issuePat(dashboardScopes, { appId: rig.app.id })).plaintext;
      const bare = ({ json, status }: { json: object; status: number }) => ({ ...json, status, request_id: null });
      const unknown = await rig.send(route.method, fill(route.path, 'no-such-app'), { token: bound, body: {} });
      const foreign = await rig.send(route.method, fill(route.path, rig.otherApp.id), { token: bound, body: {} });
      const named = await rig.send(route.method, fill(route.path, 'neighbour'), { token: bound, body: {} });
      expect(unknown.json.code).toBe('not_found');
      expect(bare(foreign)).toEqual(bare(unknown));
      expect(bare(named)).toEqual(bare(unknown));
      if (/\{(secret|grant|key)\}/.test(route.path)) {
        for (const id of ['..%2f', '*', '%00', 'constructor', '0190a0a0-0000-7000-8000-000000000000']) {
          const path = route.path.replace('{app}', rig.app.id).replace(/\{\w+\}/, id);
          expect(bare(await rig.send(route.method, path, { token: bound, body: {} }))).toEqual(bare(unknown));
        }
      }
    },
  );

  it('keeps the objects of one app from the other, by id and by slug', async () => {
    const secret = await createSecret({ name: 'Mine alone' });
    const key = (await rig.send('POST', `${base}/keys`, { body: { name: 'k', scopes: ['proxy:execute'] } })).json;
    for (const path of [
      `managed-secrets/${secret.id}`,
      `managed-secrets/${secret.slug}`,
      `grants/${secret.grant_id}`,
      `keys/${key.id}`,
    ])
      expect((await rig.send('GET', `/v1/apps/${rig.otherApp.id}/${path}`)).json.code).toBe('not_found');
  });

  it('shows a token that is limited to one app no other app, and lets it create none', async () => {
    const token = (await rig.issuePat(dashboardScopes, { appId: rig.app.id })).plaintext;
    const list = await rig.send('GET', '/v1/apps', { token });
    expect(list.json.items.map(({ id }: { id: string }) => id)).toEqual([rig.app.id]);
    expect((await rig.send('POST', '/v1/apps', { token, body: { name: 'more' } })).json.code).toBe(
      'insufficient_scope',
    );
  });
});
