import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { issueId } from '../../core/id.ts';
import type { Origin } from '../../core/origin.ts';
import type { Caller, RuntimeKey } from '../../core/runtime-key.ts';
import { type InvalidRecord, ReadModel, type ReadModelOptions } from '../../vault/read-model.ts';
import type { AppVault } from '../../vault/vault.ts';
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

const unavailable = expect.objectContaining({ code: 'state_unavailable' });
const invalid = expect.objectContaining({ code: 'state_invalid' });
const unknownId = issueId(startOfTime);

function callerOf(key: RuntimeKey): Caller {
  return { key, addresses: null, agent: null, parent: null };
}

describe('the read model', () => {
  let filled: FilledVault;
  let app: AppVault;
  let model: ReadModel;
  let rejected: InvalidRecord[];

  const openModel = (over: Partial<ReadModelOptions> = {}) => {
    model = new ReadModel({
      vault: filled.vault,
      maxStalenessMs: 1_000,
      onInvalid: (record) => rejected.push(record),
      ...over,
    });
    return model;
  };
  const createSecret = async (name = 'Stripe', allowedHosts: string[] = ['api.stripe.com']) => {
    const made = await app.secrets.create({
      draft: draftSecret({ name, allowedHosts }),
      fields: token(`value of ${name}`.replaceAll(' ', '-')),
      baseGrantLabel: 'default',
    });
    return { secret: made.secret.value, grant: made.grant.value };
  };
  const offersTo = (caller: Caller, origin: Origin) =>
    model.findOffers({ caller, user: null }, origin, filled.clock.now);
  /** Holds every `get` of the store between its reading and its answer, until it is released. */
  const holdAnswers = () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    filled.store.beforeAnswer = () => held;
    return () => {
      filled.store.beforeAnswer = null;
      release();
    };
  };

  beforeEach(async () => {
    filled = await fillVault();
    rejected = [];
    app = await filled.vault.app((await filled.vault.apps.create({ name: 'default' })).value.id);
    openModel();
  });
  afterEach(async () => {
    filled.store.beforeAnswer = null;
    model.close();
    await filled.close();
  });

  it('answers in the same tick once it is warm', async () => {
    const { secret, grant } = await createSecret();
    const key = newKey(app.appId, { cidr: ['10.0.0.0/8'] });
    await app.keys.create(key);
    const origin = originOf('api.stripe.com');
    const caller = await model.findKey(key.id);
    expect(caller?.key).toEqual(key);
    expect([caller?.addresses?.has('10.1.2.3'), caller?.addresses?.has('11.1.2.3')]).toEqual([true, false]);
    expect(await model.findGrant(app.appId, grant.id)).toEqual(grant);
    expect(await model.findSecret(app.appId, secret.id)).toEqual(secret);
    expect((await model.openSecret(app.appId, secret)).reveal().token).toBe('value-of-Stripe');
    expect(await model.someSecretAllows(app.appId, origin)).toBe(true);
    expect(await offersTo(caller!, origin)).toEqual([{ id: grant.id, label: grant.label }]);

    const gets = filled.store.gets;
    expect(model.findKey(key.id)).toBe(caller);
    expect(model.findGrant(app.appId, grant.id)).toEqual(grant);
    expect(model.findSecret(app.appId, secret.id)).toEqual(secret);
    const opened = model.openSecret(app.appId, secret);
    expect(opened).not.toBeInstanceOf(Promise);
    expect(model.openSecret(app.appId, secret)).toBe(opened); // not decrypted again for a few seconds
    expect(model.someSecretAllows(app.appId, origin)).toBe(true);
    expect(await offersTo(caller!, origin)).toEqual([{ id: grant.id, label: grant.label }]);
    expect(filled.store.gets).toBe(gets);
  });

  it('lets go of an opened value after a while, so that what is not in use is not in memory', async () => {
    const { secret } = await createSecret();
    const forgetful = new ReadModel({ vault: filled.vault, maxStalenessMs: 5_000, openedForMs: 20 });
    const opened = await forgetful.openSecret(app.appId, secret);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await forgetful.openSecret(app.appId, secret)).not.toBe(opened);
    forgetful.close();
  });

  it('answers null for what does not exist or belongs to another app, and remembers that', async () => {
    const { secret, grant } = await createSecret();
    const other = await filled.vault.apps.create({ name: 'other' });
    expect(await model.findKey('NoSuchKey')).toBeNull();
    expect(await model.findGrant(app.appId, unknownId)).toBeNull();
    expect(await model.findGrant(other.value.id, grant.id)).toBeNull();
    expect(await model.findSecret(other.value.id, secret.id)).toBeNull();
    expect(await model.findGrant(unknownId, grant.id)).toBeNull(); // no such app
    const gets = filled.store.gets;
    expect(model.findKey('NoSuchKey')).toBeNull();
    expect(model.findGrant(app.appId, unknownId)).toBeNull();
    expect(filled.store.gets).toBe(gets);
  });

  it('sees what is created after it was asked for in vain', async () => {
    const key = newKey(app.appId);
    const origin = originOf('api.stripe.com');
    expect(await model.findKey(key.id)).toBeNull();
    expect(await model.someSecretAllows(app.appId, origin)).toBe(false);
    await app.keys.create(key);
    await createSecret();
    expect((await model.findKey(key.id))?.key).toEqual(key);
    expect(await model.someSecretAllows(app.appId, origin)).toBe(true);
  });

  it('sees every change as soon as it was acknowledged, and tells of it', async () => {
    const { secret, grant } = await createSecret();
    const key = newKey(app.appId);
    await app.keys.create(key);
    await model.findGrant(app.appId, grant.id);
    await model.findSecret(app.appId, secret.id);
    await model.findKey(key.id);
    const told: string[] = [];
    const stop = model.onChange((...change) => told.push(change.join(' ')));

    await app.grants.revoke(grant.id);
    expect((await model.findGrant(app.appId, grant.id))?.revokedAt).toBe(startOfTime);
    await app.keys.revoke(key.id);
    expect((await model.findKey(key.id))?.key.revokedAt).toBe(startOfTime);
    await app.secrets.update(secret.id, (value) => ({ ...value, allowedHosts: [] }));
    expect((await model.findSecret(app.appId, secret.id))?.allowedHosts).toEqual([]);
    await app.secrets.delete(secret.id);
    expect(await model.findSecret(app.appId, secret.id)).toBeNull();
    expect(told).toEqual(
      expect.arrayContaining([
        `${app.appId} grant ${grant.id}`,
        `${app.appId} key ${key.id}`,
        `${app.appId} secret ${secret.id}`,
      ]),
    );
    stop();
    const before = told.length;
    await createSecret('Another');
    expect(told).toHaveLength(before);
  });

  it('loads a record once for all who ask at the same time', async () => {
    const { grant } = await createSecret();
    await model.findGrant(app.appId, unknownId);
    const gets = filled.store.gets;
    const answers = await Promise.all(Array.from({ length: 100 }, async () => model.findGrant(app.appId, grant.id)));
    expect(answers.every((answer) => answer === answers[0])).toBe(true);
    expect(filled.store.gets).toBe(gets + 1);
  });

  it('does not remember a record that changed while it was loaded, nor give it to those who ask afterwards', async () => {
    const { grant } = await createSecret();
    await model.findGrant(app.appId, unknownId);
    const release = holdAnswers();
    const early = model.findGrant(app.appId, grant.id);
    await new Promise((resolve) => setTimeout(resolve, 20)); // it has read revision 1 by now
    filled.store.beforeAnswer = null;
    await app.grants.revoke(grant.id);
    expect((await model.findGrant(app.appId, grant.id))?.revokedAt).toBe(startOfTime);
    release();
    await early;
    expect((await model.findGrant(app.appId, grant.id))?.revokedAt).toBe(startOfTime);
    expect(rejected).toEqual([]); // late is not forged
  });

  it('forgets everything of a space when the feed says that changes may be lost', async () => {
    const { secret, grant } = await createSecret();
    const origin = originOf('api.stripe.com');
    await model.findGrant(app.appId, grant.id);
    await model.someSecretAllows(app.appId, origin);
    const told: string[] = [];
    model.onChange((...change) => told.push(change.join(' ')));
    filled.store.watchers.get(app.appId)!.onReset();
    expect(told).toEqual([`${app.appId} * *`]);
    expect(model.findGrant(app.appId, grant.id)).toBeInstanceOf(Promise);
    expect(model.someSecretAllows(app.appId, origin)).toBeInstanceOf(Promise);
    expect(await model.findSecret(app.appId, secret.id)).toEqual(secret);
  });

  it('serves what it knows while the store is down, refuses what it would have to load, and recovers', async () => {
    const { secret, grant } = await createSecret();
    await model.findGrant(app.appId, grant.id);
    filled.store.down = true;
    expect(model.findGrant(app.appId, grant.id)).toEqual(grant);
    await expect(model.findSecret(app.appId, secret.id)).rejects.toEqual(unavailable);
    await expect(model.someSecretAllows(app.appId, originOf('api.stripe.com'))).rejects.toEqual(unavailable);
    filled.store.down = false;
    expect(await model.findSecret(app.appId, secret.id)).toEqual(secret);
  });

  it('is fresh while the store is heard of, and not longer than the bound afterwards', async () => {
    model.close();
    openModel({ maxStalenessMs: 400 });
    expect(() => model.requireFresh(app.appId)).toThrow(unavailable); // nothing was heard of this app yet
    await model.findGrant(app.appId, unknownId);
    for (let n = 0; n < 5; n++) {
      model.requireFresh(app.appId);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    filled.store.down = true;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(() => model.requireFresh(app.appId)).toThrow(unavailable);
    filled.store.down = false;
    await new Promise((resolve) => setTimeout(resolve, 400));
    model.requireFresh(app.appId);
  });

  it('tries again to follow a space that it could not follow', async () => {
    const { grant } = await createSecret();
    filled.store.down = true;
    await expect(model.findGrant(app.appId, grant.id)).rejects.toEqual(unavailable);
    filled.store.down = false;
    expect(await model.findGrant(app.appId, grant.id)).toEqual(grant);
  });

  describe('about hosts', () => {
    it('finds exact and wildcard patterns with their ports, of live secrets of this app alone', async () => {
      await createSecret('A', ['api.example.com', '*.wild.example.com', '*.ported.example.com:8443']);
      const other = await filled.vault.app((await filled.vault.apps.create({ name: 'other' })).value.id);
      const ask = (authority: string, appId = app.appId) => model.someSecretAllows(appId, originOf(authority));
      for (const host of [
        'api.example.com',
        'a.wild.example.com',
        'a.b.wild.example.com',
        'x.ported.example.com:8443',
      ]) {
        expect([host, await ask(host)]).toEqual([host, true]);
        expect([host, await ask(host, other.appId)]).toEqual([host, false]);
      }
      for (const host of [
        'wild.example.com',
        'api.example.com:8443',
        'xapi.example.com',
        'x.ported.example.com',
        '1.2.3.4',
      ]) {
        expect([host, await ask(host)]).toEqual([host, false]);
      }
    });

    it('believes the sealed record and not the index', async () => {
      const { secret } = await createSecret('A', ['api.example.com']);
      filled.store.forgedTags = [{ type: 'secret', id: secret.id }];
      expect(await model.someSecretAllows(app.appId, originOf('evil.example.com'))).toBe(false);
      const caller = callerOf(newKey(app.appId));
      expect(await offersTo(caller, originOf('evil.example.com'))).toEqual([]);
    });

    it('finds for auto the live system grants whose secret allows the host', async () => {
      const a = await createSecret('A', ['api.example.com', '*.example.com']);
      await createSecret('B', ['other.example.org']);
      const origin = originOf('api.example.com');
      const caller = callerOf(newKey(app.appId));
      const draft = { secretId: a.secret.id, label: 'x', description: null, expiresAt: null };
      await app.grants.create({ ...draft, label: 'to the agent', principal: { type: 'agent', agentId: unknownId } });
      await app.grants.create({ ...draft, principal: { type: 'user', appUserId: unknownId } });
      const expiring = await app.grants.create({
        ...draft,
        principal: { type: 'system' },
        expiresAt: startOfTime + 50,
      });

      const ids = async () => (await offersTo(caller, origin)).map(({ id }) => id).toSorted();
      expect(await ids()).toEqual([a.grant.id, expiring.value.id].toSorted());
      filled.clock.now += 50;
      expect(await ids()).toEqual([a.grant.id]);
      const agent = callerOf(newKey(app.appId, { keyType: 'agent', agentId: unknownId }));
      expect((await offersTo(agent, origin)).map(({ label }) => label)).toEqual(['to the agent']);
      await app.grants.revoke(a.grant.id);
      expect(await ids()).toEqual([]);
    });
  });

  describe('about values', () => {
    it('gives the new value after a rotation, and still the old one to a request under way', async () => {
      const { secret } = await createSecret();
      await model.openSecret(app.appId, secret);
      await app.secrets.rotate(secret.id, token('rotated'));
      const current = await model.findSecret(app.appId, secret.id);
      expect(current?.version).toBe(2);
      expect((await model.openSecret(app.appId, current!)).reveal().token).toBe('rotated');
      expect((await model.openSecret(app.appId, secret)).reveal().token).toBe('value-of-Stripe');
    });

    it('asks to repeat after two rotations, and says grant_revoked after the secret was deleted', async () => {
      const { secret } = await createSecret();
      await app.secrets.rotate(secret.id, token('second'));
      await app.secrets.rotate(secret.id, token('third'));
      await expect(model.openSecret(app.appId, secret)).rejects.toEqual(unavailable);
      await app.secrets.delete(secret.id);
      await expect(model.openSecret(app.appId, secret)).rejects.toMatchObject({ code: 'grant_revoked' });
      expect(rejected).toEqual([]);
    });

    it('asks the store, before it calls a missing value forged, whether the feed is only late', async () => {
      const [{ secret: deleted }, { secret: rotated }] = [await createSecret(), await createSecret('Other')];
      for (const { id } of [deleted, rotated]) await model.findSecret(app.appId, id);
      filled.store.withholdsChanges = true;
      await app.secrets.delete(deleted.id);
      await app.secrets.rotate(rotated.id, token('second'));
      await app.secrets.rotate(rotated.id, token('third'));
      expect(await model.findSecret(app.appId, deleted.id)).toEqual(deleted);
      await expect(model.openSecret(app.appId, deleted)).rejects.toMatchObject({ code: 'grant_revoked' });
      await expect(model.openSecret(app.appId, rotated)).rejects.toEqual(unavailable);
      expect(rejected).toEqual([]);
    });

    it('says state_invalid when the store withholds the value', async () => {
      const { secret } = await createSecret();
      filled.store.forged.set(placeOf(app.appId, { type: 'secret-version', id: `${secret.id}.1` }), null);
      await expect(model.openSecret(app.appId, secret)).rejects.toEqual(invalid);
      expect(rejected).toMatchObject([{ type: 'secret-version', id: `${secret.id}.1` }]);
    });
  });

  it('refuses a key whose addresses can not be read, instead of allowing any', async () => {
    const key = newKey(app.appId, { cidr: ['10.0.0.0/8', 'anywhere'] });
    await app.keys.create(key);
    await expect(model.findKey(key.id)).rejects.toEqual(invalid);
    expect(rejected).toMatchObject([{ appId: app.appId, type: 'key', id: key.id }]);
    await expect(model.findKey(key.id)).rejects.toEqual(invalid);
    expect(rejected).toHaveLength(1); // told of once a minute
  });

  it('keeps no more than its bound, and made-up ids push out no record', async () => {
    model.close();
    openModel({ maxEntries: 100 });
    const { grant } = await createSecret();
    await model.findGrant(app.appId, grant.id);
    for (let n = 0; n < 300; n++) await model.findGrant(app.appId, issueId(startOfTime + n));
    expect(model.findGrant(app.appId, grant.id)).toEqual(grant);
    for (let n = 0; n < 80; n++) {
      const draft = { secretId: grant.secretId, label: 'x', description: null, expiresAt: null } as const;
      const made = await app.grants.create({ ...draft, principal: { type: 'system' } });
      await model.findGrant(app.appId, made.value.id);
    }
    expect(model.findGrant(app.appId, grant.id)).toBeInstanceOf(Promise); // the oldest of more than 70
    expect(await model.findGrant(app.appId, grant.id)).toEqual(grant);
  });

  it('refuses after it was closed', async () => {
    const { grant } = await createSecret();
    model.close();
    await expect(model.findGrant(app.appId, grant.id)).rejects.toEqual(unavailable);
    expect(() => model.requireFresh(app.appId)).toThrow(unavailable);
  });
});
