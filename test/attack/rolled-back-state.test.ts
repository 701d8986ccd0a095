import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { defaultClaimNames } from '../../core/identity-provider.ts';
import { StateMarks } from '../../vault/guard/state-marks.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { openVault } from '../../vault/vault.ts';
import { draftSecret, type FilledVault, fillVault, token } from '../support/filled-vault.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';

let rig: Rig;
let secret: StoredSecret;
let key: string;

const send = async (grantId = secret.grantId): Promise<string> => {
  const { stdout } = await rig.curl(
    ['-o', '/dev/null', '-w', '%{http_code} %{http_connect} %header{x-alter-error}', `https://${rig.authorityOf()}/x`]
      .concat(['-H', `X-Alter-Grant: ${grantId}`])
      .concat(['-D', '-', '--show-error']),
    { key },
  );
  const code = /x-alter-error: (\w+)/i.exec(stdout)?.[1] ?? 'ok';
  return code;
};
const injections = (): number => rig.sink().raw.toString('latin1').split(secret.canary).length - 1;
const revoke = () => rig.admin('POST', `/grants/${secret.grantId}/revoke`, undefined, [200]);
const reanchor = async (): Promise<void> => {
  const { items } = await rig.admin<{ items: { app_id: string | null }[] }>('GET', '/v1/state');
  for (const { app_id } of items) await rig.admin('POST', '/v1/state/reanchor', { app_id });
};
const readiness = async (): Promise<string> => {
  const { host, port } = rig.service.ops;
  return (await fetch(`http://${host}:${port}/readyz`)).text();
};

async function open(options: Parameters<typeof Rig.open>[0]): Promise<void> {
  rig = await Rig.open(options);
  secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  key = (await rig.mintKey()).key;
  expect(await send()).toBe('ok');
}

/** Somebody who can replace what the store holds puts back a state in which a revoked grant still lived. */
describe('a Redis that is put back to an older state', () => {
  let dump: { readonly file: string; readonly saved: string };

  beforeEach(async () => {
    await open({ store: 'redis' });
    await rig.redis!.cli('SAVE');
    const file = join((await rig.redis!.cli('CONFIG', 'GET', 'dir')).split('\n')[1]!, 'dump.rdb');
    dump = { file, saved: `${file}.saved` };
    copyFileSync(file, dump.saved);
  });
  afterEach(() => rig?.close());

  const rollBack = async (): Promise<void> => {
    await rig.redis!.kill();
    copyFileSync(dump.saved, dump.file);
    await rig.redis!.restart();
  };

  it('is refused by the proxy and the admin service until an operator accepts it', async () => {
    await revoke();
    expect(await send()).toBe('grant_revoked');
    await rollBack();
    rig.sink().forget();
    await eventually(async () => (await send()) === 'state_rollback');
    expect(await readiness()).toContain('state_rollback');
    const refused = await rig.admin('GET', '/managed-secrets', undefined, [503]);
    expect(refused).toMatchObject({ code: 'state_rollback', hint: expect.stringContaining('alter state reanchor') });
    const { items } = await rig.admin<{ items: unknown[] }>('GET', '/v1/state');
    expect(items).toContainEqual(expect.objectContaining({ app_id: rig.appId, status: 'rolled_back' }));
    expect(injections()).toBe(0);
    expect(rig.logText).toContain('The store gives an older state');

    await reanchor();
    await eventually(async () => (await send()) === 'ok');
    expect(injections()).toBe(1);
    await revoke();
    expect(await send()).toBe('grant_revoked');
    const { items: events } = await rig.admin<{ items: { event: string }[] }>('GET', '/audit?limit=200');
    const told = events.map(({ event }) => event);
    expect(told).toEqual(expect.arrayContaining(['state.rollback_found', 'state.reanchored']));
    expect(await readiness()).not.toContain('state_rollback');
  });

  it('is refused also where as much was written to it meanwhile as was lost', async () => {
    await revoke();
    expect(await send()).toBe('grant_revoked');
    await rollBack();
    // A process that knows nothing of what was lost writes on: the numbers catch up, and the history is another one.
    const { openRedisStore } = await import('../../vault/store/store-redis.ts');
    const store = await openRedisStore({ url: rig.redis!.url });
    const vault = await openVault({ store, kms: openLocalKms({ rootKey: rig.rootKey }), clock: Date.now });
    const app = await vault.app(rig.appId);
    for (const name of ['one', 'two', 'three'])
      await app.agents.create({ name, displayName: null, type: 'agent', metadata: {} });
    await store.close();
    rig.sink().forget();
    await eventually(async () => (await send()) === 'state_rollback');
    expect(injections()).toBe(0);
  });

  it('is refused when it is emptied', async () => {
    await rig.redis!.cli('FLUSHALL');
    // What is in memory is good until the change feed says otherwise, a quarter of a second later.
    await eventually(async () => (await send()) === 'state_rollback');
    rig.sink().forget();
    expect(await send()).toBe('state_rollback');
    expect(await rig.admin('GET', '/managed-secrets', undefined, [503])).toMatchObject({ code: 'state_rollback' });
    expect(injections()).toBe(0);
  });

  it('gives no older state of one record, neither while the service runs nor after it was started again', async () => {
    const redis = new Redis(rig.redis!.url);
    const record = `alter:{${rig.appId}}:record:grant:${secret.grantId}`;
    try {
      const old = await redis.hgetallBuffer(record);
      await revoke();
      expect(await send()).toBe('grant_revoked');
      await redis.hset(record, Object.entries(old).flat());
      rig.sink().forget();
      await rig.admin('PATCH', `/grants/${secret.grantId}`, { label: 'x' }, [503]);
      await rig.restart();
      expect(await send()).toBe('state_invalid');
      expect(await rig.admin('GET', `/grants/${secret.grantId}`, undefined, [503])).toMatchObject({
        code: 'state_invalid',
      });
      // With the floors of the records that is found as well.
      await redis.del(await redis.keys(`alter:{${rig.appId}}:record:floors:*`));
      await eventually(async () => (await send()) === 'state_rollback');
      expect(injections()).toBe(0);
    } finally {
      redis.disconnect();
    }
  });
});

describe('an older copy of the SQLite file', () => {
  afterEach(() => rig?.close());

  it('is refused at the start, until an operator accepts it', async () => {
    await open({ store: 'sqlite' });
    const file = join(rig.directory, 'alter.db');
    await rig.restart(() => copyFileSync(file, `${file}.saved`));
    await revoke();
    await rig.restart(() => copyFileSync(`${file}.saved`, file));
    rig.sink().forget();
    expect(await send()).toBe('state_rollback');
    expect(await rig.admin('GET', '/keys', undefined, [503])).toMatchObject({ code: 'state_rollback' });
    await rig.restart();
    expect(await send()).toBe('state_rollback');
    expect(injections()).toBe(0);
    await reanchor();
    expect(await send()).toBe('ok');
    await rig.restart();
    expect(await send()).toBe('ok');

    // The file of another state, which this one does not follow from.
    const emptied = rig.restart(() => rmSync(file));
    await expect(emptied).rejects.toMatchObject({ code: 'state_rollback', hint: expect.stringContaining('move') });
    expect(existsSync(`${file}.marks`)).toBe(true);
  });
});

describe('the file of marks', () => {
  let filled: FilledVault;
  beforeEach(async () => {
    filled = await fillVault();
  });
  afterEach(() => filled.close());

  it('that was edited is not believed, and only an operator can say that the state is right', async () => {
    const appId = (await filled.vault.apps.create({ name: 'shop' })).value.id;
    const path = join(filled.folder, 'marks');
    const kms = openLocalKms({ rootKey: filled.rootKey });
    const openAgain = () =>
      openVault({ store: filled.store, kms, clock: () => filled.clock.now, marks: new StateMarks({ path }) });
    const seen = new StateMarks({ path });
    const first = await openVault({ store: filled.store, kms, clock: () => filled.clock.now, marks: seen });
    await first.apps.get(appId);
    await seen.close();
    await expect((await openAgain()).apps.get(appId)).resolves.toBeDefined();

    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(/"number": \d+/, '"number": 0'));
    const vault = await openAgain();
    await expect(vault.apps.get(appId)).rejects.toMatchObject({ code: 'state_rollback' });
    await vault.store.reanchor('system', filled.clock.now);
    await expect(vault.apps.get(appId)).resolves.toBeDefined();

    writeFileSync(path, '{"marks":');
    expect(() => new StateMarks({ path })).toThrow('state_invalid');
  });

  it('is shared by processes that each know something', async () => {
    const path = join(filled.folder, 'marks');
    const keys = await filled.vault.keyring.of('system');
    const [one, other] = [new StateMarks({ path }), new StateMarks({ path })];
    one.raise(keys, { era: 0, number: 7, word: 'aa' });
    await one.close();
    other.raise(keys, { era: 0, number: 5, word: 'bb' });
    await other.close();
    expect(new StateMarks({ path }).find(keys)).toEqual({ era: 0, number: 7, word: 'aa' });
  });
});

describe('the epoch of a space', () => {
  it('moves with every commit, of however many processes', async () => {
    const filled = await fillVault();
    try {
      const kms = openLocalKms({ rootKey: filled.rootKey });
      const vaults = await Promise.all(
        [1, 2, 3].map(() => openVault({ store: filled.store, kms, clock: () => filled.clock.now })),
      );
      const appId = (await vaults[0]!.apps.create({ name: 'shop' })).value.id;
      const made = await Promise.all(
        Array.from({ length: 30 }, async (_, index) => {
          const app = await vaults[index % 3]!.app(appId);
          return app.secrets.create({ draft: draftSecret(), fields: token('x'), baseGrantLabel: `l${index}` });
        }),
      );
      await Promise.all(
        made.map(async ({ grant }, index) => (await vaults[(index + 1) % 3]!.app(appId)).grants.revoke(grant.value.id)),
      );
      const [epoch] = await filled.store.get(appId, [{ type: 'epoch', id: 'current' }]);
      expect(epoch?.revision).toBe(61); // the app itself was the first
      const again = await openVault({ store: filled.store, kms, clock: () => filled.clock.now });
      const { items } = await (await again.app(appId)).grants.list({ limit: 100, offset: 0 });
      expect(items.filter(({ value }) => value.revokedAt !== null)).toHaveLength(30);
    } finally {
      await filled.close();
    }
  });

  it('costs no question more: a cold record is still one round trip', async () => {
    const filled = await fillVault();
    try {
      const { vault, store } = filled;
      const app = await vault.app((await vault.apps.create({ name: 'shop' })).value.id);
      const { secret: made } = await app.secrets.create({
        draft: draftSecret(),
        fields: token('x'),
        baseGrantLabel: 'default',
      });
      await vault.store.watch(app.appId, { onChange() {}, onReset() {}, onContact() {} });
      const before = store.gets;
      await app.secrets.get(made.value.id);
      expect(store.gets - before).toBe(1);
    } finally {
      await filled.close();
    }
  });
});

describe('a store without any epoch', () => {
  it('is refused for as long as nobody accepted it, also by who has never seen another state', async () => {
    const filled = await fillVault();
    try {
      const { store } = filled;
      const appId = (await filled.vault.apps.create({ name: 'shop' })).value.id;
      for (const space of ['system', appId])
        for (const { type, id, revision } of (await store.list({ space, type: 'epoch', limit: 1 })).records)
          await store.commit(space, [{ kind: 'delete', type, id, expectedRevision: revision }]);
      const kms = openLocalKms({ rootKey: filled.rootKey });
      const vault = await openVault({ store, kms, clock: () => filled.clock.now });
      await expect(vault.apps.get(appId)).rejects.toMatchObject({ code: 'state_rollback' });
      await expect(vault.store.look('system')).rejects.toMatchObject({ code: 'state_rollback' });
      await expect(vault.apps.create({ name: 'new' })).rejects.toMatchObject({ code: 'state_rollback' });
      for (const space of ['system', appId]) await vault.store.reanchor(space, filled.clock.now);
      await expect(vault.apps.get('shop')).resolves.toMatchObject({ value: { id: appId } });
      expect(vault.store.rolledBack()).toEqual([]);
    } finally {
      await filled.close();
    }
  });
});

describe('the deletion of a record', () => {
  it('cannot be undone by putting the record back', async () => {
    const filled = await fillVault();
    try {
      const { vault, store } = filled;
      const app = await vault.app((await vault.apps.create({ name: 'shop' })).value.id);
      const draft = { name: 'Okta', issuer: 'https://idp.test', audience: 'api', jwksUrl: 'https://idp.test/keys' };
      const provider = await app.identityProviders.create({
        ...draft,
        claims: defaultClaimNames,
        algorithms: ['ES256'],
        singleUse: false,
      });
      const place = { type: 'identity-provider', id: provider.value.id };
      const [old] = await store.get(app.appId, [place]);
      await app.identityProviders.delete(place.id);
      await store.commit(app.appId, [
        { kind: 'put', ...place, expectedRevision: 0, body: old!.body, tags: [], names: [] },
      ]);
      await expect(app.identityProviders.get(place.id)).rejects.toMatchObject({ code: 'state_invalid' });
      await vault.store.reanchor(app.appId, filled.clock.now);
      await expect(app.identityProviders.get(place.id)).resolves.toBeDefined();
    } finally {
      await filled.close();
    }
  });
});
