import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter, type Ended } from './alter.ts';

type Json = ReturnType<typeof JSON.parse>;

let rig: AdminRig;
let idpId: string;

const run = (words: readonly string[], app = rig.app.id): Promise<Ended> =>
  alter(words, { env: { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: app } });

async function read(...words: readonly string[]): Promise<Json> {
  const ended = await run(words);
  expect(ended).toMatchObject({ code: 0 });
  return JSON.parse(ended.stdout);
}

beforeAll(async () => {
  rig = await startAdminRig();
  const provider = { name: 'Okta', issuer: 'https://idp.example.com', audience: 'api' };
  const body = { ...provider, jwks_url: 'https://idp.example.com/keys' };
  idpId = (await rig.send('POST', `/v1/apps/${rig.app.id}/identity-providers`, { body })).json.id;
});
afterAll(() => rig.close());

describe('apps', () => {
  it('get another name and another egress mode, and go back to that of the service', async () => {
    await read('apps', 'create', '--name', 'billing');
    expect(await read('apps', 'update', 'billing', '--name', 'invoices', '--egress-mode', 'deny')).toMatchObject({
      name: 'invoices',
      egress_mode: 'deny',
    });
    expect(await read('apps', 'update', 'invoices', '--egress-mode', 'inherit')).toMatchObject({ egress_mode: null });
    expect(await run(['apps', 'update', 'invoices'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nothing to change'),
    });
  });

  it('are archived after a question, and taken back', async () => {
    const unasked = await run(['apps', 'archive', 'invoices']);
    expect(unasked).toMatchObject({ code: 2, stdout: '' });
    expect(unasked.stderr).toContain('--yes is missing');
    expect(await read('apps', 'archive', 'invoices', '--yes')).toMatchObject({ status: 'archived' });
    expect((await run(['apps', 'list'])).stdout).toMatch(/invoices +archived/);
    const refused = await run(['managed-secrets', 'create', '--name', 'x', '--credential-value', '-'], 'invoices');
    expect(refused.code).not.toBe(0);
    expect(await read('apps', 'unarchive', 'invoices')).toMatchObject({ status: 'active', archived_at: null });
  });

  it('are deleted when their name is typed, and not by another', async () => {
    const unasked = await run(['apps', 'delete', 'invoices']);
    expect(unasked).toMatchObject({ code: 2 });
    expect(unasked.stderr).toContain('Add --confirm invoices');
    const mistyped = await run(['apps', 'delete', 'invoices', '--confirm', 'billing']);
    expect(mistyped).toMatchObject({ code: 5 });
    expect(await read('apps', 'show', 'invoices')).toMatchObject({ name: 'invoices' });
    expect(await run(['apps', 'delete', 'invoices', '--confirm', 'invoices'])).toMatchObject({
      ...{ code: 0, stdout: '', stderr: 'Deleted invoices.\n' },
    });
    expect(await run(['apps', 'show', 'invoices'])).toMatchObject({ code: 4 });
  });

  it('are deleted by id under their name', async () => {
    const { id } = await read('apps', 'create', '--name', 'short-lived');
    expect(await run(['apps', 'delete', id, '--confirm', id])).toMatchObject({ code: 5 });
    expect(await run(['apps', 'delete', id, '--confirm', 'short-lived'])).toMatchObject({ code: 0 });
  });
});

describe('users and groups', () => {
  it('are created before a token shows them, and found where people look', async () => {
    const user = await read('users', 'create', '--idp-id', idpId, '--external-id', 'u-1', '--email', 'a@example.com');
    expect(user).toMatchObject({ external_id: 'u-1', email: 'a@example.com', groups: [] });
    const named = ['--external-group-id', 'support', '--name', 'Support'];
    const group = await read('groups', 'create', '--idp-id', idpId, ...named);
    expect(group).toMatchObject({ external_group_id: 'support', name: 'Support', member_count: 0 });
    expect((await run(['users', 'list'])).stdout).toContain(user.id);
    expect((await run(['groups', 'list', '--search', 'supp'])).stdout).toContain(group.id);
    expect(await read('users', 'show', user.id)).toEqual(user);
  });

  it('are joined and parted', async () => {
    const { items } = await read('users', 'list', '--output', 'json');
    const { id } = items[0];
    expect(await read('groups', 'members', 'add', 'support', id)).toMatchObject({ id, groups: ['support'] });
    expect(await read('groups', 'show', 'support')).toMatchObject({ member_count: 1, members: { items: [{ id }] } });
    expect(await run(['groups', 'members', 'remove', 'support', id])).toMatchObject({ code: 2 });
    expect(await read('groups', 'members', 'remove', 'support', id, '--yes')).toMatchObject({ id, groups: [] });
    expect(await run(['groups', 'members', 'remove', 'support', id, '--yes'])).toMatchObject({ code: 4 });
  });

  it('name the flag that is missing', async () => {
    expect((await run(['users', 'create', '--idp-id', idpId])).stderr).toContain('--external-id is missing');
    expect((await run(['groups', 'create', '--external-group-id', 'x'])).stderr).toContain('--idp-id is missing');
    expect(await run(['users', 'create', '--idp-id', rig.app.id, '--external-id', 'x'])).toMatchObject({ code: 4 });
  });
});

describe('grants with an end', () => {
  it('are made for a length of time, alone or as a copy of another', async () => {
    const from = Date.now();
    const secret = ['--name', 'Stripe', '--credential-type', 'bearer_token', '--credential-value', 'sk-not-real'];
    await read('managed-secrets', 'create', ...secret);
    const create = ['managed-secrets', 'grants', 'create', 'stripe', '--principal-type', 'system'];
    const made = await read(...create, '--label', 'incident', '--ttl', '2h');
    const inTwoHours = Date.parse(made.expires_at) - from - 7_200_000;
    expect(inTwoHours).toBeGreaterThanOrEqual(0);
    expect(inTwoHours).toBeLessThan(60_000);
    const clone = ['managed-secrets', 'grants', 'clone', made.grant_id];
    const cloned = await read(...clone, '--ttl', '30m', '--label', 'again');
    expect(cloned).toMatchObject({ principal_type: 'system', label: 'again', managed_secret_slug: 'stripe' });
    expect(cloned.grant_id).not.toBe(made.grant_id);
    expect(Date.parse(cloned.expires_at)).toBeLessThan(Date.parse(made.expires_at));
    expect(await read(...clone)).toMatchObject({ label: 'incident', expires_at: made.expires_at });
  });

  it('name the flag that makes no sense', async () => {
    const clone = ['managed-secrets', 'grants', 'clone', rig.app.id];
    for (const [words, said] of [
      [['--ttl', '2 hours'], '--ttl: "2 hours" is not a length of time.'],
      [['--ttl', '0s'], '--ttl: "0s"'],
      [['--ttl', '2h', '--expires-at', '2030-01-01T00:00:00Z'], '--expires-at'],
    ] as const) {
      const { code, stderr } = await run([...clone, ...words]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(said) });
    }
    expect(await run([...clone, '--ttl', '2h'])).toMatchObject({ code: 4 });
  });
});
