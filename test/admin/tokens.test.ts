import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type DashboardScope, dashboardScopes } from '../../core/access-token.ts';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

const hour = 3_600_000;

describe('personal access tokens', () => {
  let rig: AdminRig;
  beforeAll(async () => {
    rig = await startAdminRig();
  });
  afterAll(() => rig.close());

  const create = (body: object, token = rig.operator.plaintext) =>
    rig.send('POST', '/v1/tokens', { token, body: { name: 't', ...body } });
  const as = async (scopes: readonly DashboardScope[], more: { appId?: string; expiresAt?: number } = {}) =>
    (await rig.issuePat(scopes, more)).plaintext;

  it('are created with a plaintext that is shown once, works, and is nowhere else', async () => {
    const made = await create({ name: 'ci', scopes: ['dashboard_keys:read', 'dashboard_keys:read'] });
    expect(made.status).toBe(201);
    const { token, ...shown } = made.json;
    expect(shown).toMatchObject({ name: 'ci', scopes: ['dashboard_keys:read'], app_id: null, status: 'active' });
    expect(token).toMatch(new RegExp(`^${shown.token_prefix}`));
    expect((await rig.send('GET', `/v1/apps/${rig.app.id}/keys`, { token })).status).toBe(200);
    expect((await rig.send('GET', '/v1/apps', { token })).json.code).toBe('insufficient_scope');
    expect((await rig.send('GET', `/v1/tokens/${shown.id}`)).json).toEqual(shown);
    expect((await rig.send('GET', `/v1/tokens/${shown.token_prefix}`)).json).toEqual(shown);
    expect((await rig.send('GET', '/v1/tokens')).json.items).toContainEqual(shown);
    expect(rig.logged.join('\n')).not.toContain(token);
  });

  it('grant no scope that the one who creates them lacks, also one that is implied by none', async () => {
    const token = await as(['dashboard_tokens:write', 'dashboard_secrets:admin']);
    const allowed = ['dashboard_secrets:read', 'dashboard_secrets:write', 'dashboard_secrets:admin'];
    expect((await create({ scopes: allowed }, token)).status).toBe(201);
    const held = [...allowed, 'dashboard_tokens:read', 'dashboard_tokens:write'];
    for (const scope of dashboardScopes.filter((each) => !held.includes(each))) {
      const { status, json } = await create({ scopes: ['dashboard_secrets:read', scope] }, token);
      expect([status, json.code, json.detail]).toEqual([403, 'insufficient_scope', expect.stringContaining(scope)]);
    }
  });

  it('live no longer than the one that creates them', async () => {
    const end = rig.clock() + hour;
    const token = await as(dashboardScopes, { expiresAt: end });
    const scopes = ['dashboard_keys:read'];
    const expiresAt = new Date(end).toISOString();
    for (const body of [{ scopes }, { scopes, expires_at: null }])
      expect((await create(body, token)).json.expires_at).toBe(expiresAt);
    for (const body of [{ expires_in: '2h' }, { expires_at: new Date(end + 1).toISOString() }]) {
      const { status, json } = await create({ scopes, ...body }, token);
      expect([status, json.problems[0].field]).toEqual([422, Object.keys(body)[0]]);
    }
    expect(Date.parse((await create({ scopes, expires_in: '5m' }, token)).json.expires_at)).toBeLessThan(end);
  });

  it('that are limited to an app make, see and revoke none beyond it', async () => {
    const token = await as(dashboardScopes, { appId: rig.app.id });
    const scopes = ['dashboard_keys:read'];
    expect((await create({ scopes }, token)).json.app_id).toBe(rig.app.id);
    expect((await create({ scopes, app_id: 'shop' }, token)).json.app_id).toBe(rig.app.id);
    expect((await create({ scopes, app_id: null }, token)).status).toBe(403);
    const bare = ({ json }: { json: object }) => ({ ...json, request_id: null });
    const unknown = await create({ scopes, app_id: 'no-such-app' }, token);
    expect(unknown.status).toBe(404);
    expect(bare(await create({ scopes, app_id: rig.otherApp.id }, token))).toEqual(bare(unknown));

    const { items } = (await rig.send('GET', '/v1/tokens', { token })).json;
    expect(new Set(items.map(({ app_id: app }: { app_id: string }) => app))).toEqual(new Set([rig.app.id]));
    const foreign = (await create({ scopes, app_id: 'neighbour' })).json;
    for (const id of [foreign.id, rig.operator.id]) {
      expect((await rig.send('GET', `/v1/tokens/${id}`, { token })).status).toBe(404);
      expect((await rig.send('POST', `/v1/tokens/${id}/revoke`, { token, body: { force: true } })).status).toBe(404);
    }
  });

  it('are revoked at once and for good; the one of the request only by force', async () => {
    const { id, token } = (await create({ scopes: dashboardScopes })).json;
    const refused = await rig.send('POST', `/v1/tokens/${id}/revoke`, { token });
    expect([refused.status, refused.json.code]).toEqual([409, 'conflict']);
    const revoked = await rig.send('POST', `/v1/tokens/${id}/revoke`, { token, body: { force: true } });
    expect(revoked.json).toMatchObject({ id, status: 'revoked', revoked_at: expect.any(String) });
    expect((await rig.send('GET', '/v1/me', { token })).status).toBe(401);
    expect((await rig.send('POST', `/v1/tokens/${id}/revoke`)).json).toEqual(revoked.json);
    const list = (await rig.send('GET', '/v1/tokens?status=revoked')).json;
    expect(list.items.map((each: { id: string }) => each.id)).toEqual([id]);
    expect((await rig.send('GET', '/v1/tokens?status=active&limit=1')).json).toMatchObject({
      limit: 1,
      has_more: true,
    });
  });

  it('leave a record of who made and who revoked them', async () => {
    const { id } = (await create({ scopes: ['dashboard_keys:read'], app_id: 'shop' })).json;
    await rig.send('POST', `/v1/tokens/${id}/revoke`);
    const events = (await rig.events()).filter(({ event }) => event.startsWith('token.')).slice(-2);
    expect(events).toMatchObject([
      { event: 'token.created', reason: id, principal_type: 'token', principal_id: rig.operator.id },
      { event: 'token.revoked', reason: id, principal_id: rig.operator.id },
    ]);
  });
});
