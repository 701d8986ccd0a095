import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter, type Ended } from './alter.ts';

const inAYear = new Date(Date.now() + 365 * 86_400_000).toISOString();

type Json = ReturnType<typeof JSON.parse>;

let rig: AdminRig;
let directory: string;
let idpId: string;
let userId: string;

const run = (words: readonly string[]): Promise<Ended> =>
  alter(words, { env: { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id } });

/** What the command printed, parsed. */
async function read(...words: readonly string[]): Promise<Json> {
  const ended = await run(words);
  expect(ended).toMatchObject({ code: 0 });
  return JSON.parse(ended.stdout);
}

const post = async (path: string, body: object): Promise<Json> =>
  (await rig.send('POST', `/v1/apps/${rig.app.id}${path}`, { body })).json;

beforeAll(async () => {
  rig = await startAdminRig();
  directory = mkdtempSync(join(tmpdir(), 'alter-cli-principals-'));
  await post('/managed-secrets', { name: 'Stripe', credential_value: 'sk' });
  const provider = { name: 'Okta', issuer: 'https://idp.example.com', audience: 'api' };
  idpId = (await post('/identity-providers', { ...provider, jwks_url: 'https://idp.example.com/keys' })).id;
  userId = (await post('/users', { idp_id: idpId, external_id: 'u-1', name: 'Alice', email: 'a@example.com' })).id;
  await post('/groups', { idp_id: idpId, external_group_id: 'support', name: 'Support' });
  await post('/agents', { name: 'crawler' });
});
afterAll(async () => {
  await rig.close();
  rmSync(directory, { recursive: true });
});

const grant = (...words: readonly string[]) => read('managed-secrets', 'grants', 'create', 'stripe', ...words);

describe('managed-secrets grants', () => {
  it('grants to a user, a group and an agent, with an end, a policy and a description', async () => {
    const label = ['--label', 'alice', '--description', 'her own', '--expires-at', inAYear];
    expect(await grant('--principal-type', 'user', '--app-user-id', userId, ...label)).toMatchObject({
      ...{ principal_type: 'user', app_user_id: userId, label: 'alice', description: 'her own' },
      expires_at: inAYear,
    });
    const policy = join(directory, 'policy.json');
    writeFileSync(policy, JSON.stringify({ methods: ['GET'] }));
    const group = ['--idp-id', idpId, '--external-group-id', 'support', '--label', 'support'];
    expect(await grant('--principal-type', 'group', ...group, '--grant-policy', `@${policy}`)).toMatchObject({
      ...{ principal_type: 'group', idp_id: idpId, external_group_id: 'support', grant_policy: { methods: ['GET'] } },
    });
    const input = join(directory, 'grant.json');
    writeFileSync(input, JSON.stringify({ principal_type: 'agent', agent_id: 'crawler', label: 'crawls' }));
    const made = await grant('--input', `@${input}`);
    expect(made).toMatchObject({ principal_type: 'agent', label: 'crawls' });
    const listed = await run(['managed-secrets', 'grants', 'list-for-agent', 'crawler']);
    expect(listed.stdout).toMatch(/GRANT ID +SECRET +LABEL/);
    expect(listed.stdout).toContain(made.grant_id);
  });

  it('names the flag that is missing or does not belong, and what there is not', async () => {
    const create = ['managed-secrets', 'grants', 'create', 'stripe'];
    expect(await run(create)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--principal-type is missing'),
    });
    for (const [words, message] of [
      [['--principal-type', 'user'], '--app-user-id is needed'],
      [['--principal-type', 'system', '--agent-id', 'crawler'], '--agent-id is not used'],
      [['--principal-type', 'group', '--idp-id', idpId], '--external-group-id is needed'],
    ] as const)
      expect(await run([...create, ...words])).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
    expect(await run([...create, '--principal-type', 'agent', '--agent-id', 'nobody'])).toMatchObject({ code: 4 });
    expect(await run(['managed-secrets', 'grants', 'list-for-agent', 'nobody'])).toMatchObject({ code: 4 });
  });
});

describe('managed-secrets users and groups', () => {
  it('lists users and groups by provider and by a word', async () => {
    const users = ['managed-secrets', 'users', '--output', 'json'];
    expect((await read(...users, '--idp', idpId)).items).toMatchObject([{ id: userId, name: 'Alice' }]);
    expect((await read(...users, '--search', 'ALI')).total).toBe(1);
    expect((await read(...users, '--search', 'bob')).total).toBe(0);
    expect((await run(['managed-secrets', 'users'])).stdout).toMatch(/ID +NAME +EMAIL[\s\S]*Alice +a@example\.com/);
    const groups = await run(['managed-secrets', 'groups', 'list', '--idp', idpId, '--search', 'supp']);
    expect(groups.stdout).toMatch(/EXTERNAL GROUP ID[\s\S]*support +Support/);
  });

  it('shows a group with pages of its members and grants', async () => {
    await grant(
      ...['--principal-type', 'group', '--idp-id', idpId, '--external-group-id', 'support', '--label', 'two'],
    );
    const shown = await read(...['managed-secrets', 'groups', 'show', 'support', '--grant-limit', '1']);
    expect(shown).toMatchObject({ external_group_id: 'support', members: { total: 0 }, grants: { limit: 1 } });
    expect(shown.grants.items).toHaveLength(1);
    expect(await run(['managed-secrets', 'groups', 'show', 'nobody'])).toMatchObject({ code: 4 });
  });
});

describe('managed-secrets access', () => {
  it('keeps entries and counts in a pipe, and is a table with a line for each path for people', async () => {
    await grant('--principal-type', 'agent', '--agent-id', 'crawler', '--label', 'again');
    const access = await read('managed-secrets', 'access', 'stripe');
    expect(access.counts).toMatchObject({ system: 1 });
    const agent = access.entries.find((entry: Json) => entry.principal.type === 'agent');
    expect(agent).toMatchObject({ principal: { display: 'crawler' }, path_count: access.counts.agent });
    const { stdout } = await run(['managed-secrets', 'access', 'stripe', '--output', 'table']);
    expect(stdout).toMatch(/^PRINCIPAL +NAME +THROUGH +LABEL +GRANT ID/);
    expect(stdout).toMatch(/agent +crawler +agent +again/);
    expect(stdout).toContain('every runtime key of the app');
  });
});

describe('managed-secrets set-delegation-policy', () => {
  it('turns group delegation on and, where the flag is left out, off', async () => {
    const set = ['managed-secrets', 'set-delegation-policy', 'stripe'];
    expect(await read(...set, '--allow-group-delegation', '--max-delegation-ttl-days', '7')).toMatchObject({
      ...{ allow_group_delegation: true, max_delegation_ttl_days: 7 },
    });
    expect(await read(...set)).toMatchObject({ allow_group_delegation: false, max_delegation_ttl_days: 7 });
    expect(await run([...set, '--max-delegation-ttl-days', '1826'])).toMatchObject({ code: 2 });
    const create = [
      'managed-secrets',
      'create',
      '--name',
      'Lent',
      '--credential-value',
      `@${join(directory, 'value')}`,
    ];
    writeFileSync(join(directory, 'value'), 'v');
    expect(await read(...create, '--allow-group-delegation', '--max-delegation-ttl-days', '30')).toMatchObject({
      ...{ allow_group_delegation: true, max_delegation_ttl_days: 30 },
    });
  });
});

describe('agents', () => {
  it('are created, listed, shown, changed, given keys, deprecated and revoked', async () => {
    const created = await read('agents', 'create', '--name', 'mailer', '--type', 'service', '--metadata', 'team=mail');
    expect(created).toMatchObject({ name: 'mailer', type: 'service', status: 'active', metadata: { team: 'mail' } });
    const named = ['--display-name', 'The mailer', '--metadata', 'a=1', '--metadata', 'b=x=y'];
    const changed = await read('agents', 'update', 'mailer', ...named);
    expect(changed).toMatchObject({ display_name: 'The mailer', metadata: { a: '1', b: 'x=y' } });
    expect(await read('agents', 'show', created.id)).toEqual(changed);
    expect((await run(['agents', 'list', '--status', 'active'])).stdout).toMatch(/mailer +The mailer +service +active/);
    const mint = ['keys', 'mint', '--name', 'mailer-1', '--scopes', 'proxy:execute', '--key-type', 'agent'];
    const key = await read(...mint, '--agent-id', 'mailer');
    expect(key).toMatchObject({ key_type: 'agent', agent_id: created.id, key: expect.stringMatching(/^alter_ak_/) });
    expect((await run(['agents', 'keys', 'mailer'])).stdout).toContain(key.id);
    expect(await run(mint)).toMatchObject({ code: 2, stderr: expect.stringContaining('--agent-id') });

    expect(await run(['agents', 'deprecate', 'mailer'])).toMatchObject({ code: 2 });
    expect(await read('agents', 'deprecate', 'mailer', '--yes')).toMatchObject({ status: 'deprecated' });
    expect(await run([...mint, '--agent-id', 'mailer'])).toMatchObject({ code: 5 });
    expect(await run(['agents', 'revoke', created.id])).toMatchObject({ code: 2 });
    expect(await run(['agents', 'revoke', created.id, '--confirm', 'crawler'])).toMatchObject({ code: 5 });
    expect(await read('agents', 'revoke', created.id, '--confirm', 'mailer')).toMatchObject({ status: 'revoked' });
  });

  it('name the flag that is wrong', async () => {
    for (const [words, message] of [
      [['create'], '--name is missing'],
      [['create', '--name', 'Not a name'], '--name must be'],
      [['create', '--name', 'x', '--metadata', 'y'], '--metadata takes NAME=VALUE'],
      [['update', 'crawler'], 'nothing to change'],
    ] as const)
      expect(await run(['agents', ...words])).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
    expect(await run(['agents', 'show', 'nobody'])).toMatchObject({ code: 4 });
  });
});

describe('identity-providers', () => {
  it('are created, listed, shown, changed and deleted', async () => {
    const create = ['identity-providers', 'create', '--name', 'Entra', '--issuer', 'https://login.example.com'];
    const more = ['--audience', 'egress', '--jwks-url', 'https://login.example.com/keys', '--groups-claim', 'roles'];
    const created = await read(...create, ...more, '--algorithms', 'ES256,EdDSA');
    expect(created).toMatchObject({ claims: { user: 'sub', groups: 'roles' }, algorithms: ['ES256', 'EdDSA'] });
    const { id } = created;
    const changed = await read('identity-providers', 'update', id, '--audience', 'other', '--user-claim', 'oid');
    expect(changed).toMatchObject({ audience: 'other', claims: { user: 'oid', groups: 'roles' } });
    expect(await read('identity-providers', 'show', id)).toEqual(changed);
    expect((await run(['identity-providers', 'list'])).stdout).toMatch(/Entra +https:\/\/login\.example\.com +other/);
    expect(await run(['identity-providers', 'delete', id, '--confirm', 'Okta'])).toMatchObject({ code: 5 });
    expect(await run(['identity-providers', 'delete', id, '--confirm', 'Entra'])).toMatchObject({ code: 0 });
    expect(await run(['identity-providers', 'show', id])).toMatchObject({ code: 4 });
  });

  it('keep their claims once they have users, and name the flag that is missing', async () => {
    const locked = await run(['identity-providers', 'update', idpId, '--user-claim', 'oid']);
    expect(locked).toMatchObject({ code: 5, stderr: expect.stringContaining('users of this identity provider') });
    expect(await run(['identity-providers', 'create', '--name', 'x'])).toMatchObject({
      ...{ code: 2, stderr: expect.stringContaining('--issuer is missing') },
    });
  });

  it('are deleted by their id with a token that may do nothing else', async () => {
    const { id } = await post('/identity-providers', {
      ...{ name: 'Old', issuer: 'https://old.example.com', audience: 'api', jwks_url: 'https://old.example.com/keys' },
    });
    const token = await rig.issuePat(['dashboard_identity_providers:delete']);
    const env = { ALTER_ADMIN_URL: rig.url, ALTER_PAT: token.plaintext, ALTER_APP_ID: rig.app.id };
    expect(await alter(['identity-providers', 'delete', id, '--confirm', id], { env })).toMatchObject({ code: 0 });
  });
});

describe('delegations', () => {
  it('are listed by agent, user and grant, shown, and revoked', async () => {
    const agentId = (await read('agents', 'create', '--name', 'helper')).id;
    const sourceGrantId = (await grant('--principal-type', 'user', '--app-user-id', userId, '--label', 'lent'))
      .grant_id;
    const app = await rig.vault.app(rig.app.id);
    const { value } = await app.delegations.create({ agentId, sourceGrantId, userId, expiresAt: rig.clock() + 60_000 });
    for (const filter of [
      ['--agent', 'helper'],
      ['--user', userId],
      ['--grant', sourceGrantId],
    ])
      expect((await run(['delegations', 'list', ...filter])).stdout).toContain(value.id);
    expect(await run(['delegations', 'list', '--agent', 'helper', '--user', userId])).toMatchObject({ code: 2 });
    expect(await read('delegations', 'show', value.id)).toMatchObject({ user_id: userId, status: 'active' });
    expect(await run(['delegations', 'revoke', value.id])).toMatchObject({ code: 2 });
    expect(await read('delegations', 'revoke', value.id, '--yes')).toMatchObject({ status: 'revoked' });
    expect((await read('managed-secrets', 'access', 'stripe')).counts.delegation).toBe(0);
    expect(await run(['delegations', 'show', agentId])).toMatchObject({ code: 4 });
  });
});
