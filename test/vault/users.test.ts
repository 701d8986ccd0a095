import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { maxGroupsOfUser } from '../../core/user.ts';
import { openStore } from '../../vault/store/store-url.ts';
import type { AppVault } from '../../vault/vault.ts';
import { type FilledVault, fillVault, startOfTime } from '../support/filled-vault.ts';
import { startRedis } from '../support/redis.ts';

const page = { limit: 10, offset: 0 };

describe.each(['sqlite', 'redis'] as const)('users and groups on %s', (kind) => {
  let filled: FilledVault;
  let app: AppVault;
  let stop: () => Promise<void> = async () => {};
  const ada = { idpId: 'idp-1', externalId: 'ada', email: null, name: null, groups: ['ops'], issuedAt: startOfTime };

  beforeAll(async () => {
    if (kind === 'sqlite') filled = await fillVault();
    else {
      const redis = await startRedis();
      stop = () => redis.stop();
      filled = await fillVault(await openStore(redis.url));
    }
    app = await filled.vault.app((await filled.vault.apps.create({ name: 'default' })).value.id);
  });
  afterAll(async () => {
    await filled.close();
    await stop();
  });

  it('are written once, however many see them at the same time', async () => {
    const seen = await Promise.all(Array.from({ length: 8 }, () => app.users.see(ada)));
    expect(new Set(seen.map(({ value }) => value.id)).size).toBe(1);
    expect((await app.users.list({ ...page, idpId: 'idp-1' })).total).toBe(1);
    await Promise.all(Array.from({ length: 8 }, () => app.groups.see('idp-1', ['ops', 'desk', 'ops'])));
    expect((await app.groups.list({ ...page, idpId: 'idp-1' })).total).toBe(2);
    await expect(app.users.create({ ...ada })).rejects.toMatchObject({ code: 'conflict' });
  });

  it('of two providers are two, with groups of their own', async () => {
    const other = await app.users.see({ ...ada, idpId: 'idp-2' });
    expect((await app.users.findBySubject(ada))?.value.id).not.toBe(other.value.id);
    expect(
      (await app.users.list({ ...page, idpId: 'idp-1', group: 'ops' })).items.map(({ value }) => value.idpId),
    ).toEqual(['idp-1']);
    expect(await app.groups.find({ idpId: 'idp-2', externalGroupId: 'ops' })).toBeNull();
  });

  it('may be in as many groups as a token may name, and leave them all', async () => {
    const groups = Array.from({ length: maxGroupsOfUser }, (_, n) => `group-${n}`);
    await app.users.see({ ...ada, externalId: 'everywhere', groups });
    expect((await app.users.list({ ...page, idpId: 'idp-1', group: 'group-255' })).total).toBe(1);
    await app.users.see({ ...ada, externalId: 'everywhere', groups: [], issuedAt: startOfTime + 1 });
    expect((await app.users.list({ ...page, idpId: 'idp-1', group: 'group-255' })).total).toBe(0);
    await app.groups.see('idp-1', groups);
    expect((await app.groups.list({ ...page, idpId: 'idp-1' })).total).toBe(maxGroupsOfUser + 2);
  });

  it('keep what the newest token says of them, in whatever order tokens are shown', async () => {
    const bob = { ...ada, externalId: 'bob' };
    await app.users.see({ ...bob, email: 'bob@example.com', groups: ['a'], issuedAt: 10 });
    await app.users.see({ ...bob, groups: ['b'], issuedAt: 30 });
    const { value } = await app.users.see({ ...bob, email: 'old@example.com', groups: ['a', 'admins'], issuedAt: 20 });
    expect(value).toMatchObject({ groups: ['b'], email: 'bob@example.com', groupsAt: 30 });
  });

  it('are named by any text, which is never a path, a pattern or a name of ours', async () => {
    for (const externalId of ['__proto__', '../x', '*', 'a b', 'ü', '"', '\\', ' ', '{}']) {
      const { value } = await app.users.see({ ...ada, externalId, groups: [externalId] });
      expect((await app.users.findBySubject({ idpId: 'idp-1', externalId }))?.value.id).toBe(value.id);
      expect((await app.users.list({ ...page, idpId: 'idp-1', group: externalId })).total).toBe(1);
    }
    expect(await app.users.findBySubject({ idpId: 'idp-1","', externalId: 'ada' })).toBeNull();
  });
});
