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
