import http from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { routes } from '../../admin/routes.ts';
import { requests } from '../../admin/schemas/schemas.ts';
import { runtimeScopes } from '../../core/runtime-key.ts';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
let secrets: string;
let agent: string;
let idp: string;
let webhook: string;
let key: string;
let before: string;

const snapshot = async () => {
  const base = `/v1/apps/${rig.app.id}`;
  const paths = ['/v1/apps', secrets, `${base}/grants`, `${base}/keys`, `${base}/audit`, `${base}/agents`];
  for (const more of ['identity-providers', 'users', 'groups', 'delegations']) paths.push(`${base}/${more}`);
  return JSON.stringify(await Promise.all(paths.map(async (path) => (await rig.send('GET', path)).json)));
};

beforeAll(async () => {
  rig = await startAdminRig();
  secrets = `/v1/apps/${rig.app.id}/managed-secrets`;
  await rig.send('POST', secrets, { body: { name: 'Stripe', credential_value: 'v-1' } });
  const base = `/v1/apps/${rig.app.id}`;
  agent = (await rig.send('POST', `${base}/agents`, { body: { name: 'crawler' } })).json.id;
  const provider = {
    name: 'p',
    issuer: 'https://idp.example.com',
    audience: 'a',
    jwks_url: 'https://idp.example.com/k',
  };
  idp = (await rig.send('POST', `${base}/identity-providers`, { body: provider })).json.id;
  const minted = await rig.send('POST', `${base}/keys`, { body: { name: 'k', scopes: runtimeScopes } });
  key = minted.json.key;
  const hook = { name: 'h', url: 'https://hook.example.com/', events: ['key.*'] };
  webhook = (await rig.send('POST', `${base}/webhooks`, { body: hook })).json.id;
  before = await snapshot();
});
afterEach(async () => {
  expect(await snapshot()).toBe(before);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});
afterAll(() => rig.close());

const good = { name: 'x', credential_value: 'y' };

describe('a body', () => {
  it('is refused when it is not application/json in plain bytes', async () => {
    const raw = JSON.stringify(good);
    for (const headers of [
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'application/json; charset=utf-16' },
      { 'content-type': 'application/jsonp' },
      { 'content-type': '' },
      { 'content-encoding': 'gzip' },
      { 'content-encoding': 'br' },
      { 'content-encoding': 'identity, gzip' },
    ]) {
      const reply = await rig.send('POST', secrets, { raw, headers });
      expect([reply.status, reply.json.code]).toEqual([415, 'unsupported_media_type']);
    }
    const bomb = gzipSync(Buffer.alloc(10 * 1024 * 1024));
    expect((await rig.send('POST', secrets, { raw: bomb, headers: { 'content-encoding': 'gzip' } })).status).toBe(415);
  });

  it('is refused above 256 KiB, with a length or in chunks', async () => {
    const raw = JSON.stringify({ ...good, description: 'd'.repeat(1024 * 1024) });
    const reply = await rig.send('POST', secrets, { raw });
    expect([reply.status, reply.json.code]).toEqual([413, 'payload_too_large']);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = http.request(
        `${rig.url}${secrets}`,
        {
          method: 'POST',
          headers: { authorization: `Bearer ${rig.operator.plaintext}`, 'content-type': 'application/json' },
        },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      request.on('error', reject);
      request.write(raw);
      request.end();
    });
    expect(status).toBe(413);
  });

  it('is refused when it is deep, wide, broken or polluting', async () => {
    for (const raw of [
      '['.repeat(100_000),
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      `{"a":${'['.repeat(21)}1${']'.repeat(21)}}`,
      JSON.stringify(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, 1]))),
      '{"__proto__":{"polluted":true}}',
      '{"credentials":{"__proto__":{"polluted":true}}}',
      '{"\\u005f_proto__":{"polluted":true}}',
      '{"name":"x",}',
      '{"name":',
      "{'name':1}",
      '\ufeff\ufeff{}',
      Buffer.from([0x22, 0xff, 0xfe, 0x22]),
      'NaN',
    ]) {
      const reply = await rig.send('POST', secrets, { raw });
      expect([reply.status, reply.json.code]).toEqual([400, 'request_malformed']);
    }
    for (const raw of ['[]', 'null', '"text"', '1', 'true', '{}']) {
      const reply = await rig.send('POST', secrets, { raw });
      expect([reply.status, reply.json.code]).toEqual([422, 'validation_failed']);
    }
    const nested = await rig.send('POST', secrets, { raw: '{"constructor":{"prototype":{"polluted":true}}}' });
    expect(nested.json.problems).toContainEqual({ field: 'constructor', message: 'is not a field of this request' });
  });

  it('is refused where a route takes none, and where a query parameter is unknown or given twice', async () => {
    const get = await rig.send('GET', secrets, { body: { limit: 1 } });
    expect(get.json.problems).toEqual([{ field: 'limit', message: 'is not a field of this request' }]);
    for (const [query, field] of [
      ['limit=0', 'limit'],
      ['limit=1001', 'limit'],
      ['limit=1e999', 'limit'],
      ['offset=-1', 'offset'],
      ['offset=x', 'offset'],
      ['sort=name', 'sort'],
      ['limit=1&limit=2', 'limit'],
      ['limit[]=1', 'limit[]'],
    ]) {
      const reply = await rig.send('GET', `${secrets}?${query}`);
      expect([reply.status, reply.json.problems[0].field]).toEqual([422, field]);
    }
  });
});

const wrong = [
  null,
  1,
  1e300,
  true,
  '',
  '\u0000',
  'a\r\nb',
  '\ud800',
  [],
  [[]],
  [null],
  {},
  { a: {} },
  'x'.repeat(20_000),
];

/** What each field of each body does take, out of the values above. */
const fine: Record<string, readonly unknown[]> = {
  slug: wrong,
  description: [null],
  app_id: [null],
  account_identifier: [null],
  account_display_name: [null],
  expires_at: [null],
  rate_limit_rpm: [null, 1],
  credentials: [{}],
  injection_rules: [[]],
  allowed_hosts: [[]],
  cidr: [[]],
  hosts: [[]],
  display_name: [null],
  metadata: [{}],
  claims: [{}],
  allow_group_delegation: [true],
  max_delegation_ttl_days: [1],
  policy: [null, {}],
  egress_mode: [null],
  client_ip: [null],
  reason: [null, '', '\u0000', 'a\r\nb', '\ud800'], // of a request that is only imagined
  url: ['', '\u0000', 'a\r\nb', '\ud800'], // is read as a whole when the body is, see explain
  at: [null],
  grant_policy: [null, {}],
  time_window: [null],
  timezone: [null],
  business_hours_only: [null, true],
  weekdays_only: [null, true],
  ip_allowlist: [null, []],
  methods: [null, []],
  paths: [null, []],
  rate_limit: [null],
  require_reason: [null, true],
  max_ttl_seconds: [null, 1],
  default_ttl_seconds: [null, 1],
  ttl_seconds: [1],
  keep_old: [true],
  decision: [null],
  enabled: [true],
  into_existing: [true],
};

/** Whether the schema of a field says so itself. One that lets anything through is read elsewhere, and says nothing. */
function takes(field: z.ZodType, value: unknown): boolean {
  let inner = field;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault) inner = inner.unwrap() as z.ZodType;
  return !(inner instanceof z.ZodUnknown) && field.safeParse(value).success;
}

describe('every field of every body', () => {
  const withBody = routes.filter((route) => route.body !== undefined);

  it.each(withBody.map((route) => [`${route.method} ${route.path}`, route] as const))(
    'of %s is named when it has the wrong type',
    async (_, route) => {
      const path = route.path.replace('{app}', rig.app.id).replace('{secret}', 'stripe');
      const grant = (await rig.send('GET', `/v1/apps/${rig.app.id}/grants`)).json.items[0].grant_id;
      const target = path
        .replace('{grant}', grant)
        .replace('{agent}', agent)
        .replace('{idp}', idp)
        .replace('{webhook}', webhook);
      if (/\{(?:key|token)\}/.test(target)) return; // the shape of its one field is checked with the other names
      for (const field of Object.keys(route.body!.shape)) {
        for (const value of wrong) {
          if (takes(route.body!.shape[field] as z.ZodType, value) || (fine[field] ?? []).includes(value)) continue;
          if ((fine[field] ?? []).some((other) => JSON.stringify(other) === JSON.stringify(value))) continue;
          // an unknown field beside it makes sure that nothing is changed, and is named as well
          const token = target.startsWith('/v1/runtime/') ? key : rig.operator.plaintext;
          const body = { [field]: value, unknown_field: 1 };
          const reply = await rig.send(route.method, target, { token, body });
          const fields: string[] = reply.json.problems.map((problem: { field: string }) => problem.field);
          expect([reply.status, field, value, fields]).toEqual([
            422,
            field,
            value,
            expect.arrayContaining([
              expect.stringMatching(new RegExp(`^(${field}|credentials|credential_value)`)),
              'unknown_field',
            ]),
          ]);
        }
      }
    },
  );

  it('is bounded where it is text or a list', () => {
    const { name } = requests.createSecret.shape;
    expect(name.safeParse('n'.repeat(128)).success).toBe(true);
    expect(name.safeParse('n'.repeat(129)).success).toBe(false);
    expect(requests.setAllowedHosts.safeParse({ hosts: Array(101).fill('a.example.com') }).success).toBe(false);
  });
});

describe('a new secret', () => {
  const problems = async (body: object) => (await rig.send('POST', secrets, { body })).json.problems;

  it('is told everything that is wrong with it at once', async () => {
    expect(
      await problems({
        name: ' ',
        credential_type: 'header_key',
        credential_value: 'a\nb',
        injection_header: 'Host',
        injection_format: '{nope}',
        injection_rules: [{ target: 'cookie', name: 'x', format: 'y' }],
        allowed_hosts: ['*.com', 'https://a.example.com'],
        color: 'red',
      }),
    ).toEqual([
      { field: 'name', message: 'must not be empty' },
      { field: 'injection_rules[0].target', message: 'must be one of header, query' },
      { field: 'color', message: 'is not a field of this request' },
      { field: 'credential_value', message: expect.stringContaining('cannot stand in a header') },
      { field: 'injection_header', message: expect.stringContaining('frames or routes') },
      { field: 'injection_format', message: expect.stringContaining('{nope}') },
      { field: 'allowed_hosts[0]', message: expect.stringContaining('too wide') },
      { field: 'allowed_hosts[1]', message: expect.stringContaining('plain host name') },
    ]);
  });

  it('is told of a rule that injects a name twice', async () => {
    expect(
      await problems({ ...good, injection_rules: [{ target: 'header', name: 'authorization', format: '{token}' }] }),
    ).toEqual([{ field: 'injection_rules[0].name', message: 'is injected twice (header authorization)' }]);
  });

  it('is refused without a credential, with half of one, and with too many fields', async () => {
    expect(await problems({ name: 'x' })).toEqual([{ field: 'credential_value', message: 'is missing' }]);
    expect(await problems({ name: 'x', credential_type: 'basic_auth', credentials: { username: 'u' } })).toEqual([
      { field: 'credentials.password', message: 'is missing' },
    ]);
    const credentials = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`f${i}`, 'v']));
    expect(await problems({ ...good, credentials })).toEqual([
      { field: 'credentials', message: 'has more than 32 fields' },
    ]);
  });

  it('never gets its credential quoted, wherever it was put by mistake', async () => {
    const canary = 'canary-6f1d';
    const bodies = [
      { name: 'x', credential_value: `${canary}\n` },
      { name: 'x', credential_value: [canary] },
      { name: 'x', credential_value: { value: canary } },
      { name: 'x', credentials: canary },
      { name: 'x', credentials: [canary] },
      { name: 'x', credentials: { [`${canary}!`]: 'v' } },
      { name: 'x', credentials: { token: canary } },
      { name: 'x', credentials: { a: [canary] } },
      { name: 'x', credentials: { a: `${canary}\u0000` } },
      { name: 'x', credential_type: 'basic_auth', credential_value: canary },
      { name: 'x', credential_type: 'basic_auth', credentials: { username: `${canary}:x`, password: 'p' } },
      { name: 'x', credential_type: canary, credential_value: 'x' },
      { ...good, injection_header: `${canary} x` },
      { ...good, injection_format: `${canary}{` },
    ];
    for (const body of bodies) {
      for (const [method, path] of [
        ['POST', secrets],
        ['POST', `${secrets}/stripe/rotate`],
      ] as const) {
        const reply = await rig.send(method, path, { body });
        expect(reply.status).toBe(422);
        expect(reply.text).not.toContain(canary);
      }
    }
    const broken = await rig.send('POST', secrets, { raw: `{"credential_value":"${canary}" oops}` });
    expect(broken.text).not.toContain(canary);
    expect(rig.logged.join('\n')).not.toContain(canary);
  });
});
