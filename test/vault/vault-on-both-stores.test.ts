import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { issueId } from '../../core/id.ts';
import type { Origin } from '../../core/origin.ts';
import type { Caller } from '../../core/runtime-key.ts';
import { verifyChain } from '../../vault/audit/audit-chain.ts';
import { AuditLog } from '../../vault/audit/audit-log.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { ReadModel } from '../../vault/read-model.ts';
import type { Store } from '../../vault/store/store.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { type AppVault, openVault, type Vault } from '../../vault/vault.ts';
import { draftSecret, newKey, originOf, startOfTime, token } from '../support/filled-vault.ts';
import { startRedis } from '../support/redis.ts';

/** Opens what the operators write through and what the proxy reads through; on Redis these are two connections. */
const stores: readonly (readonly [string, () => Promise<{ admin: Store; proxy: Store; close(): Promise<void> }>])[] = [
  [
    'the embedded store',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'alter-vault-'));
      const store = await openSqliteStore({ path: join(folder, 'alter.db') });
      const close = async () => {
        await store.close();
        rmSync(folder, { recursive: true, force: true });
      };
      return { admin: store, proxy: store, close };
    },
  ],
  [
    'Redis',
    async () => {
      const redis = await startRedis();
      const [admin, proxy] = await Promise.all([
        openRedisStore({ url: redis.url }),
        openRedisStore({ url: redis.url }),
      ]);
      const close = async () => {
        await Promise.all([admin.close(), proxy.close()]);
        await redis.stop();
      };
      return { admin, proxy, close };
    },
  ],
];

describe.each(stores)('the vault on %s', (_name, openStores) => {
  let opened: Awaited<ReturnType<typeof openStores>>;
  let admin: Vault;
  let proxy: Vault;
  let app: AppVault;
  let model: ReadModel;
  const page = { limit: 100, offset: 0 };

  beforeAll(async () => {
    opened = await openStores();
    const kms = openLocalKms({ rootKey: randomBytes(32) });
    const clock = () => startOfTime;
    [admin, proxy] = await Promise.all([
      openVault({ store: opened.admin, kms, clock }),
      openVault({ store: opened.proxy, kms, clock }),
    ]);
    app = await admin.app((await admin.apps.create({ name: 'default' })).value.id);
    model = new ReadModel({ vault: proxy, maxStalenessMs: 5_000 });
  });
  afterAll(async () => {
    model.close();
    await opened.close();
  });

  const createSecret = (name: string, value: string) =>
    app.secrets.create({ draft: draftSecret({ name }), fields: token(value), baseGrantLabel: 'default' });

  const offersTo = (caller: Caller, origin: Origin) => model.findOffers({ caller, user: null }, origin, startOfTime);

  /** A change comes to another connection by the feed: soon, and not later than this. */
  async function eventually(check: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + 2_000;
    while (!(await check())) {
      if (performance.now() > end) throw new Error('the proxy did not see the change within 2 s');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  it('leads the proxy from a key to the value, and shows it every rotation and revocation', async () => {
    const key = newKey(app.appId);
    await app.keys.create(key);
    const { secret, grant } = await createSecret('Stripe', 'first');
    const origin = originOf('api.stripe.com');

    const caller = await model.findKey(key.id);
    expect(caller?.key).toEqual(key);
    expect(await model.someSecretAllows(app.appId, origin)).toBe(true);
    expect(await offersTo(caller!, origin)).toEqual([{ id: grant.value.id, label: grant.value.label }]);
    const found = await model.findSecret(app.appId, grant.value.secretId);
    expect((await model.openSecret(app.appId, found!)).reveal().token).toBe('first');
    model.requireFresh(app.appId);

    await app.secrets.rotate(secret.value.id, token('second'));
    await eventually(async () => {
      const current = await model.findSecret(app.appId, secret.value.id);
      return (await model.openSecret(app.appId, current!)).reveal().token === 'second';
    });
    await app.grants.revoke(grant.value.id);
    await eventually(async () => (await model.findGrant(app.appId, grant.value.id))?.revokedAt === startOfTime);
    await eventually(async () => (await offersTo(caller!, origin)).length === 0);
    await app.keys.revoke(key.id);
    await eventually(async () => (await model.findKey(key.id))?.key.revokedAt === startOfTime);
    await app.secrets.delete(secret.value.id);
    await eventually(async () => (await model.findSecret(app.appId, secret.value.id)) === null);
    await eventually(async () => !(await model.someSecretAllows(app.appId, origin)));
  });

  it('gives every secret a slug of its own when many are made at once', async () => {
    const made = await Promise.all(Array.from({ length: 10 }, () => createSecret('Same', 'x')));
    const slugs = made.map(({ secret }) => secret.value.slug).toSorted();
    expect(slugs).toEqual(['same', 'same-10', ...[2, 3, 4, 5, 6, 7, 8, 9].map((n) => `same-${n}`)]);
    expect((await app.secrets.list(page)).total).toBe(10);
  });

  it('loses no update where several are made at once', async () => {
    const { secret } = await createSecret('Contended', 'x');
    const update = (n: number) =>
      app.secrets.update(secret.value.id, (value) => ({
        ...value,
        allowedHosts: [...value.allowedHosts, `h${n}.example.com`],
      }));
    await Promise.all([1, 2, 3, 4].map(update));
    expect((await app.secrets.get(secret.value.id)).value.allowedHosts).toHaveLength(5);
    await expect(app.secrets.update(secret.value.id, (value) => ({ ...value, name: 'x' }), 1)).rejects.toMatchObject({
      code: 'revision_conflict',
    });
  });

  it('keeps the audit of several writers in chains that verify, and takes rates exactly', async () => {
    const logs = [admin, proxy].map((vault) => new AuditLog({ vault, writer: 'writer', mode: 'strict' }));
    const rate = { bucket: 'key:x', requests: 30, perSeconds: 3_600 };
    const verdicts = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        logs[n % 2]!.record(
          {
            id: issueId(startOfTime),
            time: new Date(startOfTime).toISOString(),
            event: 'request.decided',
            app_id: app.appId,
          },
          [rate],
        ),
      ),
    );
    expect(verdicts.flat().filter(({ allowed }) => allowed)).toHaveLength(30);
    await Promise.all(logs.map((log) => log.close()));
    const entries = await opened.admin.readAudit({ space: app.appId, order: 'ascending', limit: 1_000 });
    expect(entries.length).toBeLessThanOrEqual(100);
    expect(new Set(entries.map(({ writer }) => writer)).size).toBe(2);
    expect(verifyChain(entries, { space: app.appId }).kind).toBe('intact');
    expect((await app.audit.list({ order: 'descending', limit: 100 })).events).toHaveLength(100);
  });
});
