import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis as RedisClient } from 'ioredis';
import { issueToken } from '../../core/token.ts';
import { alter } from '../cli/alter.ts';
import { eventually, inParallel } from '../support/in-parallel.ts';
import { type RawConnection, RawUpstream } from '../support/raw-upstream.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { ServedRig } from '../support/served-rig.ts';
import { TestAuthority } from '../support/sink.ts';
import { findTraces, tracesOf } from '../support/traces.ts';
import { AnswerReader, basic, connectTo, mustOpen } from '../support/tunnel-client.ts';

/*
 * Everything is made to go wrong, one after the other, by whoever can make it: upstream, workload, operator, store. Then
 * every byte that left the process is searched for what it was trusted with, and for what it was shown.
 */
describe('what an error tells', () => {
  /** What must not be found: name and word. A value is the word with characters around it that encodings change. */
  const words = new Map<string, string>();
  const canary = (name: string): string => {
    const word = `canary${randomBytes(16).toString('hex')}`;
    words.set(`${name} ${words.size}`, word); // several of a name are several words
    return `c@n"<+/\\&=${word}`;
  };
  /** The visible part of a token names its record, and may stand anywhere. */
  const keep = (name: string, token: string): string => {
    words.set(name, token.slice(-49, -6));
    return token;
  };
  const control = `control${randomBytes(8).toString('hex')}`;
  /** Everything that anybody was answered. */
  const shown: string[] = [];
  let audit = '';

  let redis: Redis;
  let client: RedisClient;
  let rig: ServedRig;
  let raw: RawUpstream;
  let misnamed: RawUpstream;
  let foreign: RawUpstream;
  let garbage: Server;
  let silent: Server;
  let key: string;
  let grants: Record<'bearer' | 'query' | 'basic' | 'aws' | 'broken', string>;
  let brokenKey: string;

  const portOf = (server: Server): number => (server.address() as { port: number }).port;
  const listen = async (server: Server): Promise<Server> => {
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return server;
  };

  const storeSecret = async (name: string, hosts: readonly string[], body: object): Promise<string> => {
    const made = await rig.admin<{ id: string; grant_id: string }>('POST', '/managed-secrets', { name, ...body });
    await rig.admin('PUT', `/managed-secrets/${made.id}/allowed-hosts`, { hosts });
    return made.grant_id;
  };
  /** Flips a bit in the body of every record of this kind that `make` brought into the store. */
  const breakWhat = async <T>(kind: RegExp, make: () => Promise<T>): Promise<T> => {
    const records = async () => (await client.keys('alter:*:record:*')).filter((name) => kind.test(name));
    const before = new Set(await records());
    const made = await make();
    const added = (await records()).filter((name) => !before.has(name));
    expect(added).not.toEqual([]);
    for (const name of added)
      for (const [field, value] of Object.entries(await client.hgetallBuffer(name)))
        if (value.length > 40) {
          value[value.length - 20]! ^= 1;
          await client.hset(name, field, value);
        }
    return made;
  };

  beforeAll(async () => {
    redis = await startRedis();
    client = new RedisClient(redis.url);
    const authority = await TestAuthority.create();
    raw = await RawUpstream.open(authority, 'raw.test');
    misnamed = await RawUpstream.open(authority, 'another.test');
    foreign = await RawUpstream.open(await TestAuthority.create(), 'raw.test');
    garbage = await listen(createServer((socket) => socket.on('error', () => {}).end('220 this is not TLS\r\n')));
    silent = await listen(createServer((socket) => socket.on('error', () => {}).destroy()));
    rig = await ServedRig.open({
      redis,
      authority,
      settings: {
        ALTER_HOSTS: 'a.test=127.0.0.1,raw.test=127.0.0.1,inside.test=10.0.0.1',
        ALTER_ALLOW_ADDRESSES: '127.0.0.0/8',
        ALTER_LOG_LEVEL: 'debug',
        ALTER_AUDIT_FILE: 'audit.jsonl',
        ALTER_MAX_STALENESS: '1s',
        ALTER_RESPONSE_TIMEOUT: '1s',
        ALTER_STREAM_IDLE_TIMEOUT: '1s',
        ALTER_MAX_KEY_FAILURES_PER_MINUTE: '1000',
      },
    });
    const hosts = [
      ...[raw.port, misnamed.port, foreign.port, portOf(garbage), portOf(silent), 9].map((port) => `raw.test:${port}`),
      ...['no-such-name.invalid', 'inside.test'],
    ];
    grants = {
      bearer: await storeSecret('Bearer', hosts, { credential_value: canary('bearer token') }),
      query: await storeSecret('Query', hosts, {
        credential_value: canary('query credential'),
        injection_rules: [{ target: 'query', name: 'api_key', format: '{token}' }],
      }),
      basic: await storeSecret('Basic', hosts, {
        credential_type: 'basic_auth',
        credentials: { username: canary('user name'), password: canary('password') },
      }),
      aws: await storeSecret('Aws', hosts, {
        credential_type: 'aws_sig_v4',
        credentials: {
          access_key_id: 'AKIDEXAMPLE',
          secret_access_key: canary('secret access key'),
          session_token: canary('session token'),
        },
      }),
      broken: await breakWhat(/version/, () =>
        storeSecret('Broken', hosts, { credential_value: canary('credential of a broken record') }),
      ),
    };
    key = keep('runtime key', (await rig.mintKey()).key);
    brokenKey = keep('key of a broken record', (await breakWhat(/record:key:/, () => rig.mintKey())).key);
    words.set('access token', rig.pat.slice(-49, -6));
    words.set('root key', readFileSync(join(rig.directory, 'root.key'), 'utf8').trim().slice(2, -3));
  }, 60_000);
  afterAll(async () => {
    client?.disconnect();
    await rig?.close();
    for (const upstream of [raw, misnamed, foreign]) await upstream?.close();
    for (const server of [garbage, silent]) server?.close();
    await redis?.stop();
  });

  interface Said {
    readonly port?: number;
    readonly host?: string;
    readonly grant?: string;
    readonly lines?: readonly string[];
    readonly method?: string;
    readonly body?: string;
    readonly behave?: (connection: RawConnection) => void | Promise<void>;
  }
  /** One request in a tunnel; everything that a client may want to keep to itself is in it. Gives status and code. */
  const ask = async (said: Said = {}): Promise<string> => {
    const target = `${said.host ?? 'raw.test'}:${said.port ?? raw.port}`;
    raw.behave = said.behave ?? (() => {});
    const { socket, reader } = await mustOpen({
      proxyPort: rig.proxyPort,
      target,
      key,
      serverName: said.host ?? 'raw.test',
      ca: rig.read('ca.pem'),
    });
    socket.on('data', (chunk: Buffer) => shown.push(chunk.toString('latin1')));
    const body = said.body ?? `{"password":${JSON.stringify(canary('request body'))}}`;
    const head = [
      `${said.method ?? 'POST'} /p?token=${encodeURIComponent(canary('query of the client'))} HTTP/1.1`,
      `Host: ${target}`,
      `X-Alter-Grant: ${said.grant ?? grants.bearer}`,
      `X-Alter-Reason: ${control}`,
      `X-Session: ${canary('header of the client')}`,
      `Cookie: s=${canary('cookie of the client')}`,
      ...(said.lines ?? [`Content-Length: ${Buffer.byteLength(body)}`]),
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
    const answer = await reader.next();
    socket.destroy();
    return answer.cut ? 'cut' : `${answer.status} ${answer.headers['x-alter-error'] ?? '-'}`;
  };
  /** An upstream that takes the request, writes this and then ends, or is cut off, or waits. */
  const saying =
    (text: string | ((received: string) => string), then: 'end' | 'cut' | 'wait' = 'end') =>
    async (connection: RawConnection): Promise<void> => {
      await connection.head();
      connection.socket.write(typeof text === 'string' ? text : text(connection.received), 'latin1');
      if (then === 'end') connection.socket.end();
      if (then === 'cut') setTimeout(() => connection.socket.destroy(), 20); // no close_notify
    };
  const echoing = (head: (received: string) => string) => saying((received) => `HTTP/1.1 ${head(received)}\r\n\r\n`);
  const injected = (received: string): string => /^authorization: *(.*)\r$/im.exec(received)?.[1] ?? '';

  /** Bytes to the port of the proxy itself. */
  const send = async (text: string): Promise<string> => {
    const socket = await connectTo(rig.proxyPort);
    socket.on('data', (chunk: Buffer) => shown.push(chunk.toString('latin1')));
    const reader = new AnswerReader(socket);
    socket.write(text, 'latin1');
    const answer = await reader.next();
    socket.destroy();
    return `${answer.status} ${answer.headers['x-alter-error'] ?? '-'}`;
  };
  const connect = (authorization: string, more = ''): Promise<string> =>
    send(`CONNECT raw.test:${raw.port} HTTP/1.1\r\n${authorization}\r\n${more}\r\n`);
  const whole = (lines: string, host = `raw.test:${raw.port}`): Promise<string> =>
    send(
      `GET https://raw.test:${raw.port}/p HTTP/1.1\r\nHost: ${host}\r\n` +
        `Proxy-Authorization: ${basic('x', key)}\r\n${lines}\r\n`,
    );

  const admin = async (
    method: string,
    path: string,
    body?: string,
    of: { token?: string; headers?: Record<string, string> } = {},
  ): Promise<string> => {
    const response = await fetch(`${rig.adminUrl}${path.replace('{app}', `/v1/apps/${rig.appId}`)}`, {
      method,
      headers: { authorization: `Bearer ${of.token ?? rig.pat}`, 'content-type': 'application/json', ...of.headers },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    shown.push(text, JSON.stringify([...response.headers]));
    return `${response.status} ${text === '' ? '-' : (JSON.parse(text).code ?? '-')}`;
  };
  const create = (body: object): Promise<string> => admin('POST', '{app}/managed-secrets', JSON.stringify(body));

  const cli = async (words: readonly string[], stdin?: string, env: object = {}): Promise<string> => {
    const ended = await alter(words, {
      env: { ALTER_ADMIN_URL: rig.adminUrl, ALTER_PAT: rig.pat, ALTER_APP_ID: rig.appId, DEBUG: '*', ...env },
      ...(stdin === undefined ? {} : { stdin }),
    });
    shown.push(ended.stdout, ended.stderr);
    return String(ended.code);
  };
  /** Well-formed, and of nobody. */
  const unknownToken = (kind: 'runtime' | 'pat'): string =>
    keep(`unknown ${kind} token`, issueToken(kind, Date.now()).plaintext);
  const jwtLike = (name: string): string => `${canary(name).slice(-38)}.e30.AAAA`;

  const paths: readonly (readonly [name: string, gives: string, run: () => Promise<string>])[] = [
    // The upstream
    ['a name that does not resolve', '502 upstream_dns', () => ask({ host: 'no-such-name.invalid', port: 443 })],
    ['a name that resolves inside', '403 address_forbidden', () => ask({ host: 'inside.test', port: 443 })],
    ['a port that nobody listens on', '502 upstream_refused', () => ask({ port: 9 })],
    ['a certificate of another name', '502 upstream_tls', () => ask({ port: misnamed.port })],
    ['a certificate of another authority', '502 upstream_tls', () => ask({ port: foreign.port })],
    ['an upstream that does not speak TLS', '502 upstream_tls', () => ask({ port: portOf(garbage) })],
    ['an upstream that hangs up on TLS', '502 upstream_tls', () => ask({ port: portOf(silent) })],
    ['an end before the head', '502 upstream_incomplete', () => ask({ behave: saying('') })],
    ['a cut before the head', '502 upstream_incomplete', () => ask({ behave: saying('', 'cut') })],
    [
      'a cut inside the head',
      '502 upstream_incomplete',
      () => ask({ behave: saying('HTTP/1.1 200 OK\r\nContent-', 'cut') }),
    ],
    [
      'a cut inside a body of known length',
      'cut',
      () => ask({ behave: saying('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf', 'cut') }),
    ],
    [
      'a cut inside a chunk',
      'cut',
      () => ask({ behave: saying('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf', 'cut') }),
    ],
    [
      'a chunk size that is no number',
      'cut',
      () => ask({ behave: saying('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n', 'wait') }),
    ],
    ['a head that is none', '502 upstream_protocol', () => ask({ behave: saying('Hello, who are you?\r\n\r\n') })],
    [
      'a head that quotes the credential and is none',
      '502 upstream_protocol',
      () => ask({ behave: saying((received) => `HTTP/1.1 200 OK\r\n${injected(received)}\r\n\r\n`) }),
    ],
    [
      'two lengths',
      '502 upstream_protocol',
      () => ask({ behave: saying('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab') }),
    ],
    [
      'a head beyond every limit',
      '502 upstream_protocol',
      () => ask({ behave: saying(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`) }),
    ],
    ['no answer', '504 upstream_timeout', () => ask({ behave: saying('', 'wait') })],
    [
      'half a body and then nothing',
      'cut',
      () => ask({ behave: saying('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf', 'wait') }),
    ],
    ['a change of protocol', '502 upstream_protocol', () => ask({ behave: echoing(() => '101 Switching') })],
    [
      'a question for the proxy key',
      '502 upstream_protocol',
      () => ask({ behave: echoing((received) => `407 No\r\nProxy-Authenticate: ${injected(received)}`) }),
    ],
    [
      'a refusal that quotes the credential in its head',
      '401 -',
      () =>
        ask({
          behave: echoing(
            (received) =>
              `401 ${injected(received)}\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer error="${injected(received)}"`,
          ),
        }),
    ],
    [
      'a redirect that repeats a query credential',
      '302 -',
      () =>
        ask({
          grant: grants.query,
          behave: echoing(
            (received) =>
              `302 Found\r\nContent-Length: 0\r\nLocation: https://raw.test/${/api_key=[^ &]*/.exec(received)?.[0]}`,
          ),
        }),
    ],
    [
      'a cookie that is a password',
      '500 -',
      () =>
        ask({
          grant: grants.basic,
          behave: echoing((received) => `500 No\r\nContent-Length: 0\r\nSet-Cookie: s=${injected(received)}`),
        }),
    ],
    // The workload
    ['a host of a service that nobody signs for', '403 host_not_allowed', () => ask({ grant: grants.aws })],
    ['a grant of nobody', '403 grant_not_found', () => ask({ grant: '00000000-0000-7000-8000-000000000000' })],
    ['a credential for a grant', '400 grant_header_invalid', () => ask({ grant: canary('credential for a grant') })],
    ['TRACE', '405 method_refused', () => ask({ method: 'TRACE', lines: [], body: '' })],
    [
      'two lengths of a request',
      '400 request_malformed',
      () => ask({ lines: ['Content-Length: 1', 'Content-Length: 2'] }),
    ],
    [
      'a chunk that is none',
      '400 request_malformed',
      () => ask({ lines: ['Transfer-Encoding: chunked'], body: `${canary('chunk')}\r\n` }),
    ],
    [
      'a header without a colon',
      '400 request_malformed',
      () => ask({ lines: [`Authorization Bearer ${canary('header without a colon')}`] }),
    ],
    ['a control character', '400 request_malformed', () => ask({ lines: [`X-A: ${canary('control header')}\x01`] })],
    [
      'a head beyond every limit of ours',
      '431 headers_too_large',
      () => ask({ lines: [`X-A: ${canary('long header')}${'x'.repeat(200_000)}`] }),
    ],
    [
      'a token of a user that nobody issued',
      '403 user_token_invalid',
      () => ask({ lines: [`X-Alter-User-Token: ${jwtLike('user token')}`, 'Content-Length: 0'], body: '' }),
    ],
    [
      'an expectation that nobody has',
      '400 request_malformed',
      () => ask({ lines: [`Expect: ${canary('expectation')}`, 'Content-Length: 0'], body: '' }),
    ],
    ['another host', '421 authority_mismatch', () => whole('', 'other.test')],
    ['no key', '407 proxy_auth_required', () => connect('X-A: b')],
    ['an unknown key', '407 key_invalid', () => connect(`Proxy-Authorization: ${basic('x', unknownToken('runtime'))}`)],
    ['a password', '407 key_invalid', () => connect(`Proxy-Authorization: ${basic('x', canary('password as a key'))}`)],
    [
      'a credential as user name',
      '407 key_invalid',
      () => connect(`Proxy-Authorization: ${basic(canary('user as a key'), 'x')}`),
    ],
    [
      'a scheme that nobody knows',
      '407 proxy_auth_required',
      () => connect(`Proxy-Authorization: Negotiate ${canary('other scheme')}`),
    ],
    [
      'a token of a workload',
      '407 key_invalid',
      () => connect(`Proxy-Authorization: ${basic('x', jwtLike('workload'))}`),
    ],
    [
      'a key that was revoked',
      '407 key_revoked',
      async () => {
        const gone = await rig.mintKey();
        await rig.admin('POST', `/keys/${gone.id}/revoke`);
        return connect(`Proxy-Authorization: ${basic('x', keep('revoked key', gone.key))}`);
      },
    ],
    [
      'a CONNECT with a credential for a target',
      '400 request_malformed',
      () => send(`CONNECT ${canary('target')} HTTP/1.1\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`),
    ],
    ['a line that is no request', '400 request_malformed', () => send(`${canary('no request').toUpperCase()}\r\n\r\n`)],
    [
      'a client that leaves in the middle of its body',
      'left',
      async () => {
        const socket = await connectTo(rig.proxyPort);
        socket.write(
          `POST https://raw.test:${raw.port}/p HTTP/1.1\r\nHost: raw.test:${raw.port}\r\nContent-Length: 999\r\n` +
            `Proxy-Authorization: ${basic('x', key)}\r\nX-Alter-Grant: ${grants.bearer}\r\n\r\n${canary('half a body')}`,
        );
        const before = raw.connections.length;
        raw.behave = () => {};
        await eventually(() => raw.connections.length > before);
        socket.resetAndDestroy();
        return 'left';
      },
    ],
    // The operator
    [
      'JSON that breaks off',
      '400 request_malformed',
      () => admin('POST', '{app}/managed-secrets', `{"credential_value":"${canary('half of JSON').slice(10)}`),
    ],
    [
      'a credential that is a list',
      '422 validation_failed',
      () => create({ name: 'x', credential_value: [canary('list')] }),
    ],
    [
      'a credential under another name',
      '422 validation_failed',
      () => create({ name: 'x', credential: canary('other field') }),
    ],
    [
      'a credential with a line end',
      '422 validation_failed',
      () => create({ name: 'x', credential_value: `${canary('line')}\r\n` }),
    ],
    [
      'a credential as the type',
      '422 validation_failed',
      () => create({ name: 'x', credential_type: canary('type'), credential_value: 'x' }),
    ],
    [
      'a credential without a colon',
      '422 validation_failed',
      () => create({ name: 'x', credential_type: 'basic_auth', credential_value: canary('basic') }),
    ],
    [
      'another body with the same idempotency key',
      '422 idempotency_mismatch',
      async () => {
        const again = (name: string): Promise<string> =>
          admin('POST', '{app}/managed-secrets', JSON.stringify({ name, credential_value: canary(name) }), {
            headers: { 'idempotency-key': 'once' },
          });
        await again('first body');
        return again('second body');
      },
    ],
    [
      'a body that is no JSON',
      '415 unsupported_media_type',
      () =>
        admin('POST', '{app}/managed-secrets', `credential_value=${canary('form')}`, {
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        }),
    ],
    [
      'a body beyond every limit',
      '413 payload_too_large',
      () => create({ name: 'x', credential_value: canary('large') + 'x'.repeat(4_000_000) }),
    ],
    [
      'an unknown access token',
      '401 unauthenticated',
      () => admin('GET', '{app}/keys', undefined, { token: unknownToken('pat') }),
    ],
    [
      'a password as access token',
      '401 unauthenticated',
      () => admin('GET', '{app}/keys', undefined, { token: canary('admin password') }),
    ],
    [
      'a secret that is not there',
      '404 not_found',
      () =>
        admin('POST', '{app}/managed-secrets/nothing/rotate', JSON.stringify({ credential_value: canary('rotated') })),
    ],
    // The store
    ['a credential that does not open', '503 state_invalid', () => ask({ grant: grants.broken })],
    ['a key that does not open', '503 state_invalid', () => connect(`Proxy-Authorization: ${basic('x', brokenKey)}`)],
  ];

  it.each(paths)('%s: %s', async (_, gives, run) => {
    expect(await run()).toBe(gives);
  });

  it('commands that fail, however much they are asked to tell', async () => {
    const file = (name: string, content: string): string => {
      const path = join(rig.directory, name);
      writeFileSync(path, content);
      return `@${path}`;
    };
    const create = ['managed-secrets', 'create', '--name', 'One'];
    const runs: readonly (readonly [
      code: number,
      words: readonly string[],
      stdin?: string | undefined,
      env?: object,
    ])[] = [
      [2, [...create, '--credential-type', 'basic_auth', '--credential-value', '-'], canary('of stdin')],
      [2, [...create, '--credentials', file('half.json', `{"credential_value":"${canary('of a file')}`)]],
      // Of a command line DEBUG prints every word.
      [2, [...create, '--credential-vaule', canary('of a mistyped flag')], undefined, { DEBUG: '' }],
      [4, ['managed-secrets', 'rotate', 'nothing', '--credential-value', '-'], canary('of a rotation')],
      [3, ['keys', 'list'], undefined, { ALTER_PAT: unknownToken('pat') }],
      [8, ['keys', 'list'], undefined, { ALTER_ADMIN_URL: 'http://127.0.0.1:9' }],
    ];
    const codes: string[] = [];
    await inParallel([...runs.entries()], 3, async ([index, [, words, stdin, env]]) => {
      codes[index] = await cli(words, stdin, env);
    });
    expect(codes).toEqual(runs.map(([code]) => String(code)));
  }, 30_000);

  it('at the end a store that is gone', async () => {
    const { text } = await rig.ops('/metrics');
    shown.push(text);
    for (const type of ['a', 'b']) await admin('GET', `{app}/nothing-${type}`);
    audit = JSON.stringify(await rig.admin('GET', '/audit?limit=1000&order=desc'));
    await redis.kill();
    await eventually(async () => (await rig.ops('/readyz')).status !== 200);
    expect(await connect(`Proxy-Authorization: ${basic('x', key)}`)).toBe('503 state_unavailable');
    expect(await create({ name: 'x', credential_value: canary('while the store is gone') })).toMatch(/^503 /);
    shown.push((await rig.ops('/readyz')).text, (await rig.ops('/metrics')).text);
  }, 30_000);

  it('is none of what was stored, shown or typed, wherever one looks', () => {
    const { pid } = rig.child;
    const places = {
      'standard output': rig.stdout,
      'standard error': rig.stderr,
      'answers and what commands print': shown.join('\n'),
      audit,
      'the file of the audit': readFileSync(join(rig.directory, 'audit.jsonl'), 'utf8'),
      'the command line': readFileSync(`/proc/${pid}/cmdline`, 'latin1'),
      'the environment': readFileSync(`/proc/${pid}/environ`, 'latin1'),
    };
    expect(paths.length).toBeGreaterThanOrEqual(60);
    expect(words.size).toBeGreaterThanOrEqual(100);
    expect(Object.entries(places).map(([place, text]) => [place, findTraces(text, words)])).toEqual(
      Object.keys(places).map((place) => [place, []]),
    );

    // What would have been found: a word that belongs there, and every spelling of one that does not.
    const belongs = new Map([['reason', control]]);
    expect([findTraces(audit, belongs), findTraces(places['the file of the audit'], belongs)]).toEqual([
      ['reason'],
      ['reason'],
    ]);
    for (const [place, what] of [
      ['standard output', 'alter audit list'],
      ['standard error', 'upstream_tls'],
      ['answers and what commands print', 'state_invalid'],
      ['answers and what commands print', 'alter_requests_total'],
      ['the command line', 'dist/cli/bin.js'],
      ['the environment', 'ALTER_ROOT_KEY_FILE'],
    ] as const)
      expect([place, places[place].includes(what)]).toEqual([place, true]);
    for (const trace of tracesOf(control)) expect(findTraces(`…${trace}…`, belongs)).toEqual(['reason']);
    for (const offset of [0, 1, 2]) {
      const encoded = Buffer.from(`${'x'.repeat(offset)}${control} and more`).toString('base64');
      expect(findTraces(encoded, belongs)).toEqual(['reason']);
    }
  });
});
