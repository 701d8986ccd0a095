import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter } from './alter.ts';

describe('alter keys', () => {
  let rig: AdminRig;
  let env: Record<string, string>;
  beforeAll(async () => {
    rig = await startAdminRig();
    env = { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id };
  });
  afterAll(() => rig.close());

  const json = async (line: string) => {
    const { code, stdout, stderr } = await alter(line.split(' '), { env });
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('Error')]);
    return { ...JSON.parse(stdout), said: stderr };
  };

  it('rotate gives a new key while the old one goes on, and statistics count both', async () => {
    const old = await json('keys mint --name ci --scopes proxy:execute');
    const next = await json(`keys rotate --key ${old.key_prefix} --scopes proxy:execute,grants:read`);
    expect(next).toMatchObject({ name: 'ci', rotated_from: old.id, scopes: ['proxy:execute', 'grants:read'] });
    expect(next.key).toMatch(/^alter_rk_/);
    expect(next.said).toContain('not shown again');
    expect(await json('keys statistics')).toMatchObject({
      active: 1,
      rotated_in_grace: 1,
      total: 2,
      max_allowed: 1000,
    });
    const again = await alter(['keys', 'rotate', '--key', old.id], { env });
    expect([again.code, again.stderr]).toEqual([5, expect.stringContaining('rotated already')]);
    await json(`keys revoke --key ${old.id} --yes`);
    expect(await json('keys statistics')).toMatchObject({ active: 1, rotated_in_grace: 0, total: 2 });
  });

  it('rename changes the name and nothing else', async () => {
    const { key: _, said: __, ...key } = await json('keys mint --name befor --scopes proxy:execute');
    const renamed = await json(`keys rename --key ${key.id} --name before`);
    expect(renamed).toEqual({ ...key, name: 'before', said: '' });
    expect((await alter(['keys', 'rename', '--key', key.id], { env })).code).toBe(2);
  });

  it('revoke takes the last key of an agent only with --force', async () => {
    await rig.send('POST', `/v1/apps/${rig.app.id}/agents`, { body: { name: 'bot' } });
    const body = { name: 'k', scopes: ['proxy:execute'] };
    const { id } = (await rig.send('POST', `/v1/apps/${rig.app.id}/agents/bot/keys`, { body })).json;
    const refused = await alter(['keys', 'revoke', '--key', id, '--yes'], { env });
    expect([refused.code, refused.stderr]).toEqual([5, expect.stringContaining('only active key of the agent bot')]);
    expect((await json(`keys revoke --key ${id} --yes --force`)).status).toBe('revoked');
  });
});
