import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dashboardScopes } from '../../core/access-token.ts';
import { findToken } from '../../core/token.ts';
import { type AdminRig, type Reply, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
let base: string;
let idpId: string;
let secretId: string;
let issuers = 0;

const post = (path: string, body: object): Promise<Reply> => rig.send('POST', `${base}${path}`, { body });
const get = (path: string): Promise<Reply> => rig.send('GET', `${base}${path}`);
const createProvider = async (over: object = {}) =>
  post('/identity-providers', {
    name: 'Okta',
    issuer: `https://idp-${++issuers}.example.com`,
    audience: 'api',
    jwks_url: 'https://idp.example.com/keys',
    ...over,
  });
const createUser = async (externalId: string, over: object = {}) =>
  (await post('/users', { idp_id: idpId, external_id: externalId, ...over })).json.id as string;
const grantTo = async (body: object) => post(`/managed-secrets/${secretId}/grants`, body);
const codeOf = ({ status, json }: Reply) => [status, json?.code];

beforeAll(async () => {
  rig = await startAdminRig();
  base = `/v1/apps/${rig.app.id}`;
  idpId = (await createProvider()).json.id;
  secretId = (await post('/managed-secrets', { name: 'Stripe', credential_value: 'v' })).json.id;
});
afterAll(() => rig.close());

describe('identity providers', () => {
  it('are created with defaults, shown, changed and deleted', async () => {
    const created = await createProvider({ claims: { groups: 'roles' } });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({
      claims: { user: 'sub', email: 'email', name: 'name', groups: 'roles' },
      algorithms: ['RS256', 'ES256'],
    });
    const path = `/identity-providers/${created.json.id}`;
    expect((await get(path)).json).toEqual(created.json);
    expect((await get('/identity-providers')).json.items).toContainEqual(created.json);
    const changed = await rig.send('PATCH', base + path, {
      body: { audience: 'other', claims: { user: 'oid' }, algorithms: ['EdDSA', 'EdDSA'] },
      headers: { 'if-match': created.headers.etag },
    });
    expect(changed.json).toMatchObject({
      audience: 'other',
      claims: { user: 'oid', email: 'email', name: 'name', groups: 'roles' },
      algorithms: ['EdDSA'],
    });
    expect((await rig.send('DELETE', base + path)).status).toBe(204);
    expect((await get(path)).status).toBe(404);
    const names = (await rig.events()).map(({ event }) => event);
    for (const name of ['created', 'updated', 'deleted']) expect(names).toContain(`identity_provider.${name}`);
  });

  it('keep issuer and claims once they have a user, and everything else can still change', async () => {
    const { id, issuer } = (await createProvider()).json;
    const path = `${base}/identity-providers/${id}`;
    const patch = (body: object) => rig.send('PATCH', path, { body });
    expect((await patch({ claims: { user: 'oid' } })).status).toBe(200);
    await post('/users', { idp_id: id, external_id: 'first' });
    for (const body of [{ claims: { user: 'sub' } }, { claims: { groups: 'roles' } }, { issuer: 'https://x.example' }])
      expect(codeOf(await patch(body))).toEqual([409, 'conflict']);
    expect((await patch({ claims: { user: 'oid' }, issuer })).status).toBe(200); // as they are
    expect((await patch({ jwks_url: 'https://new.example.com/keys' })).status).toBe(200);
  });

  it('have an issuer of their own, keys over https, and algorithms that are asymmetric', async () => {
    const { issuer } = (await createProvider()).json;
    expect(codeOf(await createProvider({ issuer }))).toEqual([409, 'conflict']);
    for (const [field, value] of [
      ['jwks_url', 'http://idp.example.com/keys'],
      ['jwks_url', 'https://user:pass@idp.example.com/keys'],
      ['jwks_url', 'https://idp.example.com/keys#x'],
      ['jwks_url', 'file:///etc/passwd'],
      ['algorithms', ['HS256']],
      ['algorithms', ['none']],
      ['algorithms', []],
      ['claims', { user: '' }],
      ['claims', { password: 'x' }],
    ] as const) {
      const reply = await createProvider({ [field]: value });
      expect([reply.status, reply.json.problems[0].field.split(/[[.]/)[0]]).toEqual([422, field]);
    }
  });

  it('are not discovered by a service that fetches nothing', async () => {
    const reply = await createProvider({ jwks_url: undefined });
    expect([reply.status, reply.json.problems[0].field]).toEqual([422, 'issuer']);
  });
});

describe('agents', () => {
  it('are created, found by id and name, listed by status, changed', async () => {
    const created = await post('/agents', { name: 'crawler', type: 'service', metadata: { team: 'search' } });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({ display_name: null, type: 'service', status: 'active' });
    expect((await get('/agents/crawler')).json).toEqual(created.json);
    expect((await get(`/agents/${created.json.id}`)).json).toEqual(created.json);
    expect(codeOf(await post('/agents', { name: 'crawler' }))).toEqual([409, 'conflict']);
    const changed = await rig.send('PATCH', `${base}/agents/crawler`, { body: { display_name: 'The Crawler' } });
    expect(changed.json).toMatchObject({ display_name: 'The Crawler', metadata: { team: 'search' } });
    expect((await get('/agents?status=active')).json.items).toContainEqual(changed.json);
    expect((await get('/agents?status=revoked')).json.total).toBe(0);
  });

  it('have keys and grants of their own, and get no new ones once they are deprecated', async () => {
    const { id } = (await post('/agents', { name: 'mailer' })).json;
    const minted = await post('/agents/mailer/keys', { name: 'k1', scopes: ['proxy:execute'] });
    expect(minted.json).toMatchObject({ key_type: 'agent', agent_id: id, parent_id: null });
    expect(findToken(minted.json.key)?.kind).toBe('agent');
    const other = await post('/keys', { name: 'k2', scopes: ['proxy:execute'], key_type: 'agent', agent_id: 'mailer' });
    expect(other.json).toMatchObject({ key_type: 'agent', agent_id: id });
    expect((await get('/agents/mailer/keys')).json).toMatchObject({ total: 2 });
    const grant = await grantTo({ principal_type: 'agent', agent_id: 'mailer', label: 'mail' });
    expect(grant.json).toMatchObject({ principal_type: 'agent', agent_id: id, app_user_id: null, idp_id: null });
    expect((await get('/agents/mailer/grants')).json.items).toEqual([grant.json]);

    expect((await rig.send('POST', `${base}/agents/mailer/deprecate`)).json.status).toBe('deprecated');
    expect(codeOf(await post('/agents/mailer/keys', { name: 'k', scopes: ['proxy:execute'] }))).toEqual([
      409,
      'conflict',
    ]);
    expect(codeOf(await grantTo({ principal_type: 'agent', agent_id: id }))).toEqual([409, 'conflict']);
    expect((await rig.send('POST', `${base}/agents/mailer/revoke`)).json.status).toBe('revoked');
    expect((await rig.send('POST', `${base}/agents/mailer/deprecate`)).json.status).toBe('revoked'); // for good
  });

  it('of an agent key must be named, and only of an agent key', async () => {
    const problems = async (body: object) =>
      (await post('/keys', { name: 'k', scopes: ['proxy:execute'], ...body })).json.problems[0];
    expect(await problems({ key_type: 'agent' })).toMatchObject({ field: 'agent_id' });
    expect(await problems({ agent_id: 'crawler' })).toMatchObject({ field: 'agent_id' });
    expect(
      codeOf(await post('/keys', { name: 'k', scopes: ['proxy:execute'], key_type: 'agent', agent_id: 'x' })),
    ).toEqual([404, 'not_found']);
  });
});

describe('users and groups', () => {
  it('are created once, listed by provider, and searched', async () => {
    const id = await createUser('ada@example', { email: 'ada@example.com', name: 'Ada Lovelace' });
    expect((await get(`/users/${id}`)).json).toMatchObject({
      idp_id: idpId,
      external_id: 'ada@example',
      groups: [],
      last_seen_at: null,
    });
    expect(codeOf(await post('/users', { idp_id: idpId, external_id: 'ada@example' }))).toEqual([409, 'conflict']);
    expect((await get('/users?search=LOVELACE')).json.items).toMatchObject([{ id }]);
    expect((await get(`/users?idp=${idpId}`)).json.total).toBeGreaterThan(0);
    expect((await get('/users?search=nobody')).json.total).toBe(0);
    expect(codeOf(await post('/users', { idp_id: rig.app.id, external_id: 'x' }))).toEqual([404, 'not_found']);
  });

  it('show a group with its members and its grants, by id and by external id', async () => {
    const app = await rig.vault.app(rig.app.id);
    await app.groups.see(idpId, ['support', 'ops']);
    for (const externalId of ['s1', 's2', 's3'])
      await app.users.see({ idpId, externalId, email: null, name: null, groups: ['support'], issuedAt: rig.clock() });
    const listed = (await get('/groups?search=supp')).json.items;
    expect(listed).toMatchObject([{ external_group_id: 'support', member_count: 3, grant_count: 0 }]);
    const grant = await grantTo({
      principal_type: 'group',
      idp_id: idpId,
      external_group_id: 'support',
      label: 'desk',
    });
    expect(grant.json).toMatchObject({ idp_id: idpId, external_group_id: 'support' });
    const shown = (await get('/groups/support?member_limit=2')).json;
    expect(shown).toMatchObject({
      id: listed[0].id,
      member_count: 3,
      grant_count: 1,
      members: { total: 3, limit: 2, has_more: true },
      grants: { total: 1 },
    });
    expect(shown.members.items).toHaveLength(2);
    expect((await get(`/groups/${listed[0].id}?member_limit=2`)).json).toEqual(shown);
    expect((await get('/groups/unknown')).status).toBe(404);
    expect((await post('/groups', { idp_id: idpId, external_group_id: 'sales' })).json).toMatchObject({
      name: 'sales',
    });
  });

  it('give a membership back by no older token', async () => {
    const app = await rig.vault.app(rig.app.id);
    const ada = { idpId, externalId: 'rejoin', email: null, name: null };
    await app.users.see({ ...ada, groups: ['ops'], issuedAt: 1_000 });
    await app.users.see({ ...ada, groups: [], issuedAt: 2_000 });
    const seen = await app.users.see({ ...ada, groups: ['ops'], issuedAt: 1_000 });
    expect(seen.value.groups).toEqual([]);
  });
});

describe('delegations and access', () => {
  it('list who can reach a secret, by every path, and leave out those who no longer can', async () => {
    const app = await rig.vault.app(rig.app.id);
    const made = (await post('/managed-secrets', { name: 'Shared', credential_value: 'v' })).json;
    const to = (body: object) => post(`/managed-secrets/${made.id}/grants`, body);
    const provider = (await createProvider()).json.id as string;
    await app.groups.see(provider, ['desk']);
    const see = (externalId: string) =>
      app.users.see({
        idpId: provider,
        externalId,
        email: null,
        name: `Name of ${externalId}`,
        groups: ['desk'],
        issuedAt: 1,
      });
    const [ada, bob] = [(await see('ada')).value.id, (await see('bob')).value.id];
    const agent = (await post('/agents', { name: 'helper', display_name: 'Helper' })).json.id;
    const user = (await to({ principal_type: 'user', app_user_id: ada, label: 'u' })).json.grant_id;
    const group = (await to({ principal_type: 'group', idp_id: provider, external_group_id: 'desk' })).json.grant_id;
    await to({ principal_type: 'agent', agent_id: agent });
    const gone = (await to({ principal_type: 'system' })).json.grant_id;
    await rig.send('POST', `${base}/grants/${gone}/revoke`);
    const lend = (sourceGrantId: string, userId: string) =>
      app.delegations.create({ agentId: agent, sourceGrantId, userId, expiresAt: rig.clock() + 60_000 });
    const lent = (await lend(user, ada)).value.id;
    await lend(group, bob); // of a group, which the secret does not allow

    const access = (await get('/managed-secrets/shared/access')).json;
    expect(access.counts).toEqual({ direct: 1, group: 3, system: 1, agent: 1, delegation: 1 });
    const paths = Object.fromEntries(
      access.entries.map(
        ({ principal, paths: found }: { principal: { display: string }; paths: { kind: string }[] }) => [
          principal.display,
          found.map(({ kind }) => kind).toSorted(),
        ],
      ),
    );
    expect(paths).toEqual({
      'every runtime key of the app': ['system'],
      'Name of ada': ['direct', 'group'],
      'Name of bob': ['group'],
      desk: ['group'],
      Helper: ['agent', 'delegation'],
    });

    await rig.send('PUT', `${base}/managed-secrets/shared/delegation-policy`, {
      body: { allow_group_delegation: true, max_delegation_ttl_days: 7 },
    });
    expect((await get('/managed-secrets/shared/access')).json.counts.delegation).toBe(2);
    const off = await rig.send('PUT', `${base}/managed-secrets/shared/delegation-policy`, { body: {} });
    expect(off.json).toMatchObject({ allow_group_delegation: false, max_delegation_ttl_days: 7 });

    const listed = (await get('/delegations?agent=helper')).json;
    expect(listed).toMatchObject({ total: 2 });
    expect((await get(`/delegations?user=${ada}`)).json.items).toMatchObject([{ id: lent, status: 'active' }]);
    expect((await get(`/delegations?grant=${group}`)).json.total).toBe(1);
    const revoked = await rig.send('POST', `${base}/delegations/${lent}/revoke`);
    expect(revoked.json).toMatchObject({ status: 'revoked', managed_secret_slug: 'shared', user_id: ada });
    expect((await get('/managed-secrets/shared/access')).json.counts.delegation).toBe(0);
    await rig.send('POST', `${base}/agents/helper/revoke`);
    expect((await get('/managed-secrets/shared/access')).json.counts.agent).toBe(0);
  });
});

describe('what belongs to another app', () => {
  it('answers like what does not exist, in the same bytes but for the id of the request', async () => {
    const neighbour = `/v1/apps/${rig.otherApp.id}`;
    const agent = (await post('/agents', { name: 'mine' })).json.id;
    const user = await createUser('mine');
    const none = '019f0000-0000-7000-8000-000000000000';
    for (const [path, id] of [
      ['agents', agent],
      ['users', user],
      ['identity-providers', idpId],
      ['groups', (await post('/groups', { idp_id: idpId, external_group_id: 'mine' })).json.id],
    ] as const) {
      const [theirs, nobodys] = [
        await rig.send('GET', `${neighbour}/${path}/${id}`),
        await rig.send('GET', `${neighbour}/${path}/${none}`),
      ];
      expect(theirs.status).toBe(404);
      expect({ ...theirs.json, request_id: '' }).toEqual({ ...nobodys.json, request_id: '' });
    }
    const secret = await rig.send('POST', `${neighbour}/managed-secrets`, {
      body: { name: 'Theirs', credential_value: 'v' },
    });
    for (const body of [
      { principal_type: 'agent', agent_id: agent },
      { principal_type: 'user', app_user_id: user },
      { principal_type: 'group', idp_id: idpId, external_group_id: 'mine' },
    ])
      expect((await rig.send('POST', `${neighbour}/managed-secrets/${secret.json.id}/grants`, { body })).status).toBe(
        404,
      );
  });

  it('needs the scope of its resource, and no other will do', async () => {
    const allBut = (resource: string) => dashboardScopes.filter((scope) => !scope.startsWith(`dashboard_${resource}`));
    for (const [resource, method, path] of [
      ['agents', 'GET', '/agents'],
      ['agents', 'POST', '/agents'],
      ['identity_providers', 'GET', '/identity-providers'],
      ['identity_providers', 'DELETE', `/identity-providers/${idpId}`],
      ['secrets', 'GET', '/users'],
      ['identity_providers', 'POST', '/users'],
      ['secrets', 'GET', '/groups'],
      ['secrets', 'GET', '/delegations'],
      ['secrets', 'GET', `/managed-secrets/${secretId}/access`],
      ['keys', 'POST', '/agents/crawler/keys'],
    ] as const) {
      const { plaintext } = await rig.issuePat(allBut(resource));
      const reply = await rig.send(method, base + path, {
        token: plaintext,
        ...(method === 'POST' ? { body: {} } : {}),
      });
      expect([path, ...codeOf(reply)]).toEqual([path, 403, 'insufficient_scope']);
    }
  });
});
