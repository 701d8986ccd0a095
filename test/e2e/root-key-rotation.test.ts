import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parseConfig } from '../../core/config.ts';
import { issueToken } from '../../core/token.ts';
import { type Service, startService } from '../../serve/service.ts';
import { createLog } from '../../telemetry/log.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import type { Store } from '../../vault/store/store.ts';
import { openStore } from '../../vault/store/store-url.ts';
import { openVault, type Vault } from '../../vault/vault.ts';
import { alter } from '../cli/alter.ts';
import { compileCache } from '../support/compile-cache.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { FakeAwsKms } from '../support/fake-aws-kms.ts';
import { draftSecret, newKey, token } from '../support/filled-vault.ts';
import { eventually, inParallel } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { Rig, run } from '../support/rig.ts';
import { Sink, TestAuthority } from '../support/sink.ts';

/** ROOT_KEY_APPS=10000 ROOT_KEY_KILLS=20 for the long run. */
const apps = Number(process.env.ROOT_KEY_APPS ?? 60);
const kills = Number(process.env.ROOT_KEY_KILLS ?? 2);
const [oldKey, newKey32] = [randomBytes(32), randomBytes(32)];

interface Made {
  readonly appId: string;
  readonly key: string;
  readonly grantId: string;
  readonly canary: string;
}

describe('a root key that is replaced while requests run and the admin process dies again and again', () => {
  let redis: Redis;
  let sink: Sink;
  let authority: TestAuthority;
  let store: Store;
  let vault: Vault;
  let proxy: Service;
  let directory: string;
  let pat: string;
  const made: Made[] = [];
  const settings = (keys: Readonly<Record<string, string>>): Record<string, string> => ({
    ALTER_STORE_URL: redis.url,
    ALTER_PROXY_LISTEN: '127.0.0.1:0',
    ALTER_ADMIN_LISTEN: '127.0.0.1:0',
    ALTER_OPS_LISTEN: '127.0.0.1:0',
    ALTER_HOSTS: 'a.test=127.0.0.1',
    ALTER_ALLOW_ADDRESSES: `127.0.0.1:${sink.port}`,
    ALTER_UPSTREAM_CA: authority.material.certificatePem,
    ...keys,
  });
  const both = {
    ALTER_ROOT_KEY: newKey32.toString('base64'),
    ALTER_ROOT_KEY_PREVIOUS: oldKey.toString('base64'),
  };
  const startProxy = async (keys: Readonly<Record<string, string>>): Promise<Service> => {
    const config = parseConfig(settings(keys));
    return startService({
      config,
      rootKey: config.rootKey,
      role: 'proxy',
      log: createLog({ level: 'silent' }),
      clock: Date.now,
    });
  };

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    authority = await TestAuthority.create();
    sink = await Sink.open({ authority, host: 'a.test' });
    directory = mkdtempSync(join(tmpdir(), 'alter-rotation-'));
    store = await openStore(redis.url);
    vault = await openVault({ store, kms: openLocalKms({ rootKey: oldKey }), clock: Date.now });
    const first = issueToken('pat', Date.now());
    pat = first.plaintext;
    await vault.accessTokens.create({
      id: first.id,
      name: 'operator',
      scopes: ['dashboard_apps:admin'],
      appId: null,
      expiresAt: null,
      digest: first.digest.toString('hex'),
      createdAt: Date.now(),
      revokedAt: null,
    });
    await inParallel(
      Array.from({ length: apps }, (_, index) => index),
      8,
      async (index) => {
        const app = await vault.app((await vault.apps.create({ name: `app ${index}` })).value.id);
        const canary = `canary-${randomBytes(12).toString('hex')}`;
        const { grant } = await app.secrets.create({
          draft: draftSecret({ allowedHosts: [`a.test:${sink.port}`] }),
          fields: token(canary),
          baseGrantLabel: 'default',
        });
        const key = issueToken('runtime', Date.now());
        await app.keys.create(newKey(app.appId, { id: key.id, digest: key.digest.toString('hex') }));
        made.push({ appId: app.appId, key: key.plaintext, grantId: grant.value.id, canary });
      },
    );
  }, 600_000);
  afterAll(async () => {
    await proxy?.close();
    await vault?.store.close();
    await sink?.close();
    await redis?.stop();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  /** An admin process of its own, so that it can be killed. */
  async function startAdmin(): Promise<{ readonly child: ChildProcess; readonly url: string }> {
    const child = spawn(process.execPath, [resolve('dist/cli/bin.js'), 'serve', '--role', 'admin'], {
      cwd: directory,
      env: { PATH: '/usr/bin:/bin', ...compileCache, ...settings(both) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    endWithUs(child);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await eventually(() => / admin {2}http/.test(said) || child.exitCode !== null);
    return { child, url: /admin {2}(\S+)/.exec(said)![1]! };
  }

  async function askAdmin<T>(url: string, method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${pat}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** A real curl of one app; its status, and whether its own credential arrived. */
  async function use(of: Made, by: Service): Promise<string> {
    const ended = await run(
      'curl',
      [
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '--max-time',
        '20',
        '--cacert',
        join(directory, 'ca.pem'),
        '-H',
        `X-Alter-Grant: ${of.grantId}`,
        `https://a.test:${sink.port}/${of.appId}`,
      ],
      { PATH: process.env.PATH ?? '', HTTPS_PROXY: `http://x:${of.key}@127.0.0.1:${by.proxy!.address.port}` },
    );
    const arrived = sink.requests.some(
      (request) => request.url === `/${of.appId}` && request.all('authorization').includes(`Bearer ${of.canary}`),
    );
    return `${ended.stdout} ${arrived ? 'with its credential' : 'without'}${ended.stderr}`;
  }

  it('leaves no request unanswered, and in the end no key under the old one', async () => {
    proxy = await startProxy(both);
    writeFileSync(join(directory, 'ca.pem'), proxy.authorityPem);
    let isOver = false;
    let interrupted = 0;
    const outcomes = new Map<string, number>();
    const load = [0, 1].map(async (lane) => {
      for (let at = lane; !isOver; at += 2) {
        const outcome = await use(made[at % made.length]!, proxy);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    });
    try {
      for (let kill = 0; kill <= kills; kill++) {
        const { child, url } = await startAdmin();
        const ended = new Promise((done) => child.once('exit', done));
        // A step of five takes some 5 ms: at a random point of what is still to be done.
        if (kill < kills) setTimeout(() => child.kill('SIGKILL'), Math.random() * Math.min(apps / 4, 2_000));
        try {
          let after: string | null = null;
          do {
            const step: { next: string | null } = await askAdmin(url, 'POST', '/v1/root-key/rewrap', {
              limit: 5,
              ...(after === null ? {} : { after }),
            });
            after = step.next;
          } while (after !== null);
          const status = await askAdmin<object>(url, 'GET', '/v1/root-key');
          expect(status).toMatchObject({ total: apps + 1, current: apps + 1, others: [], previous_needed: false });
        } catch (error) {
          if (kill === kills) throw error; // the last one is left alone
          interrupted++;
        }
        child.kill('SIGKILL');
        await ended;
      }
    } finally {
      isOver = true;
      await Promise.all(load);
    }
    expect(interrupted).toBeGreaterThan(0);
    expect([...outcomes.keys()]).toEqual(['200 with its credential']);
    expect([...outcomes.values()][0]).toBeGreaterThan(20);
  }, 600_000);

  it('opens everything with the new one alone, and nothing with the old one', async () => {
    const fresh = await openStore(redis.url);
    await expect(openVault({ store: fresh, kms: openLocalKms({ rootKey: oldKey }), clock: Date.now })).rejects.toEqual(
      expect.objectContaining({ code: 'state_invalid', detail: expect.stringContaining('does not have') }),
    );
    const opened = await openVault({ store: fresh, kms: openLocalKms({ rootKey: newKey32 }), clock: Date.now });
    const { total } = await opened.apps.list({ limit: 1, offset: 0 });
    expect(total).toBe(apps);
    await inParallel(made, 8, async ({ appId, grantId }) => {
      expect((await (await opened.app(appId)).grants.get(grantId)).value.id).toBe(grantId);
    });
    await opened.store.close();
    const alone = await startProxy({ ALTER_ROOT_KEY: newKey32.toString('base64') });
    try {
      expect(await use(made[0]!, alone)).toBe('200 with its credential');
    } finally {
      await alone.close();
    }
  });
});

describe('the way from a root key to AWS KMS', () => {
  it('is the same command, after which the service needs no root key', async () => {
    const fake = await FakeAwsKms.open();
    const rig = await Rig.open();
    let moved: Service | null = null;
    try {
      const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
      await rig.service.close();
      const start = (more: Readonly<Record<string, string>>): Promise<Service> =>
        startService({
          config: parseConfig({
            ALTER_STORE_URL: `sqlite:${join(rig.directory, 'alter.db')}`,
            ALTER_PROXY_LISTEN: '127.0.0.1:0',
            ALTER_ADMIN_LISTEN: '127.0.0.1:0',
            ALTER_OPS_LISTEN: '127.0.0.1:0',
            ALTER_KMS_URL: `awskms://${fake.region}/alias/alter?endpoint=${fake.url}`,
            ALTER_KMS_CA: fake.authority.material.certificatePem,
            ALTER_KMS_AWS_ACCESS_KEY_ID: 'AKIDFORKMSEXAMPLE',
            ALTER_KMS_AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
            ...more,
          }),
          rootKey: null,
          role: 'all',
          log: createLog({ level: 'silent' }),
          clock: Date.now,
        });
      moved = await start({ ALTER_ROOT_KEY_PREVIOUS: rig.rootKey.toString('base64') });
      const env = { ALTER_ADMIN_URL: moved.adminUrl!, ALTER_PAT: rig.pat };
      const before = await alter(['root-key', 'status'], { env });
      expect(JSON.parse(before.stdout)).toMatchObject({ total: 2, current: 0, previous_needed: true });
      const rewrap = await alter(['root-key', 'rewrap'], { env });
      expect([rewrap.code, JSON.parse(rewrap.stdout)]).toMatchObject([
        0,
        { examined: 2, rewrapped: 2, failed: [], others: [], previous_needed: false },
      ]);
      expect(rewrap.stderr).toContain('may go');
      await moved.close();
      moved = await start({});
      const shown = await fetch(`${moved.adminUrl}/v1/apps/${rig.appId}/managed-secrets/${secret.id}`, {
        headers: { authorization: `Bearer ${rig.pat}` },
      });
      expect(shown.status).toBe(200);
      await moved.close();
      fake.keys.delete('alias/alter');
      await expect(start({})).rejects.toEqual(expect.objectContaining({ code: 'kms_unavailable' }));
      moved = null;
    } finally {
      await moved?.close();
      await rig.close();
      await fake.close();
    }
  });
});
