import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter } from './alter.ts';

describe('alter tokens', () => {
  let rig: AdminRig;
  beforeAll(async () => {
    rig = await startAdminRig();
  });
  afterAll(() => rig.close());

  const run = (line: string, token = rig.operator.plaintext) =>
    alter(line.split(' '), { env: { ALTER_ADMIN_URL: rig.url, ALTER_PAT: token } });

  it('makes a token, shows it by any of its names, lists it and revokes it', async () => {
    const made = await run('tokens create --name ci --scopes dashboard_secrets:write --for-app shop --expires-in 90d');
    expect([made.code, made.stderr]).toEqual([0, expect.stringContaining('not shown again')]);
    const { token, id, token_prefix: prefix } = JSON.parse(made.stdout);
    expect(JSON.parse(made.stdout)).toMatchObject({ name: 'ci', app_id: rig.app.id });
    for (const name of [id, prefix, token]) {
      const { stdout } = await run(`tokens show ${name}`);
      expect(JSON.parse(stdout)).toMatchObject({ id, scopes: ['dashboard_secrets:write'], status: 'active' });
      expect(stdout + rig.logged.join('\n')).not.toContain(token);
    }
    expect((await run('tokens list')).stdout).toMatch(new RegExp(`${id} +ci +dashboard_secrets:write +`));
    expect((await run(`tokens revoke ${id}`)).code).toBe(2);
    expect(JSON.parse((await run(`tokens revoke ${id} --yes`)).stdout).status).toBe('revoked');
    expect((await run('apps list', token)).code).toBe(3);
  });

  it('ends with 7 where the token lacks what it would grant, 2 without scopes, and 5 for its own end', async () => {
    const weak = await rig.issuePat(['dashboard_tokens:admin']);
    const refused = await run('tokens create --name x --scopes dashboard_secrets:read', weak.plaintext);
    expect([refused.code, refused.stderr]).toEqual([7, expect.stringContaining('dashboard_secrets:read')]);
    expect((await run('tokens create --name x')).code).toBe(2);
    expect((await run(`tokens revoke ${weak.id} --yes`, weak.plaintext)).code).toBe(5);
    expect((await run(`tokens revoke ${weak.id} --yes --force`, weak.plaintext)).code).toBe(0);
  });
});
