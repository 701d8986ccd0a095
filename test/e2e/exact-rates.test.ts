import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { openStore } from '../../vault/store/store-url.ts';
import { openVault } from '../../vault/vault.ts';
import { compileCache } from '../support/compile-cache.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { Sink, TestAuthority } from '../support/sink.ts';
import { AnswerReader, basic, connectTo, type RawResponse } from '../support/tunnel-client.ts';

/*
 * Three real processes on one Redis: one that also serves the admin API, and two proxies. A day as the period of the rate,
 * so that no window ends while the test runs.
 */
const limit = { requests: 100, per_seconds: 86_400 };

describe('a rate of a policy, over three processes', () => {
  const rootKey = randomBytes(32);
  const canary = `canary-${randomBytes(18).toString('hex')}`;
  const directories: string[] = [];
  const processes: ChildProcess[] = [];
  const proxyPorts: number[] = [];
  let redis: Redis;
  let sink: Sink;
  let key: string;
  let secretId: string;
  let grantId: string;
  let admin: (method: string, path: string, body: unknown) => Promise<Record<string, string>>;
  let appId: string;

  const serve = async (role: 'all' | 'proxy', env: Record<string, string>): Promise<string> => {
    const directory = mkdtempSync(join(tmpdir(), 'alter-rates-'));
    directories.push(directory);
    const child = spawn(process.execPath, [resolve('dist/cli/bin.js'), 'serve', '--role', role], {
      cwd: directory,
      env: { PATH: '/usr/bin:/bin', ...compileCache, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    processes.push(endWithUs(child));
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    child.stderr.resume();
    await eventually(() => /proxy {2}http:\/\/127\.0\.0\.1:\d+/.test(printed) || child.exitCode !== null);
    proxyPorts.push(Number(/proxy {2}http:\/\/127\.0\.0\.1:(\d+)/.exec(printed)![1]));
    return directory;
  };

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    const authority = await TestAuthority.create();
    sink = await Sink.open({ authority, host: 'a.test' });
    const env = {
      ALTER_STORE_URL: redis.url,
      ALTER_ROOT_KEY: rootKey.toString('base64'),
      ALTER_PROXY_LISTEN: '127.0.0.1:0',
      ALTER_ADMIN_LISTEN: '127.0.0.1:0',
      ALTER_OPS_LISTEN: '127.0.0.1:0',
      ALTER_HOSTS: 'a.test=127.0.0.1',
      ALTER_ALLOW_ADDRESSES: `127.0.0.1:${sink.port}`,
      ALTER_UPSTREAM_CA: authority.material.certificatePem,
    };
    const directory = await serve('all', env); // makes the app and the CA that the others find
    await Promise.all([serve('proxy', env), serve('proxy', env)]);
    const operator = readFileSync(join(directory, '.alter/operator.env'), 'utf8');
    const [, url, pat, app] = /ALTER_ADMIN_URL=(\S+) ALTER_PAT=(\S+) ALTER_APP_ID=(\S+)/.exec(operator)!;
    appId = app!;
    admin = async (method, path, body) => {
      const response = await fetch(`${url}/v1/apps/${app}${path}`, {
        method,
        headers: { authorization: `Bearer ${pat}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()) as Record<string, string>;
    };
    const secret = await admin('POST', '/managed-secrets', {
      ...{ name: 'limited', credential_value: canary, allowed_hosts: [`a.test:${sink.port}`] },
    });
    secretId = secret.id!;
    grantId = secret.grant_id!;
    await admin('PUT', `/grants/${grantId}/policy`, { rate_limit: limit });
    key = (await admin('POST', '/keys', { name: 'test', scopes: ['proxy:execute'] })).key!;
  });

  afterAll(async () => {
    for (const child of processes) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once('close', done));
    }
    await sink?.close();
    await redis?.stop();
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  });

  /** In absolute form, so that 400 of them need no 400 handshakes. */
  const ask = async (port: number): Promise<RawResponse> => {
    const socket = await connectTo(port);
    const reader = new AnswerReader(socket);
    const head = [
      `GET https://a.test:${sink.port}/ HTTP/1.1`,
      `Host: a.test:${sink.port}`,
      `Proxy-Authorization: ${basic('x', key)}`,
      `X-Alter-Grant: ${grantId}`,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    const answer = await reader.next();
    socket.destroy();
    return answer;
  };
  const askAll = (count: number): Promise<RawResponse[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => ask(proxyPorts[i % proxyPorts.length]!)));
  const canaries = (): number => sink.raw.toString('latin1').split(canary).length - 1;

  it('lets exactly 100 of 400 concurrent requests through', async () => {
    const answers = await askAll(400);
    const count = (status: number): number => answers.filter((answer) => answer.status === status).length;
    expect([count(200), count(429)]).toEqual([100, 300]);
    for (const { status, headers } of answers) {
      if (status === 429) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    }
    expect(canaries()).toBe(100);
  });

  it('lets none through while Redis is down, and counts on where it was when Redis is back', async () => {
    await redis.kill();
    const down = await askAll(30);
    expect(down.filter(({ status }) => status === 200)).toEqual([]);
    await redis.restart();
    for (const port of proxyPorts) await eventually(async () => (await ask(port)).status === 429);
    expect((await askAll(60)).filter(({ status }) => status === 200)).toEqual([]);
    expect(canaries()).toBe(100);
  });

  it('is not lifted by a policy that this release cannot read: nothing is allowed then', async () => {
    await admin('PUT', `/grants/${grantId}/policy`, {});
    for (const port of proxyPorts) await eventually(async () => (await ask(port)).status === 200);
    const store = await openStore(redis.url);
    const vault = await openVault({ store, kms: openLocalKms({ rootKey }), clock: Date.now });
    const { secrets } = await vault.app(appId);
    await secrets.update(secretId, (secret) => ({ ...secret, policy: { rule_of_a_later_release: 1 } }));
    await store.close();
    for (const port of proxyPorts) {
      await eventually(async () => (await ask(port)).body.includes('policy_unreadable'));
      expect((await ask(port)).headers['x-alter-error']).toBe('policy_violation');
    }
  });
});
