import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dashboardScopes } from '../../core/access-token.ts';
import { issueId } from '../../core/id.ts';
import { type AdminRig, type Reply, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
let base: string;

beforeAll(async () => {
  rig = await startAdminRig();
  base = `/v1/apps/${rig.app.id}`;
});
afterAll(() => rig.close());

const post = (path: string, body: object = {}): Promise<Reply> => rig.send('POST', path, { body });

describe('an app', () => {
  it('is renamed where the name is free and nobody was faster', async () => {
    const { id } = (await post('/v1/apps', { name: 'before' })).json;
    const path = `/v1/apps/${id}`;
    const { etag } = (await rig.send('GET', path)).headers;
    const renamed = await rig.send('PATCH', path, { body: { name: 'after' }, headers: { 'if-match': etag } });
    expect([renamed.status, renamed.json.name, renamed.json.status]).toEqual([200, 'after', 'active']);
    expect((await rig.send('GET', '/v1/apps/after')).json.id).toBe(id);
    expect((await rig.send('GET', '/v1/apps/before')).status).toBe(404);
    const late = await rig.send('PATCH', path, { body: { name: 'late' }, headers: { 'if-match': etag } });
    expect([late.status, late.json.code]).toEqual([412, 'revision_conflict']);
    const taken = await rig.send('PATCH', path, { body: { name: 'shop' } });
    expect([taken.status, taken.json.code]).toEqual([409, 'conflict']);
    const asId = await rig.send('PATCH', path, { body: { name: id } });
    expect([asId.status, asId.json.problems[0].field]).toEqual([422, 'name']);
    expect((await rig.send('GET', path)).json.name).toBe('after');
  });

  it('is read, revoked in and brought back while it is archived, and changes in no other way', async () => {
    const { id } = (await post('/v1/apps', { name: 'resting' })).json;
    const path = `/v1/apps/${id}`;
    const secret = (await post(`${path}/managed-secrets`, { name: 'One', credential_value: 'v' })).json;
    const key = (await post(`${path}/keys`, { name: 'k', scopes: ['grants:read', 'grants:write'] })).json;
    const archived = await post(`${path}/archive`);
    expect([archived.status, archived.json.status]).toEqual([200, 'archived']);
    expect((await post(`${path}/archive`)).json.archived_at).toBe(archived.json.archived_at);

    const refused: Reply[] = [
      await rig.send('PATCH', path, { body: { name: 'other' } }),
      await post(`${path}/managed-secrets`, { name: 'Two', credential_value: 'v' }),
      await post(`${path}/managed-secrets/one/rotate`, { credential_value: 'w' }),
      await post(`${path}/grants/${secret.grant_id}/clone`),
      await post(`${path}/keys`, { name: 'k', scopes: ['grants:read'] }),
      await rig.send('POST', '/v1/runtime/grants', {
        token: key.key,
        body: { managed_secret: 'one', principal_type: 'system' },
      }),
    ];
    for (const reply of refused) expect([reply.status, reply.json.code]).toEqual([409, 'conflict']);
    expect((await rig.send('GET', `${path}/managed-secrets/one`)).json.version).toBe(1);
    expect((await rig.send('GET', '/v1/runtime/grants', { token: key.key })).json.items).toEqual([]);
    expect((await post(`${path}/keys/${key.id}/revoke`)).json.status).toBe('revoked');
    expect((await post(`${path}/grants/${secret.grant_id}/revoke`)).json.status).toBe('revoked');
    expect((await post(`${path}/unarchive`)).json).toMatchObject({ status: 'active', archived_at: null });
    expect((await post(`${path}/managed-secrets/one/rotate`, { credential_value: 'w' })).json.version).toBe(2);
    const names = (await rig.events(id)).map(({ event }) => event);
    expect(names.filter((name) => name.startsWith('app.'))).toEqual([
      'app.created',
      'app.archived',
      'app.archived',
      'app.unarchived',
    ]);
  });

  it('is deleted with everything in it, once its name is typed; its key is gone, and so is whatever it sealed', async () => {
    const { id } = (await post('/v1/apps', { name: 'doomed & gone' })).json;
    const path = `/v1/apps/${id}`;
    await post(`${path}/managed-secrets`, { name: 'One', credential_value: 'v' });
    await post(`${path}/agents`, { name: 'crawler' });
    const key = (await post(`${path}/keys`, { name: 'k', scopes: ['grants:read'] })).json;
    const limited = await rig.issuePat(dashboardScopes, { appId: id });

    expect((await rig.send('DELETE', path)).json.problems).toEqual([{ field: 'confirm', message: 'is missing' }]);
    const wrong = await rig.send('DELETE', `${path}?confirm=doomed`);
    expect([wrong.status, wrong.json.code]).toEqual([409, 'conflict']);
    const stale = await rig.send('DELETE', `${path}?confirm=doomed+%26+gone`, { headers: { 'if-match': '"9"' } });
    expect(stale.status).toBe(412);
    const writer = await rig.issuePat(['dashboard_apps:admin']);
    const named = `${path}?confirm=doomed+%26+gone`;
    expect((await rig.send('DELETE', named, { token: writer.plaintext })).json.code).toBe('insufficient_scope');
    expect((await rig.send('GET', path)).status).toBe(200);

    expect((await rig.send('DELETE', named)).status).toBe(204);
    const gone = await rig.send('GET', path);
    const never = await rig.send('GET', `/v1/apps/${issueId(Date.now())}`);
    expect(gone.text.replace(gone.json.request_id, '')).toBe(never.text.replace(never.json.request_id, ''));
    expect((await rig.send('GET', '/v1/runtime/me', { token: key.key })).status).toBe(401);
    expect((await rig.send('GET', '/v1/me', { token: limited.plaintext })).status).toBe(401);

    const { store } = rig.vault;
    const types = ['app', 'secret', 'secret-version', 'grant', 'key', 'agent', 'user', 'group', 'delegation'];
    for (const type of types) expect((await store.list({ space: id, type, limit: 1 })).total).toBe(0);
    for (const type of ['app-key', 'app-entry', 'app-remains'])
      expect((await store.get('system', [{ type, id }]))[0]).toBeNull();
    expect((await store.get('system', [{ type: 'key-owner', id: key.id }]))[0]).toBeNull();
    await expect(rig.vault.app(id)).rejects.toMatchObject({ code: 'not_found' });
    const { items } = (await rig.send('GET', '/v1/audit')).json;
    const ofOther = await rig.issuePat(['dashboard_audit:read'], { appId: rig.otherApp.id });
    expect((await rig.send('GET', '/v1/audit', { token: ofOther.plaintext })).json.code).toBe('insufficient_scope');
    expect(items[0]).toMatchObject({ event: 'app.deleted', reason: `${id} doomed & gone` });
    expect((await post('/v1/apps', { name: 'doomed & gone' })).json.id).not.toBe(id);
  });

  it('that a process left half deleted is cleared by the next start', async () => {
    const { id } = (await rig.vault.apps.create({ name: 'half' })).value;
    await post(`/v1/apps/${id}/agents`, { name: 'crawler' });
    const { store } = rig.vault;
    const breaking = new Proxy(store, {
      get: (target, name) =>
        name === 'list'
          ? () => Promise.reject(new Error('the process ends here'))
          : Reflect.get(target, name).bind(target),
    });
    const { AppRepository } = await import('../../vault/records/app-repository.ts');
    const systemKeys = await rig.vault.keyring.of('system');
    const broken = new AppRepository({
      store,
      contents: breaking,
      systemKeys,
      keyring: rig.vault.keyring,
      clock: rig.clock,
    });
    await expect(broken.delete(id)).rejects.toThrow('the process ends here');
    expect((await store.list({ space: id, type: 'agent', limit: 1 })).total).toBe(1);
    await rig.vault.apps.clearRemains();
    expect((await store.list({ space: id, type: 'agent', limit: 1 })).total).toBe(0);
    expect((await store.get('system', [{ type: 'app-remains', id }]))[0]).toBeNull();
  });
});

describe('a group', () => {
  it('has members whom an operator put in, beside those whom tokens name', async () => {
    const provider = { name: 'p', issuer: 'https://i.example', audience: 'a', jwks_url: 'https://i.example/keys' };
    const idpId = (await post(`${base}/identity-providers`, provider)).json.id as string;
    const other = (await post(`${base}/identity-providers`, { ...provider, issuer: 'https://j.example' })).json.id;
    const ops = (await post(`${base}/groups`, { idp_id: idpId, external_group_id: 'ops' })).json.id as string;
    const ada = (await post(`${base}/users`, { idp_id: idpId, external_id: 'ada' })).json.id as string;
    const eve = (await post(`${base}/users`, { idp_id: other, external_id: 'eve' })).json.id as string;
    const member = (user: string) => `${base}/groups/${ops}/members/${user}`;
    const membersOf = async () => {
      const { json } = await rig.send('GET', `${base}/groups/ops`);
      expect(json.member_count).toBe(json.members.total);
      return json.members.items.map(({ external_id }: { external_id: string }) => external_id);
    };

    for (let turn = 0; turn < 2; turn++) {
      const added = await rig.send('PUT', member(ada));
      expect([added.status, added.json.groups, added.json.added_groups]).toEqual([200, ['ops'], ['ops']]);
    }
    expect(await membersOf()).toEqual(['ada']);
    const app = await rig.vault.app(rig.app.id);
    await app.users.see({ idpId, externalId: 'ada', email: null, name: null, groups: ['desk'], issuedAt: rig.clock() });
    expect((await rig.send('GET', `${base}/users/${ada}`)).json).toMatchObject({
      groups: ['desk', 'ops'],
      added_groups: ['ops'],
    });
    expect((await rig.send('PUT', member(eve))).status).toBe(409);
    expect((await rig.send('PUT', member(rig.app.id))).status).toBe(404);

    expect((await rig.send('DELETE', member(ada))).json).toMatchObject({ groups: ['desk'], added_groups: [] });
    expect(await membersOf()).toEqual([]);
    expect((await rig.send('DELETE', member(ada))).status).toBe(404);
    await app.users.see({
      idpId,
      externalId: 'ada',
      email: null,
      name: null,
      groups: ['ops'],
      issuedAt: rig.clock() + 1,
    });
    const said = await rig.send('DELETE', member(ada));
    expect([said.status, said.json.detail]).toEqual([409, expect.stringContaining('their token')]);
    const events = (await rig.events()).map(({ event, user_id }) => [event, user_id]);
    expect(events).toContainEqual(['group.member_added', ada]);
    expect(events).toContainEqual(['group.member_removed', ada]);
  });
});

describe('a clone of a grant', () => {
  const hour = 3_600_000;

  it('has the secret, the principal and the policy of the grant, and an id and an end of its own', async () => {
    const secret = (await post(`${base}/managed-secrets`, { name: 'Cloned', credential_value: 'v' })).json;
    const policy = { methods: ['GET'], max_ttl_seconds: 7200, default_ttl_seconds: 3600 };
    const made = await post(`${base}/managed-secrets/cloned/grants`, {
      principal_type: 'system',
      label: 'first',
      description: 'd',
      grant_policy: policy,
    });
    const clone = (body: object) => post(`${base}/grants/${made.json.grant_id}/clone`, body);
    const end = ({ json }: Reply) => Math.round((Date.parse(json.expires_at) - Date.parse(json.created_at)) / 1_000);

    const short = await clone({ ttl_seconds: 60 });
    expect(short.status).toBe(201);
    expect(short.json.grant_id).not.toBe(made.json.grant_id);
    expect(short.json).toMatchObject({
      managed_secret_id: secret.id,
      principal_type: 'system',
      label: 'first',
      description: 'd',
      grant_policy: policy,
    });
    expect(end(short)).toBe(60);
    expect(end(await clone({ label: 'second', ttl_seconds: 7200 }))).toBe(7200);
    for (const body of [{ ttl_seconds: 7201 }, { expires_at: new Date(rig.clock() + 3 * hour).toISOString() }])
      expect((await clone(body)).json.problems).toEqual([
        { field: Object.keys(body)[0], message: expect.stringContaining('by the policy') },
      ]);
    const both = await clone({ ttl_seconds: 1, expires_at: new Date(rig.clock() + hour).toISOString() });
    expect(both.json.problems[0]).toEqual({ field: 'ttl_seconds', message: 'and expires_at exclude each other' });
    expect(Date.parse((await clone({})).json.expires_at)).toBeLessThanOrEqual(Date.parse(made.json.expires_at));

    rig.time.offsetMs += 2 * hour; // the grant itself has ended
    expect((await clone({})).json.problems[0].message).toContain('has expired');
    expect(end(await clone({ ttl_seconds: 5 }))).toBe(5);
    await post(`${base}/grants/${made.json.grant_id}/revoke`);
    expect((await clone({ ttl_seconds: 5 })).json.code).toBe('conflict');
  });

  it('is not made for an agent that gets no new grants, nor where the secret is gone', async () => {
    await post(`${base}/managed-secrets`, { name: 'Brief', credential_value: 'v' });
    const agent = (await post(`${base}/agents`, { name: 'worn-out' })).json.id as string;
    const made = await post(`${base}/managed-secrets/brief/grants`, { principal_type: 'agent', agent_id: agent });
    const path = `${base}/grants/${made.json.grant_id}/clone`;
    expect((await post(path)).json.agent_id).toBe(agent);
    await post(`${base}/agents/worn-out/deprecate`);
    expect((await post(path)).status).toBe(409);
    await rig.send('DELETE', `${base}/managed-secrets/brief`);
    expect((await post(path)).status).toBe(409); // revoked with its secret
  });
});

describe('keys', () => {
  it('are listed in the order in which they were made, and are revoked with what they hang on', async () => {
    const { id } = (await post('/v1/apps', { name: 'keyring' })).json;
    const path = `/v1/apps/${id}`;
    await post(`${path}/agents`, { name: 'robot' });
    const parent = (await post(`${path}/keys`, { name: 'k0', scopes: ['keys:derive', 'grants:read'] })).json;
    for (let turn = 1; turn < 6; turn++) {
      rig.time.offsetMs += 2;
      const agents = { name: `k${turn}`, scopes: ['grants:read'], key_type: 'agent', agent_id: 'robot' };
      const derived = { name: `k${turn}`, scopes: ['grants:read'] };
      const made =
        turn % 2 === 0
          ? await post(`${path}/keys`, agents)
          : await rig.send('POST', '/v1/runtime/keys/derive', { token: parent.key, body: derived });
      expect(made.status).toBe(201);
    }
    const list = async () => (await rig.send('GET', `${path}/keys`)).json.items as { name: string; status: string }[];
    expect((await list()).map(({ name }) => name)).toEqual(['k0', 'k1', 'k2', 'k3', 'k4', 'k5']);
    await post(`${path}/keys/${parent.id}/revoke`);
    await post(`${path}/agents/robot/revoke`);
    expect(new Set((await list()).map(({ status }) => status))).toEqual(new Set(['revoked']));
    expect((await rig.send('GET', `${path}/keys/statistics`)).json).toMatchObject({ active: 0, rotated_in_grace: 0 });
  });
});
