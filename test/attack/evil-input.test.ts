import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import type { Route } from '../../admin/http/route.ts';
import { routes } from '../../admin/routes.ts';
import { runtimeScopes } from '../../core/runtime-key.ts';
import { type AdminRig, type Reply, startAdminRig } from '../admin/admin-rig.ts';
import { inParallel } from '../support/in-parallel.ts';
import { startStopwatch } from '../support/stopwatch.ts';

/** Bodies and queries made to break, to slow down or to poison the one who reads them, for every field that there is. */

let rig: AdminRig;
let ids: Record<string, string>;
let key: string;
let slowestMs = 0;

/** Stands for raw text that no JavaScript value gives. */
class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const evil: readonly unknown[] = [
  new Raw('1e999'),
  new Raw('-1e999'),
  new Raw('{"__proto__":{"polluted":true}}'),
  new Raw('{"a":1,"a":2}'),
  new Raw(`${'['.repeat(30)}${']'.repeat(30)}`),
  new Raw(`${'{"a":'.repeat(30)}1${'}'.repeat(30)}`),
  new Raw('9007199254740993'),
  -1,
  0.5,
  'x'.repeat(100_000),
  '\u0000\u001b[31m\u0007',
  '\u2028\u202e',
  '\ud800',
  { constructor: { prototype: { polluted: true } } },
  { toString: 1, valueOf: 1, toJSON: 1 },
  Array.from({ length: 900 }, () => 0),
  [[[[[]]]]],
];

type Schema = { readonly [name: string]: unknown };

/** Every place in a schema that a value can be put: `a`, `a.b`, `a[].c`, `a.*` for the values of a map. */
function placesIn(schema: Schema, path: readonly string[] = []): string[][] {
  const places: string[][] = path.length === 0 ? [] : [[...path]];
  for (const [name, field] of Object.entries((schema.properties ?? {}) as Record<string, Schema>))
    places.push(...placesIn(field, [...path, name]));
  if (typeof schema.items === 'object') places.push(...placesIn(schema.items as Schema, [...path, '[]']));
  if (typeof schema.additionalProperties === 'object' && path.length > 0)
    places.push(...placesIn(schema.additionalProperties as Schema, [...path, 'anything']));
  for (const one of [...((schema.anyOf ?? []) as Schema[]), ...((schema.allOf ?? []) as Schema[])])
    places.push(...placesIn(one, path).filter((place) => place.length > path.length));
  return places;
}

function bodyWith(place: readonly string[], value: unknown): string {
  const inner = place.reduceRight<string>(
    (text, name) => (name === '[]' ? `[${text}]` : `{${JSON.stringify(name)}:${text}}`),
    value instanceof Raw ? value.text : JSON.stringify(value),
  );
  // An unknown field beside it makes sure that nothing is changed, whatever the value.
  return inner.replace(/\}$/, ',"unknown_field":1}');
}

async function send(route: Route, raw: string, query = ''): Promise<Reply> {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? 'nothing');
  const token = path.startsWith('/v1/runtime/') ? key : rig.operator.plaintext;
  const elapsedMs = startStopwatch();
  const reply = await rig.send(route.method, path + query, route.method === 'GET' ? { token } : { token, raw });
  slowestMs = Math.max(slowestMs, elapsedMs());
  return reply;
}

beforeAll(async () => {
  rig = await startAdminRig();
  const base = `/v1/apps/${rig.app.id}`;
  const post = async (path: string, body: object) => (await rig.send('POST', base + path, { body })).json;
  const secret = await post('/managed-secrets', { name: 'One', credential_value: 'v' });
  const provider = { name: 'p', issuer: 'https://i.example', audience: 'a', jwks_url: 'https://i.example/keys' };
  const minted = await post('/keys', { name: 'k', scopes: runtimeScopes });
  key = minted.key;
  ids = {
    ...{ app: rig.app.id, secret: secret.id, grant: secret.grant_id, key: minted.id, token: rig.operator.id },
    agent: (await post('/agents', { name: 'robot' })).id,
    idp: (await post('/identity-providers', provider)).id,
    webhook: (await post('/webhooks', { name: 'h', url: 'https://hook.example.com/', events: ['key.*'] })).id,
  };
});
afterAll(() => rig.close());

describe('evil input', () => {
  it('in any field of any body, at any depth, is refused by name, changes nothing and poisons nothing', async () => {
    const before = (await rig.events()).length;
    const attempts = routes.flatMap((route) => {
      if (route.body === undefined) return [];
      const schema = z.toJSONSchema(route.body, { io: 'input', unrepresentable: 'any' }) as Schema;
      return placesIn(schema).flatMap((place) => evil.map((value) => ({ route, place, value })));
    });
    expect(attempts.length).toBeGreaterThan(3_000);
    // One in twenty-nine in turn, and each place and value often: `EVIL=all` for every pair.
    const chosen = attempts.filter((_, index) => process.env.EVIL === 'all' || index % 29 === 0);
    await inParallel(chosen, 6, async ({ route, place, value }) => {
      const raw = bodyWith(place, value);
      const reply = await send(route, raw);
      const about = `${route.operationId} ${place.join('.')} ${raw.slice(0, 80)}`;
      expect([about, [400, 404, 413, 422].includes(reply.status)]).toEqual([about, true]);
      if (reply.status === 422) {
        const fields = reply.json.problems.map(({ field }: { field: string }) => field);
        expect([about, fields]).toEqual([about, expect.arrayContaining(['unknown_field'])]);
        expect(reply.text.length).toBeLessThan(40_000);
      }
    });
    expect((await rig.events()).length).toBe(before);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('in any parameter of any query is refused by name or searched for as text, and breaks nothing', async () => {
    const values = [
      '',
      '%00',
      '-1',
      '1e999',
      'NaN',
      '[]',
      '%ff',
      '__proto__',
      'a'.repeat(5_000),
      '%0d%0aX: y',
      '(a%2B)%2B%24',
    ];
    const attempts = routes.flatMap((route) =>
      Object.keys(route.query?.shape ?? {}).flatMap((name) => values.map((value) => ({ route, name, value }))),
    );
    expect(attempts.length).toBeGreaterThan(300);
    const chosen = attempts.filter((_, index) => process.env.EVIL === 'all' || index % 4 === 0);
    await inParallel(chosen, 6, async ({ route, name, value }) => {
      const reply = await send(route, '{}', `?${name}=${value}`);
      const about = `${route.operationId}?${name}=${value.slice(0, 20)}`;
      expect([about, [200, 403, 404, 409, 422].includes(reply.status)]).toEqual([about, true]);
      if (reply.status === 422)
        expect(reply.json.problems.map(({ field }: { field: string }) => field)).toContain(name);
    });
  });

  it('compressed, a million members wide or a hundred thousand deep is refused at once, within little memory', async () => {
    const route = routes.find(({ operationId }) => operationId === 'createManagedSecret')!;
    const path = `/v1/apps/${rig.app.id}/managed-secrets`;
    const nested = gzipSync(gzipSync(gzipSync(Buffer.alloc(10 * 1024 * 1024))));
    const members = `{${Array.from({ length: 1_000_000 }, (_, n) => `"k${n}":1`).join(',')}}`;
    const before = process.memoryUsage().rss;
    const elapsedMs = startStopwatch();
    for (const encoding of ['gzip', 'gzip, gzip', 'gzip, gzip, gzip', 'deflate', 'br', 'zstd'])
      expect((await rig.send('POST', path, { raw: nested, headers: { 'content-encoding': encoding } })).status).toBe(
        415,
      );
    expect((await send(route, nested.toString('latin1'))).status).toBe(400);
    expect((await send(route, members)).status).toBe(413);
    expect((await send(route, members.slice(0, 200_000).replace(/,[^,]*$/, '}'))).status).toBe(400);
    expect((await send(route, '['.repeat(100_000))).status).toBe(400);
    expect((await send(route, '{"name":"a","n\\u0061me":"b"}')).json.detail).toContain('twice');
    expect((await send(route, '{"credentials":{"a":"1","a":"2"}}')).json.code).toBe('request_malformed');
    expect(elapsedMs()).toBeLessThan(10_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it('that is a pattern takes no time, whatever it is matched against', async () => {
    const bases = [
      '*',
      '**',
      '*.',
      '.*',
      '(a+)+$',
      '([a-zA-Z]+)*$',
      '(a|aa)+$',
      '(.*a){25}',
      '^(\\d+)*$',
      '[[[[',
      '*a',
      'a*',
      '/**',
      '/*/',
      '%2a',
      '{token',
      '}{',
      '\\',
      '?',
      '+',
      'xn--',
      '-',
      '@',
      ':',
      '0.',
    ];
    const patterns = bases.flatMap((base) => [base.repeat(Math.floor(50_000 / base.length)), `${base.repeat(200)}!`]);
    expect(patterns).toHaveLength(50);
    const base = `/v1/apps/${rig.app.id}`;
    const fields: readonly (readonly [string, string, (pattern: string) => object])[] = [
      ['PUT', `${base}/managed-secrets/one/allowed-hosts`, (text) => ({ hosts: [text] })],
      ['PATCH', `${base}/managed-secrets/one`, (text) => ({ injection_format: text })],
      [
        'PATCH',
        `${base}/managed-secrets/one`,
        (text) => ({ injection_rules: [{ target: 'query', name: text, format: text }] }),
      ],
      ['PATCH', `${base}/managed-secrets/one`, (text) => ({ injection_header: text })],
      ['PUT', `${base}/policy`, (text) => ({ paths: [text], unknown_field: 1 })],
      [
        'PUT',
        `${base}/policy`,
        (text) => ({ methods: [text], ip_allowlist: [text], timezone: text, unknown_field: 1 }),
      ],
      [
        'PUT',
        `${base}/policy`,
        (text) => ({ time_window: { start: text, end: text, days: [text] }, unknown_field: 1 }),
      ],
      [
        'POST',
        `${base}/keys`,
        (text) => ({ name: text, scopes: [], cidr: [text], expires_in: text, expires_at: text }),
      ],
      ['POST', `${base}/agents`, (text) => ({ name: text, metadata: { [text]: text } })],
      ['POST', `${base}/identity-providers`, (text) => ({ name: 'n', issuer: text, audience: text, jwks_url: text })],
      [
        'POST',
        `${base}/grants/${ids.grant}/explain`,
        (text) => ({ url: `https://a.example/${text}`, client_ip: text }),
      ],
    ];
    let slowest = 0;
    for (const [method, path, body] of fields)
      for (const pattern of patterns) {
        const elapsedMs = startStopwatch();
        const reply = await rig.send(method, path, { body: body(pattern) });
        slowest = Math.max(slowest, elapsedMs());
        if (method !== 'PATCH')
          expect([path, pattern.slice(0, 20), reply.status >= 400]).toEqual([path, pattern.slice(0, 20), true]);
      }
    // Those that are accepted are then matched: against a long path, and a long name.
    await rig.send('PUT', `${base}/policy`, { body: { paths: ['/**/a/**/a/**/a/**/b', '/*a*a*a*a*a*b'] } });
    const url = `https://a.example/${'a/'.repeat(2_000)}`;
    const elapsedMs = startStopwatch();
    expect((await rig.send('POST', `${base}/grants/${ids.grant}/explain`, { body: { url } })).status).toBe(200);
    expect(Math.max(slowest, elapsedMs())).toBeLessThan(2_000); // one that backtracks takes minutes
  });

  it('never kept the service busy for long', () => {
    expect(slowestMs).toBeGreaterThan(0);
    expect(slowestMs).toBeLessThan(5_000);
  });
});
