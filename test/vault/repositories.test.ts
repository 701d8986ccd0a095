import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { issueToken } from '../../core/token.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { type AppVault, openVault } from '../../vault/vault.ts';
import { draftSecret, type FilledVault, fillVault, newKey, startOfTime, token } from '../support/filled-vault.ts';

const failing = (code: string) => expect.objectContaining({ code });
const page = { limit: 100, offset: 0 };

describe('the repositories', () => {
  let filled: FilledVault;
  let app: AppVault;
  const createSecret = (name: string, hosts = ['api.stripe.com']) =>
    app.secrets.create({
      draft: draftSecret({ name, allowedHosts: hosts }),
      fields: token('canary'),
      baseGrantLabel: 'default',
    });

  beforeAll(async () => {
    filled = await fillVault();
    const created = await filled.vault.apps.create({ name: 'default' });
    app = await filled.vault.app(created.value.id);
  });
  afterAll(() => filled.close());

  describe('of apps', () => {
    it('find an app by id and by name, and give each name once', async () => {
      const { value } = await filled.vault.apps.create({ name: 'Payments' });
      expect((await filled.vault.apps.get(value.id)).value).toEqual(value);
      expect((await filled.vault.apps.get('Payments')).value).toEqual(value);
      await expect(filled.vault.apps.create({ name: 'Payments' })).rejects.toEqual(failing('conflict'));
      const list = await filled.vault.apps.list(page);
      expect(list.items.map((item) => item.value.name)).toEqual(expect.arrayContaining(['default', 'Payments']));
      expect(list.total).toBe(2);
    });

    it('answer not_found for what does not exist, and for the system space', async () => {
      for (const id of ['nobody', '019f0000-0000-7000-8000-000000000000', 'system', '', '__proto__']) {
        await expect(filled.vault.apps.get(id)).rejects.toEqual(failing('not_found'));
        await expect(filled.vault.app(id)).rejects.toEqual(failing('not_found'));
      }
    });
  });

  describe('of secrets', () => {
    it('make the secret, its slug, its version and its base grant in one step', async () => {
      const { secret, grant } = await createSecret('GitHub (EU)', [
        'API.github.com:443',
        'api.github.com',
        '*.github.com',
      ]);
      expect(secret).toMatchObject({
        revision: 1,
        value: {
          appId: app.appId,
          slug: 'github-eu',
          version: 1,
          fieldNames: ['token'],
          createdAt: startOfTime,
          rotatedAt: null,
          allowedHosts: ['api.github.com', '*.github.com'],
        },
      });
      expect(grant.value).toMatchObject({ secretId: secret.value.id, principal: { type: 'system' }, label: 'default' });
      expect(await app.secrets.get('github-eu')).toEqual(secret);
      expect(await app.secrets.get(secret.value.id)).toEqual(secret);
      expect(await app.grants.get(grant.value.id)).toEqual(grant);
    });

    it('number a slug only where it is taken, also when many ask at once', async () => {
      const made = await Promise.all(Array.from({ length: 20 }, () => createSecret('Same Name')));
      const slugs = made.map(({ secret }) => secret.value.slug);
      expect(new Set(slugs).size).toBe(20);
      expect(slugs).toEqual(expect.arrayContaining(['same-name', 'same-name-2', 'same-name-20']));
      expect((await app.secrets.get('same-name-7')).value.slug).toBe('same-name-7');
    });

    it('keep id, slug, version and times out of the reach of an update', async () => {
      const { secret } = await createSecret('Fixed');
      filled.clock.now += 1_000;
      const changed = await app.secrets.update(secret.value.id, (value) => ({
        ...value,
        id: 'other',
        appId: 'other',
        slug: 'other',
        version: 9,
        createdAt: 1,
        rotatedAt: 1,
        name: 'Renamed',
        allowedHosts: ['b.example.com'],
      }));
      expect(changed).toEqual({
        revision: 2,
        value: { ...secret.value, name: 'Renamed', allowedHosts: ['b.example.com'], updatedAt: filled.clock.now },
      });
      await expect(app.secrets.update(secret.value.id, (value) => ({ ...value, allowedHosts: ['*'] }))).rejects.toEqual(
        failing('validation_failed'),
      );
    });

    it('refuse an update for another revision, and repeat one without', async () => {
      const { secret } = await createSecret('Contended');
      const { id } = secret.value;
      const updates = Array.from({ length: 5 }, (_, n) =>
        app.secrets.update(id, (value) => ({ ...value, name: `${value.name} ${n}` })),
      );
      const revisions = (await Promise.all(updates)).map(({ revision }) => revision);
      expect(revisions.toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6]);
      await expect(app.secrets.update(id, (value) => ({ ...value, name: 'late' }), 3)).rejects.toEqual(
        failing('revision_conflict'),
      );
      await expect(app.secrets.rotate(id, token('late'), 3)).rejects.toEqual(failing('revision_conflict'));
      await expect(app.secrets.delete(id, 3)).rejects.toEqual(failing('revision_conflict'));
      expect((await app.secrets.get(id)).revision).toBe(6);
    });

    it('give every rotation the next version, and keep the two last values', async () => {
      const { secret, grant } = await createSecret('Rotated');
      const { id } = secret.value;
      for (let n = 2; n <= 5; n++) {
        const { value } = await app.secrets.rotate(id, token(`value-${n}`));
        expect(value).toMatchObject({ version: n, rotatedAt: filled.clock.now, slug: secret.value.slug });
      }
      const versions = Array.from({ length: 5 }, (_, n) => ({ type: 'secret-version', id: `${id}.${n + 1}` }));
      const stored = await filled.store.get(app.appId, versions);
      expect(stored.map((record) => record !== null)).toEqual([false, false, false, true, true]);
      expect((await app.grants.get(grant.value.id)).value.revokedAt).toBeNull();
    });

    it('revoke the grants of a deleted secret, remove its versions and give its slug back', async () => {
      const { secret } = await createSecret('Doomed');
      const other = await createSecret('Spared');
      const { id } = secret.value;
      const draft = {
        secretId: id,
        principal: { type: 'system' },
        label: 'x',
        description: null,
        expiresAt: null,
      } as const;
      await Promise.all(Array.from({ length: 149 }, () => app.grants.create(draft)));
      await app.secrets.rotate(id, token('second'));
      await app.secrets.delete(id);

      await expect(app.secrets.get(id)).rejects.toEqual(failing('not_found'));
      await expect(app.secrets.get('doomed')).rejects.toEqual(failing('not_found'));
      await expect(app.secrets.delete(id)).rejects.toEqual(failing('not_found'));
      const grants = await app.grants.list({ secretId: id, limit: 1_000, offset: 0 });
      expect(grants.total).toBe(150);
      expect(grants.items.every(({ value }) => value.revokedAt === filled.clock.now)).toBe(true);
      const versions = [1, 2].map((n) => ({ type: 'secret-version', id: `${id}.${n}` }));
      expect(await filled.store.get(app.appId, versions)).toEqual([null, null]);
      expect((await app.grants.get(other.grant.value.id)).value.revokedAt).toBeNull();
      expect((await createSecret('Doomed')).secret.value.slug).toBe('doomed');
    });

    it('list in pages, with the total', async () => {
      const all = await app.secrets.list({ limit: 1_000, offset: 0 });
      expect(all.total).toBe(all.items.length);
      const first = await app.secrets.list({ limit: 3, offset: 0 });
      const second = await app.secrets.list({ limit: 3, offset: 3 });
      expect([...first.items, ...second.items]).toEqual(all.items.slice(0, 6));
      expect(second.total).toBe(all.total);
    });

    it('refuse what could not be read back', async () => {
      await expect(
        app.secrets.create({
          draft: draftSecret({ description: 'x'.repeat(9_000) }),
          fields: token('v'),
          baseGrantLabel: 'd',
        }),
      ).rejects.toMatchObject({ code: 'validation_failed', problems: [{ field: 'description' }] });
    });
  });

  describe('of grants', () => {
    it('need a secret of this app', async () => {
      const other = await filled.vault.app((await filled.vault.apps.create({ name: 'other' })).value.id);
      const { secret } = await createSecret('Mine');
      const draft = {
        secretId: secret.value.id,
        principal: { type: 'system' },
        label: 'x',
        description: null,
        expiresAt: null,
      } as const;
      await expect(other.grants.create(draft)).rejects.toEqual(failing('not_found'));
      const grant = await app.grants.create(draft);
      await expect(other.grants.get(grant.value.id)).rejects.toEqual(failing('not_found'));
      await expect(other.grants.revoke(grant.value.id)).rejects.toEqual(failing('not_found'));
      await expect(other.secrets.get(secret.value.id)).rejects.toEqual(failing('not_found'));
    });

    it('change label, description and expiry only, and keep the time of the first revocation', async () => {
      const { grant } = await createSecret('Granted');
      const { id } = grant.value;
      const changed = await app.grants.update(id, (value) => ({
        ...value,
        secretId: 'other',
        principal: { type: 'agent', agentId: 'a' },
        revokedAt: 5,
        label: 'new',
        expiresAt: startOfTime + 5,
      }));
      expect(changed.value).toEqual({ ...grant.value, label: 'new', expiresAt: startOfTime + 5 });
      const revoked = await app.grants.revoke(id);
      filled.clock.now += 1_000;
      expect(await app.grants.revoke(id)).toEqual(revoked);
      expect((await app.grants.get(id)).value.revokedAt).toBe(revoked.value.revokedAt);
    });
  });

  describe('of keys', () => {
    it('keep a key, rename it, revoke it once', async () => {
      const key = newKey(app.appId, { cidr: ['10.0.0.0/8'] });
      expect(await app.keys.create(key)).toEqual({ value: key, revision: 1 });
      const renamed = await app.keys.update(key.id, (value) => ({ ...value, name: 'web', digest: 'f'.repeat(64) }));
      expect(renamed.value).toEqual({ ...key, name: 'web' });
      const revoked = await app.keys.revoke(key.id);
      expect(revoked.value.revokedAt).toBe(filled.clock.now);
      filled.clock.now += 1_000;
      expect(await app.keys.revoke(key.id)).toEqual(revoked);
      expect((await app.keys.list(page)).items).toEqual([revoked]);
    });

    it('refuse a key of another app and an id that exists', async () => {
      const key = newKey(app.appId);
      await app.keys.create(key);
      await expect(app.keys.create(key)).rejects.toEqual(failing('revision_conflict'));
      await expect(app.keys.create(newKey('019f0000-0000-7000-8000-000000000000'))).rejects.toEqual(
        failing('not_found'),
      );
    });
  });

  describe('of the system space', () => {
    it('keep access tokens, found by their visible id', async () => {
      const { id, digest } = issueToken('pat', Date.now());
      const accessToken = {
        id,
        name: 'ci',
        scopes: ['dashboard_secrets:read'],
        appId: null,
        expiresAt: null,
        digest: digest.toString('hex'),
        createdAt: startOfTime,
        revokedAt: null,
      } as const;
      expect(await filled.vault.accessTokens.find(id)).toBeNull();
      await filled.vault.accessTokens.create(accessToken);
      expect((await filled.vault.accessTokens.find(id))?.value).toEqual(accessToken);
      expect((await filled.vault.accessTokens.revoke(id)).value.revokedAt).toBe(filled.clock.now);
      await expect(filled.vault.accessTokens.get('unknown')).rejects.toEqual(failing('not_found'));
    });

    it('keep the first authority for everybody', async () => {
      expect(await filled.vault.authority.find()).toBeNull();
      const [first, second] = ['1', '2'].map((n) => ({ certificatePem: `cert ${n}`, privateKeyPem: `key ${n}` }));
      const [a, b] = await Promise.all([filled.vault.authority.create(first!), filled.vault.authority.create(second!)]);
      expect(a).toEqual(b);
      expect(await filled.vault.authority.find()).toEqual(a);
    });
  });

  it('say state_unavailable when the store is down', async () => {
    filled.store.down = true;
    await expect(app.secrets.list(page)).rejects.toEqual(failing('state_unavailable'));
    await expect(createSecret('Unlucky')).rejects.toEqual(failing('state_unavailable'));
    filled.store.down = false;
  });

  it('open again under the same root key, and not under another one', async () => {
    const clock = () => startOfTime;
    const { store } = filled;
    const again = await openVault({ store, kms: openLocalKms({ rootKey: filled.rootKey }), clock });
    expect((await (await again.app(app.appId)).secrets.get('fixed')).value.name).toBe('Renamed');
    const kms = openLocalKms({ rootKey: randomBytes(32) });
    await expect(openVault({ store, kms, clock })).rejects.toEqual(failing('state_invalid'));
  });

  it('agree on one system key when two processes open an empty store at once', async () => {
    const empty = await fillVault();
    try {
      const clock = () => startOfTime;
      await empty.store.commit('system', [{ kind: 'delete', type: 'app-key', id: 'system', expectedRevision: 1 }]);
      const kms = openLocalKms({ rootKey: empty.rootKey });
      const vaults = await Promise.all([1, 2].map(() => openVault({ store: empty.store, kms, clock })));
      const { value } = await vaults[0]!.apps.create({ name: 'one' });
      expect((await vaults[1]!.apps.get('one')).value).toEqual(value);
    } finally {
      await empty.close();
    }
  });
});
