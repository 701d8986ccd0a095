import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AlterError } from '../../core/errors.ts';
import { defaultClaimNames } from '../../core/identity-provider.ts';
import { issueToken } from '../../core/token.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { type InvalidRecord, ReadModel } from '../../vault/read-model.ts';
import { userSubjectId } from '../../vault/records/user-repository.ts';
import type { RecordKey, StoredRecord } from '../../vault/store/store.ts';
import { type AppVault, openVault } from '../../vault/vault.ts';
import {
  draftSecret,
  type FilledVault,
  fillVault,
  newKey,
  originOf,
  startOfTime,
  token,
} from '../support/filled-vault.ts';
import { placeOf } from '../support/hostile-store.ts';

/** Somebody who can write the store changes, swaps, copies and rolls back what is in it. */
describe('tampered state', () => {
  let filled: FilledVault;
  let appA: AppVault;
  let appB: AppVault;
  let rejected: InvalidRecord[];

  /** One record of each type, and how the service reads it. */
  interface Target {
    readonly space: string;
    readonly key: RecordKey;
    readonly read: () => Promise<unknown>;
  }
  const targets: Target[] = [];
  const target = (type: string) => targets.find(({ key }) => key.type === type)!;

  async function fillApp(app: AppVault): Promise<{ secretId: string; grantId: string; keyId: string }> {
    const { secret, grant } = await app.secrets.create({
      draft: draftSecret(),
      fields: token('canary'),
      baseGrantLabel: 'default',
    });
    const key = newKey(app.appId);
    await app.keys.create(key);
    return { secretId: secret.value.id, grantId: grant.value.id, keyId: key.id };
  }

  /** One record of each kind that says who somebody is. */
  async function fillPrincipals(app: AppVault, sourceGrantId: string) {
    const provider = await app.identityProviders.create({
      name: 'Okta',
      issuer: 'https://idp.example.com',
      audience: 'api',
      jwksUrl: 'https://idp.example.com/keys',
      claims: defaultClaimNames,
      algorithms: ['ES256'],
      singleUse: false,
    });
    const idpId = provider.value.id;
    const known = { idpId, externalId: 'ada', email: null, name: null, groups: ['ops'], issuedAt: startOfTime };
    const user = await app.users.see(known);
    const group = await app.groups.create({ idpId, externalGroupId: 'ops', name: 'Operations' });
    const agent = await app.agents.create({ name: 'crawler', displayName: null, type: 'agent', metadata: {} });
    const delegation = await app.delegations.create({
      agentId: agent.value.id,
      sourceGrantId,
      userId: user.value.id,
      expiresAt: startOfTime + 60_000,
    });
    return { provider, user, group, agent, delegation, known };
  }

  /** What a proxy would see that has nothing in memory yet. */
  async function readCold<T>(read: (model: ReadModel) => T | Promise<T>): Promise<T> {
    const model = new ReadModel({
      vault: filled.vault,
      maxStalenessMs: 5_000,
      onInvalid: (record) => rejected.push(record),
    });
    try {
      return await read(model);
    } finally {
      model.close();
    }
  }

  async function stored(of: { space: string; key: RecordKey }): Promise<StoredRecord> {
    filled.store.forged.clear();
    const [record] = await filled.store.get(of.space, [of.key]);
    return record!;
  }

  /** The code with which reading fails; an untyped error fails the test. */
  async function codeOf(read: () => Promise<unknown>): Promise<string> {
    try {
      await read();
    } catch (error) {
      if (error instanceof AlterError) return error.code;
      throw error;
    }
    return 'it was accepted';
  }

  beforeAll(async () => {
    filled = await fillVault();
    const { vault } = filled;
    appA = await vault.app((await vault.apps.create({ name: 'a' })).value.id);
    appB = await vault.app((await vault.apps.create({ name: 'b' })).value.id);
    const a = await fillApp(appA);
    await fillApp(appB);
    const pat = issueToken('pat', Date.now());
    await vault.accessTokens.create({
      id: pat.id,
      name: 'ci',
      scopes: ['dashboard_secrets:read'],
      appId: null,
      expiresAt: null,
      digest: pat.digest.toString('hex'),
      createdAt: startOfTime,
      revokedAt: null,
    });
    await vault.authority.create({ certificatePem: 'certificate', privateKeyPem: 'private key' });

    const secret = (await appA.secrets.get(a.secretId)).value;
    const space = appA.appId;
    const more = await fillPrincipals(appA, a.grantId);
    targets.push(
      {
        space,
        key: { type: 'secret', id: a.secretId },
        read: () => readCold((model) => model.findSecret(space, a.secretId)),
      },
      {
        space,
        key: { type: 'secret-version', id: `${a.secretId}.1` },
        read: () => readCold((model) => model.openSecret(space, secret)),
      },
      {
        space,
        key: { type: 'grant', id: a.grantId },
        read: () => readCold((model) => model.findGrant(space, a.grantId)),
      },
      { space, key: { type: 'key', id: a.keyId }, read: () => readCold((model) => model.findKey(a.keyId)) },
      {
        space: 'system',
        key: { type: 'key-owner', id: a.keyId },
        read: () => readCold((model) => model.findKey(a.keyId)),
      },
      {
        space,
        key: { type: 'identity-provider', id: more.provider.value.id },
        read: () => readCold((model) => model.findIdentityProvider(space, more.provider.value.id)),
      },
      {
        space,
        key: { type: 'user', id: more.user.value.id },
        read: () => readCold((model) => model.findUser(space, more.user.value.id)),
      },
      {
        space,
        key: { type: 'user-subject', id: userSubjectId(await vault.keyring.of(space), more.known) },
        read: () => readCold((model) => model.findUserId(space, more.known)),
      },
      { space, key: { type: 'group', id: more.group.value.id }, read: () => appA.groups.get(more.group.value.id) },
      {
        space,
        key: { type: 'agent', id: more.agent.value.id },
        read: () => readCold((model) => model.findAgent(space, more.agent.value.id)),
      },
      {
        space,
        key: { type: 'delegation', id: more.delegation.value.id },
        read: () => readCold((model) => model.findDelegation(space, more.delegation.value.id)),
      },
      { space, key: { type: 'app', id: space }, read: () => readCold((model) => model.findApp(space)) },
      { space: 'system', key: { type: 'app-entry', id: space }, read: () => vault.apps.get(space) },
      { space: 'system', key: { type: 'access-token', id: pat.id }, read: () => vault.accessTokens.find(pat.id) },
      { space: 'system', key: { type: 'authority', id: 'current' }, read: () => vault.authority.find() },
      {
        space: 'system',
        key: { type: 'app-key', id: space },
        read: async () => {
          const { store, rootKey } = filled;
          const fresh = await openVault({ store, kms: openLocalKms({ rootKey }), clock: () => startOfTime });
          return (await fresh.app(space)).secrets.get(a.secretId);
        },
      },
    );
  });
  afterAll(() => filled.close());
  beforeEach(() => {
    rejected = [];
    filled.store.forged.clear();
    filled.store.forgedNames = null;
  });

  it('is read as long as it is untouched: the control of this suite', async () => {
    for (const { read } of targets) expect(await read()).not.toBeNull();
    expect(targets).toHaveLength(16);
  });

  it('is refused after any one bit of any record was flipped', async () => {
    let mutations = 0;
    for (const { space, key, read } of targets) {
      const record = await stored({ space, key });
      for (let at = 0; at < record.body.length; at++) {
        const body = Buffer.from(record.body);
        body[at]! ^= 1 << (at & 7);
        filled.store.forged.set(placeOf(space, key), { ...record, body });
        const code = await codeOf(read);
        if (code !== 'state_invalid') throw new Error(`${key.type}, byte ${at}: ${code}`);
        mutations++;
      }
    }
    expect(mutations).toBeGreaterThan(2_000);
    const told = new Set(rejected.map(({ type }) => type));
    expect([...told].toSorted()).toEqual([
      ...['agent', 'app', 'delegation', 'grant', 'identity-provider', 'key', 'key-owner'],
      ...['secret', 'secret-version', 'user', 'user-subject'],
    ]);
  });

  it('is refused when a record is cut, emptied, extended or given another revision', async () => {
    for (const { space, key, read } of targets) {
      const record = await stored({ space, key });
      const { body, revision } = record;
      const forgeries: StoredRecord[] = [
        ...[0, 1, 12, 13, 28, 29, body.length - 12, body.length - 4, body.length - 1].map((length) => ({
          ...record,
          body: body.subarray(0, length),
        })),
        { ...record, body: Buffer.concat([body, Buffer.of(0)]) },
        { ...record, body: Buffer.from('{"id":"x","__proto__":{"polluted":1}}') },
        ...[0, revision - 1, revision + 1, -1, 1.5, Number.NaN, 2 ** 53].map((other) => ({
          ...record,
          revision: other,
        })),
      ];
      for (const forged of forgeries) {
        filled.store.forged.set(placeOf(space, key), forged);
        expect([key.type, await codeOf(read)]).toEqual([key.type, 'state_invalid']);
      }
    }
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('is refused when any two records change places', async () => {
    for (const one of targets) {
      for (const other of targets) {
        if (one === other) continue;
        const bytes = await stored(other);
        filled.store.forged.set(placeOf(one.space, one.key), { ...bytes, ...one.key });
        expect([one.key, await codeOf(one.read)]).toEqual([one.key, 'state_invalid']);
      }
    }
  });

  it('is refused when a record of one app is copied to another', async () => {
    const copied = ['secret', 'secret-version', 'grant', 'key'].map(target);
    const bytes = await Promise.all(copied.map(stored));
    for (const [index, record] of bytes.entries()) {
      filled.store.forged.set(placeOf(appB.appId, copied[index]!.key), record);
    }
    const [secretId, grantId] = ['secret', 'grant'].map((type) => target(type).key.id);
    const space = appB.appId;
    expect(await codeOf(async () => readCold((model) => model.findSecret(space, secretId!)))).toBe('state_invalid');
    expect(await codeOf(async () => readCold((model) => model.findGrant(space, grantId!)))).toBe('state_invalid');
    expect(await codeOf(() => appB.secrets.get(secretId!))).toBe('state_invalid');
    expect(await codeOf(() => appB.grants.get(grantId!))).toBe('state_invalid');
  });

  it('gives no app the wrapped key of another', async () => {
    const { store, rootKey } = filled;
    const bytes = await stored(target('app-key'));
    store.forged.set(placeOf('system', { type: 'app-key', id: appB.appId }), { ...bytes, id: appB.appId });
    const fresh = await openVault({ store, kms: openLocalKms({ rootKey }), clock: () => startOfTime });
    expect(await codeOf(() => fresh.app(appB.appId))).toBe('state_invalid');
  });

  it('is refused when a proxy that saw a newer state is given an older one, or one that was deleted', async () => {
    const model = new ReadModel({
      vault: filled.vault,
      maxStalenessMs: 5_000,
      onInvalid: (record) => rejected.push(record),
    });
    const { secretId, grantId, keyId } = await fillApp(appA);
    const space = appA.appId;
    const steps = [
      {
        key: { type: 'grant', id: grantId },
        read: async () => model.findGrant(space, grantId),
        change: () => appA.grants.revoke(grantId),
      },
      {
        key: { type: 'key', id: keyId },
        read: async () => model.findKey(keyId),
        change: () => appA.keys.revoke(keyId),
      },
      {
        key: { type: 'secret', id: secretId },
        read: async () => model.findSecret(space, secretId),
        change: () => appA.secrets.delete(secretId),
      },
    ];
    for (const { key, read, change } of steps) {
      await read();
      const old = await stored({ space, key });
      await change();
      await read(); // sees that it is revoked, or gone
      filled.store.forged.set(placeOf(space, key), old);
      filled.store.watchers.get(space)!.onChange(key);
      expect([key.type, await codeOf(read)]).toEqual([key.type, 'state_invalid']);
      filled.store.watchers.get(space)!.onReset();
      expect([key.type, await codeOf(read)]).toEqual([key.type, 'state_invalid']);
    }
    expect(rejected.map(({ type }) => type)).toEqual(['grant', 'key', 'secret']);
    model.close();
  });

  it('is refused when an old body is given out as the newest revision', async () => {
    const { grantId } = await fillApp(appA);
    const place = { space: appA.appId, key: { type: 'grant', id: grantId } };
    const old = await stored(place);
    await appA.grants.revoke(grantId);
    filled.store.forged.set(placeOf(place.space, place.key), { ...old, revision: 2 });
    expect(await codeOf(() => appA.grants.get(grantId))).toBe('state_invalid');
    expect(await codeOf(() => readCold(async (model) => model.findGrant(place.space, grantId)))).toBe('state_invalid');
  });

  it('is refused when an index leads to another record than it was asked for', async () => {
    const { secretId } = await fillApp(appA);
    filled.store.forgedNames = [{ type: 'secret', id: secretId }];
    expect(await codeOf(() => appA.secrets.get('github'))).toBe('state_invalid');
    filled.store.forgedNames = [{ type: 'app-entry', id: appB.appId }];
    expect(await codeOf(() => filled.vault.apps.get('a'))).toBe('state_invalid');
    filled.store.forgedNames = [{ type: 'grant', id: secretId }];
    expect(await codeOf(() => appA.secrets.get('github'))).toBe('not_found');
  });

  it('intercepts no host because of a planted index entry, and fails typed because of a bad secret', async () => {
    const { space, key } = target('secret');
    const record = await stored({ space, key });
    filled.store.forged.set(placeOf(space, key), { ...record, body: Buffer.from(record.body).reverse() });
    filled.store.forgedTags = [key];
    const ask = () => readCold((model) => model.someSecretAllows(space, originOf('api.stripe.com')));
    expect(await codeOf(ask)).toBe('state_invalid');
    filled.store.forged.set(placeOf(space, key), null);
    expect(await ask()).toBe(false);
    filled.store.forgedTags = null;
  });
});
