import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis as RedisClient } from 'ioredis';
import { findAppKey, formatAppKey } from '../../core/app-key.ts';
import { auditContext } from '../../vault/audit/audit-entry.ts';
import { SpaceKeys, systemSpace } from '../../vault/keys/keyring.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { encodeContext, openBytes } from '../../vault/keys/seal.ts';
import { TestIdentityProvider } from '../support/identity-provider.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { Sidecar } from '../support/sidecar.ts';

/**
 * Somebody has taken over a sidecar: they hold the key of its app and its user of the store, and a dump of the whole store
 * besides. They get what is this app's, and nothing of any other.
 */
describe('a process with the key of one app', () => {
  let rig: Rig;
  let client: RedisClient;
  let provider: TestIdentityProvider;
  let own: { appKey: Buffer; token: string; storeUrl: string; secret: StoredSecret; key: string };
  let other: { appId: string; canary: string; key: string };
  let sidecar: Sidecar;
  const settings = (more: Readonly<Record<string, string>> = {}) => ({
    ALTER_STORE_URL: own.storeUrl,
    ALTER_APP_KEY: own.token,
    ...more,
  });
  const ask = async (key: string, headers: Readonly<Record<string, string>>, by = sidecar): Promise<string> => {
    const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const { stdout, stderr } = await by.curl(['-D', '-', ...lines, `https://${rig.authorityOf()}/`], key);
    return stdout + stderr;
  };

  beforeAll(async () => {
    rig = await Rig.open({ store: 'redis', sinks: ['a.test', 'idp.test'] });
    client = new RedisClient(rig.redis!.url);
    provider = await TestIdentityProvider.open(rig);
    await provider.register(rig, { claims: { groups: 'roles' } });

    const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const { key } = await rig.mintKey();
    const made = await rig.admin<{ app_key: string; store_url: string }>('POST', '/sidecar-credentials', {});
    own = { appKey: findAppKey(made.app_key)!.key, token: made.app_key, storeUrl: made.store_url, secret, key };

    const { id: appId } = await rig.admin<{ id: string }>('POST', '/v1/apps', { name: 'other' });
    const at = `/v1/apps/${appId}`;
    const canary = `canary-${randomBytes(18).toString('hex')}`;
    const theirSecret = await rig.admin<{ id: string }>('POST', `${at}/managed-secrets`, {
      name: 'theirs',
      credential_value: canary,
    });
    await rig.admin('PUT', `${at}/managed-secrets/${theirSecret.id}/allowed-hosts`, { hosts: [rig.authorityOf()] });
    const theirs = await rig.admin<{ key: string }>('POST', `${at}/keys`, { name: 'k', scopes: ['proxy:execute'] });
    other = { appId, canary, key: theirs.key };

    sidecar = await Sidecar.start(rig, settings());
  });
  afterAll(async () => {
    await sidecar?.stop();
    client?.disconnect();
    await rig?.close();
  });

  it('serves its app: credential, users, policy and rates, revocation and audit', async () => {
    const grant = { 'X-Alter-Grant': own.secret.grantId };
    expect(await ask(own.key, grant)).toContain('HTTP/1.1 200');
    expect(rig.sink().requests.at(-1)!.all('authorization')).toEqual([`Bearer ${own.secret.canary}`]);
    await rig.admin('POST', `/managed-secrets/${own.secret.id}/grants`, {
      principal_type: 'group',
      external_group_id: 'ops',
      idp_id: (await rig.admin<{ items: { id: string }[] }>('GET', '/identity-providers')).items[0]!.id,
      label: 'ops',
    });
    const token = await provider.token({ sub: 'grace', roles: ['ops'] });
    const groups = await rig.admin<{ items: { grant_id: string; label: string }[] }>(
      'GET',
      `/managed-secrets/${own.secret.id}/grants`,
    );
    const ops = groups.items.find(({ label }) => label === 'ops')!.grant_id;
    expect(await ask(own.key, { 'X-Alter-Grant': ops, 'X-Alter-User-Token': token })).toContain('HTTP/1.1 200');
    await eventually(async () =>
      (await rig.admin<{ items: { external_id: string }[] }>('GET', '/users')).items.some(
        ({ external_id: id }) => id === 'grace',
      ),
    );

    await rig.admin('PATCH', `/v1/apps/${rig.appId}`, {
      policy: { rate_limit: { requests: 1, per_seconds: 3600 }, methods: ['GET'] },
    });
    await eventually(async () => (await ask(own.key, grant)).includes('429'));
    await rig.admin('PATCH', `/v1/apps/${rig.appId}`, { policy: null });
    await eventually(async () => (await ask(own.key, grant)).includes('HTTP/1.1 200'));
    const events = await rig.admin<{ items: { event: string; code: string | null }[] }>('GET', '/audit?limit=200');
    expect(events.items.some(({ code }) => code === 'rate_limited')).toBe(true);

    await rig.admin('POST', `/grants/${ops}/revoke`, {});
    await eventually(async () =>
      (await ask(own.key, { 'X-Alter-Grant': ops, 'X-Alter-User-Token': token })).includes('grant_revoked'),
    );
  });

  it('writes down when its keys and grants were used', async () => {
    await eventually(
      async () =>
        (await rig.admin<{ items: { last_used_at: string | null }[] }>('GET', '/keys')).items.some(
          ({ last_used_at: at }) => at !== null,
        ),
      15_000,
    );
  });

  it('knows no key of another app', async () => {
    expect(await ask(other.key, {})).toContain('407');
    expect(await ask(own.key, {})).not.toContain('407');
  });

  it('shows certificates of an authority of its own, which the bundle beside it names', () => {
    const { text, mode } = sidecar.bundle;
    expect(mode).toBe(0o644);
    expect(text.match(/BEGIN CERTIFICATE/g)!.length).toBeGreaterThan(1);
    expect(text).not.toContain(rig.service.authorityPem.trim());
    expect(text).not.toContain('PRIVATE KEY');
  });

  it('has asked the store for nothing but keys of its app', async () => {
    expect(await client.call('ACL', 'LOG')).toEqual([]);
  });

  it('can read no key of another app or of the system, and change nothing that an operator decides', async () => {
    const limited = new RedisClient(settings().ALTER_STORE_URL);
    const keys = await client.keys('*');
    expect(keys.length).toBeGreaterThan(20);
    const outcomes = await Promise.all(
      keys.map((key) =>
        limited.callBuffer('EVAL', [`return redis.call('HGET', KEYS[1], 'b')`, 1, key]).then(
          () => 'read',
          (error: Error) => (error.message.includes('WRONGTYPE') ? 'read' : error.message.split(' ')[0]),
        ),
      ),
    );
    const isOwn = (key: string): boolean => key.startsWith(`alter:{${rig.appId}}:`);
    // EVAL asks for the right to write all that it names, so that of the app's own records only some can be named to it.
    for (const [index, key] of keys.entries()) if (!isOwn(key)) expect(outcomes[index]).toBe('NOPERM');
    const decided = keys.filter(
      (key) =>
        isOwn(key) &&
        !/:record:(?:user|group|last-use|epoch|floors|audit-checkpoint|audit-ledger)/.test(key) &&
        /:record:/.test(key),
    );
    expect(decided.length).toBeGreaterThan(5);
    for (const key of decided) {
      await expect(limited.hget(key, 'r')).resolves.toMatch(/^\d+$/);
      await expect(limited.hset(key, 'r', 7)).rejects.toThrow('NOPERM');
      await expect(limited.eval(`return redis.call('HSET', ARGV[1], 'r', 7)`, 0, key)).rejects.toThrow(
        /can't|permissions/i,
      );
    }
    await expect(limited.keys('*')).rejects.toThrow('NOPERM');
    await expect(limited.config('GET', '*')).rejects.toThrow('NOPERM');
    await expect(limited.flushall()).rejects.toThrow('NOPERM');
    limited.disconnect();
    await client.call('ACL', 'LOG', 'RESET');
  });

  it('opens nothing of another app or of the system in a dump of the whole store', async () => {
    const spaces = [rig.appId, other.appId, systemSpace];
    const opened = new Map(spaces.map((space) => [space, 0]));
    const seen = new Map(spaces.map((space) => [space, 0]));
    const attempt = async (space: string, sealed: Buffer, bound: { type: string; id: string; revision: number }) => {
      seen.set(space, seen.get(space)! + 1);
      const opens = await Promise.all([
        ...spaces.flatMap((label) => {
          const keys = new SpaceKeys(label, own.appKey);
          return [succeeds(() => keys.open(bound, sealed)), succeeds(() => keys.openAudit(bound, sealed))];
        }),
        ...spaces.map((label) =>
          succeeds(() =>
            openLocalKms({ rootKey: own.appKey }).unwrap(sealed, encodeContext({ ...bound, space: label })),
          ),
        ),
        succeeds(() => {
          if (openBytes(createSecretKey(own.appKey), Buffer.alloc(0), sealed) === null) throw new Error('closed');
        }),
      ]);
      if (opens.includes(true)) opened.set(space, opened.get(space)! + 1);
    };

    for (const key of await client.keys('*')) {
      const [, space, rest] = /^alter:\{([^}]+)\}:(.+)$/.exec(key) ?? [];
      if (space === undefined || rest === undefined) continue;
      const record = /^record:([^:]+):(.+)$/.exec(rest);
      if (record !== null) {
        const [revision, body] = (await client.hmgetBuffer(key, 'r', 'b')) as Buffer[];
        const type = decodeURIComponent(record[1]!);
        await attempt(space, body!, { type, id: record[2]!, revision: Number(revision) });
      } else if (rest === 'audit') {
        for (const [, fields] of await client.xrangeBuffer(key, '-', '+')) {
          const at = (name: string) =>
            fields[fields.findIndex((field, i) => i % 2 === 0 && String(field) === name) + 1]!;
          const bound = auditContext({ writer: String(at('w')), sequence: Number(at('s')) });
          await attempt(space, at('b'), bound);
        }
      }
    }
    expect(opened.get(rig.appId)).toBe(seen.get(rig.appId)); // the control: with this key this search opens all of its own
    expect(seen.get(rig.appId)).toBeGreaterThan(10);
    for (const space of [other.appId, systemSpace]) {
      expect(seen.get(space)).toBeGreaterThan(4);
      expect(opened.get(space)).toBe(0);
    }
    const dump = Buffer.concat(await Promise.all((await client.keys('*')).map((key) => client.dumpBuffer(key))));
    expect(dump.includes(own.appKey)).toBe(false);
    expect(dump.includes(own.token.slice(-49))).toBe(false);
  });

  it('serves its app with several workers, all of one authority', async () => {
    const workers = await Sidecar.start(rig, settings({ ALTER_WORKERS: '2' }));
    const grant = { 'X-Alter-Grant': own.secret.grantId };
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(own.key, grant, workers)));
    for (const answer of answers) expect(answer).toContain('HTTP/1.1 200');
    await workers.stop();
    expect(await client.call('ACL', 'LOG')).toEqual([]);
  });

  it('does not start with the key of an app that the store does not hold, or whose records it does not open', async () => {
    const wrong = formatAppKey({ appId: rig.appId, key: randomBytes(32) });
    const closed = await Sidecar.start(rig, settings({ ALTER_APP_KEY: wrong }));
    expect([await closed.exit, closed.stderr]).toEqual([1, expect.stringContaining('does not open the app')]);
    await closed.stop();
    const elsewhere = formatAppKey({ appId: '01980000-0000-7000-8000-000000000000', key: own.appKey });
    const unknown = await Sidecar.start(rig, settings({ ALTER_APP_KEY: elsewhere, ALTER_STORE_URL: rig.redis!.url }));
    expect([await unknown.exit, unknown.stderr]).toEqual([2, expect.stringContaining('this store does not hold')]);
    expect(unknown.stderr).not.toContain(own.appKey.toString('base64url'));
    await unknown.stop();
  });
});

async function succeeds(open: () => unknown): Promise<boolean> {
  try {
    await open();
    return true;
  } catch {
    return false;
  }
}
