import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dashboardScopes } from '../../core/access-token.ts';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

const full = {
  time_window: { timezone: 'America/New_York', days: ['mon', 'tue'], start: '09:00', end: '17:00' },
  timezone: 'Europe/Berlin',
  weekdays_only: true,
  ip_allowlist: ['203.0.113.0/24', '2001:db8::1'],
  methods: ['GET', 'HEAD'],
  paths: ['/v1/charges/**'],
  rate_limit: { requests: 60, per_seconds: 60 },
  require_reason: true,
};
const hour = 3_600_000;

describe('policies at the admin API', () => {
  let rig: AdminRig;
  let base: string;
  let secretId: string;
  let grantId: string;
  let agentId: string;

  beforeAll(async () => {
    rig = await startAdminRig();
    base = `/v1/apps/${rig.app.id}`;
    const created = await rig.send('POST', `${base}/managed-secrets`, {
      body: { name: 'Stripe', credential_value: 'sk', allowed_hosts: ['api.stripe.com'] },
    });
    secretId = created.json.id;
    grantId = created.json.grant_id;
    agentId = (await rig.send('POST', `${base}/agents`, { body: { name: 'bot' } })).json.id;
  });
  afterAll(() => rig?.close());

  const places = () => ({
    app: base,
    secret: `${base}/managed-secrets/${secretId}`,
    'secret by its slug': `${base}/managed-secrets/stripe`,
    agent: `${base}/agents/${agentId}`,
    grant: `${base}/grants/${grantId}`,
  });
  const problemsOf = (reply: { json: { problems?: { field: string }[] } }) =>
    reply.json.problems?.map(({ field }) => field);

  it('are replaced whole, given back as they were written, and taken away by an empty document', async () => {
    for (const path of Object.values(places())) {
      expect(await rig.send('GET', `${path}/policy`)).toMatchObject({ status: 200, json: {} });
      const put = await rig.send('PUT', `${path}/policy`, { body: { ...full, business_hours_only: null } });
      expect([put.status, put.json]).toEqual([200, full]);
      const got = await rig.send('GET', `${path}/policy`);
      expect([got.json, got.headers.etag]).toEqual([full, put.headers.etag]);
      expect((await rig.send('PUT', `${path}/policy`, { body: {} })).json).toEqual({});
    }
  });

  it('are refused with every problem at once, under the names of the rules', async () => {
    const body = {
      methods: ['get'],
      path: ['/v1/**'],
      rate_limit: { requests: 0 },
      max_ttl_seconds: 60,
      timezone: 'Mars',
    };
    for (const [level, path] of Object.entries(places())) {
      const reply = await rig.send('PUT', `${path}/policy`, { body });
      expect(reply).toMatchObject({ status: 422, json: { code: 'validation_failed' } });
      const expected = [
        'methods',
        'path',
        'rate_limit.requests',
        'timezone',
        ...(level === 'grant' ? [] : ['max_ttl_seconds']),
      ];
      expect(problemsOf(reply)?.sort()).toEqual(expected.sort());
    }
    const created = await rig.send('POST', `${base}/managed-secrets`, {
      body: { name: '', policy: { methods: [], x: 1 } },
    });
    expect(problemsOf(created)).toEqual(expect.arrayContaining(['name', 'policy.methods', 'policy.x']));
    const grant = await rig.send('POST', `${base}/managed-secrets/stripe/grants`, {
      body: { principal_type: 'system', grant_policy: { paths: ['v1'] }, expires_at: '2001-01-01T00:00:00Z' },
    });
    expect(problemsOf(grant)?.sort()).toEqual(['expires_at', 'grant_policy.paths']);
    for (const policy of [[], 'GET', 7, true]) {
      const reply = await rig.send('PATCH', `${base}/managed-secrets/stripe`, { body: { policy } });
      expect([reply.status, problemsOf(reply)]).toEqual([422, ['policy']]);
    }
  });

  it('come with the objects that they belong to', async () => {
    const policy = { methods: ['GET'] };
    const secret = await rig.send('POST', `${base}/managed-secrets`, {
      body: { name: 'narrow', credential_value: 'v', policy },
    });
    expect(secret.json.policy).toEqual(policy);
    const path = `${base}/managed-secrets/${secret.json.id}`;
    expect((await rig.send('PATCH', path, { body: { name: 'other' } })).json.policy).toEqual(policy);
    expect((await rig.send('PATCH', path, { body: { policy: null } })).json.policy).toBeNull();
    const patched = await rig.send('PATCH', base, { body: { policy, egress_mode: 'deny' } });
    expect(patched.json).toMatchObject({ policy, egress_mode: 'deny' });
    expect((await rig.send('PATCH', base, { body: { egress_mode: null, policy: null } })).json).toMatchObject({
      ...{ policy: null, egress_mode: null },
    });
  });

  it('need a scope of their own, also where they come with something else', async () => {
    const without = await rig.issuePat(dashboardScopes.filter((scope) => !scope.startsWith('dashboard_policy')));
    const token = without.plaintext;
    const denied = { status: 403, json: { code: 'insufficient_scope' } };
    const policy = { methods: ['GET'] };
    expect(await rig.send('GET', `${base}/policy`, { token })).toMatchObject(denied);
    expect(await rig.send('PUT', `${base}/policy`, { token, body: policy })).toMatchObject(denied);
    expect(await rig.send('PATCH', base, { token, body: { policy: null } })).toMatchObject(denied);
    expect(await rig.send('PATCH', `${base}/grants/${grantId}`, { token, body: { grant_policy: null } })).toMatchObject(
      denied,
    );
    expect(await rig.send('PATCH', `${base}/managed-secrets/stripe`, { token, body: { policy } })).toMatchObject(
      denied,
    );
    expect(
      await rig.send('POST', `${base}/managed-secrets`, { token, body: { name: 'x', credential_value: 'v', policy } }),
    ).toMatchObject(denied);
    expect(await rig.send('PATCH', base, { token, body: { egress_mode: 'tunnel' } })).toMatchObject({ status: 200 });
    const reader = await rig.issuePat(['dashboard_policy:read']);
    expect(await rig.send('GET', `${base}/policy`, { token: reader.plaintext })).toMatchObject({ status: 200 });
    expect(await rig.send('PUT', `${base}/policy`, { token: reader.plaintext, body: {} })).toMatchObject(denied);
  });

  it('honour If-Match, and are on record before they hold', async () => {
    const { headers } = await rig.send('GET', `${base}/policy`);
    const first = await rig.send('PUT', `${base}/policy`, {
      body: { weekdays_only: true },
      headers: { 'if-match': headers.etag! },
    });
    expect(first.status).toBe(200);
    const second = await rig.send('PUT', `${base}/policy`, { body: {}, headers: { 'if-match': headers.etag! } });
    expect(second).toMatchObject({ status: 412, json: { code: 'revision_conflict' } });
    await rig.send('PUT', `${base}/policy`, { body: {} });
    const events = (await rig.events()).map(({ event }) => event);
    expect(events.filter((event) => event === 'app.updated').length).toBeGreaterThanOrEqual(3);
  });

  it('of another app answer as those of nothing', async () => {
    const other = `/v1/apps/${rig.otherApp.id}`;
    for (const path of [
      `${other}/managed-secrets/${secretId}`,
      `${other}/grants/${grantId}`,
      `${other}/agents/${agentId}`,
    ]) {
      expect((await rig.send('GET', `${path}/policy`)).status).toBe(404);
      expect((await rig.send('PUT', `${path}/policy`, { body: {} })).status).toBe(404);
    }
    const url = 'https://api.stripe.com/';
    expect((await rig.send('POST', `${other}/grants/${grantId}/explain`, { body: { url } })).status).toBe(404);
  });

  describe('with a length of life', () => {
    const create = (body: object) =>
      rig.send('POST', `${base}/managed-secrets/stripe/grants`, { body: { principal_type: 'system', ...body } });
    const lifeOf = (reply: { json: { expires_at: string | null } }): number | null =>
      reply.json.expires_at === null ? null : Math.round((Date.parse(reply.json.expires_at) - rig.clock()) / hour);
    const inHours = (hours: number): string => new Date(rig.clock() + hours * hour).toISOString();

    it('end a new grant after the default, at most after the maximum, and never later than they end themselves', async () => {
      expect(lifeOf(await create({}))).toBeNull();
      expect(lifeOf(await create({ grant_policy: { default_ttl_seconds: 3_600 } }))).toBe(1);
      expect(lifeOf(await create({ grant_policy: { max_ttl_seconds: 7_200 } }))).toBe(2);
      expect(lifeOf(await create({ grant_policy: { expires_at: inHours(5) } }))).toBe(5);
      const both = { default_ttl_seconds: 3_600, max_ttl_seconds: 14_400 };
      expect(lifeOf(await create({ grant_policy: both, expires_at: inHours(3) }))).toBe(3);
      const refused = await create({ grant_policy: both, expires_at: inHours(5) });
      expect([refused.status, problemsOf(refused)]).toEqual([422, ['expires_at']]);
    });

    it('are applied again when the grant or its policy changes, and to nothing else', async () => {
      const { json } = await create({ grant_policy: { max_ttl_seconds: 14_400 }, expires_at: inHours(4) });
      const path = `${base}/grants/${json.grant_id}`;
      const patch = (body: object) => rig.send('PATCH', path, { body });
      expect((await patch({ expires_at: inHours(5) })).status).toBe(422);
      expect(lifeOf(await patch({ expires_at: inHours(2) }))).toBe(2);
      expect(lifeOf(await patch({ label: 'renamed' }))).toBe(2);
      expect(lifeOf(await patch({ expires_at: null }))).toBe(4); // no end is as long as may be
      expect(lifeOf(await patch({ grant_policy: { max_ttl_seconds: 3_600 } }))).toBe(1);
      expect((await rig.send('PUT', `${path}/policy`, { body: { max_ttl_seconds: 1_800 } })).status).toBe(200);
      const { expires_at: end } = (await rig.send('GET', path)).json;
      expect(Date.parse(end) - rig.clock()).toBeLessThanOrEqual(hour / 2);
      await rig.send('POST', `${path}/revoke`);
      expect((await rig.send('PUT', `${path}/policy`, { body: {} })).status).toBe(409);
    });
  });

  it('explain a request by the rules, at any moment, in the spelling of the client', async () => {
    await rig.send('PUT', `${base}/grants/${grantId}/policy`, {
      body: { weekdays_only: true, paths: ['/v1/**'], methods: ['GET'], require_reason: true },
    });
    const explain = async (body: object) =>
      (
        await rig.send('POST', `${base}/grants/${grantId}/explain`, {
          body: { at: '2030-01-02T12:00:00Z', reason: 'r', ...body },
        })
      ).json;
    const url = 'https://api.stripe.com/v1/charges';
    expect(await explain({ url })).toMatchObject({
      decision: 'allow',
      rule: null,
      hint: null,
      at: '2030-01-02T12:00:00.000Z',
    });
    expect(await explain({ url, reason: null })).toMatchObject({ policy_error: 'reason_required' });
    expect(await explain({ url, method: 'get' })).toMatchObject({ policy_error: 'method_not_allowed' });
    expect(await explain({ url: `${url}?_method=DELETE` })).toMatchObject({ policy_error: 'method_not_allowed' });
    expect(await explain({ url, at: '2030-01-05T12:00:00Z' })).toMatchObject({ policy_error: 'time_wrong_weekday' });
    expect(await explain({ url: 'https://api.stripe.com/v1/%2e%2e/x' })).toMatchObject({
      policy_error: 'path_not_allowed',
    });
    expect(await explain({ url: 'https://api.stripe.com/v1/../x' })).toMatchObject({
      policy_error: 'path_not_allowed',
    });
    expect(await explain({ url: 'https://evil.test/v1/x' })).toMatchObject({
      code: 'host_not_allowed',
      level: 'secret',
    });
    expect(await explain({ url: 'http://api.stripe.com/v1/x' })).toMatchObject({ code: 'plaintext_forbidden' });
    for (const wrong of [
      '',
      'api.stripe.com',
      '/v1',
      'ftp://api.stripe.com/',
      'https://u:p@api.stripe.com/',
      'https://api.stripe.com/a b',
    ])
      expect(await rig.send('POST', `${base}/grants/${grantId}/explain`, { body: { url: wrong } })).toMatchObject({
        status: 422,
      });
  });
});
