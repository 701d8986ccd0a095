import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter } from './alter.ts';

describe('alter managed-secrets with templates', () => {
  let rig: AdminRig;
  let env: Record<string, string>;
  beforeAll(async () => {
    rig = await startAdminRig();
    env = { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext };
  });
  afterAll(() => rig.close());

  it('lists them as a table, without an app', async () => {
    const { code, stdout } = await alter(['managed-secrets', 'templates', '--search', 'pagerduty'], { env });
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['ID', 'NAME', 'TYPE', 'HOSTS'],
      ['pagerduty', 'PagerDuty', 'header_key', 'api.pagerduty.com, api.eu.pagerduty.com'],
      [''],
    ]);
  });

  it('creates a secret from one, and names the flag of one that is unknown', async () => {
    const create = (id: string) =>
      alter(['managed-secrets', 'create', '--name', 'Pager', '--template', id, '--credential-value', '-'], {
        env: { ...env, ALTER_APP_ID: rig.app.id },
        stdin: 'a-value\n',
      });
    const made = await create('pagerduty');
    expect(made.code).toBe(0);
    expect(JSON.parse(made.stdout)).toMatchObject({ template: 'pagerduty', injection_format: 'Token token={token}' });
    const refused = await create('pager');
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--template is none of the templates')]);
  });
});
