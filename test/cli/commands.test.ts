import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { issueToken } from '../../core/token.ts';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter, type Ended, runProgram } from './alter.ts';

let rig: AdminRig;
let directory: string;
let env: Record<string, string>;

beforeAll(async () => {
  rig = await startAdminRig();
  directory = mkdtempSync(join(tmpdir(), 'alter-cli-'));
  env = { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id };
});
afterAll(async () => {
  await rig.close();
  rmSync(directory, { recursive: true });
});

const inAYear = new Date(Date.now() + 365 * 86_400_000).toISOString();
const canary = 'canary-5f1d2c9be07a';

async function succeed(words: readonly string[], stdin?: string): Promise<Ended> {
  const ended = await alter(words, { env, ...(stdin === undefined ? {} : { stdin }) });
  expect(ended).toMatchObject({ code: 0 });
  return ended;
}

function file(name: string, content: string): string {
  writeFileSync(join(directory, name), content);
  return `@${join(directory, name)}`;
}

async function storeSecret(name: string): Promise<{ id: string; slug: string; grant_id: string }> {
  const words = ['managed-secrets', 'create', '--name', name, '--credential-type', 'bearer_token'];
  return JSON.parse((await succeed([...words, '--credential-value', '-'], `${canary}\nnot read\n`)).stdout);
}

/** Nothing that the command said holds the credential. */
function expectNoCanary(...all: readonly Ended[]): void {
  for (const { stdout, stderr } of all) expect(stdout + stderr).not.toContain(canary);
}

describe('managed-secrets', () => {
  it('goes from standard input to a secret with hosts, a grant and a new version, and never shows the value', async () => {
    const created = await succeed(
      [
        'managed-secrets',
        'create',
        '--name',
        'Echo demo',
        '--credential-type',
        'bearer_token',
        '--credential-value',
        '-',
      ],
      canary,
    );
    const secret = JSON.parse(created.stdout);
    expect(secret).toMatchObject({ slug: 'echo-demo', version: 1, allowed_hosts: [] });
    expect(secret.grant_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(created.stderr).toBe('');

    const allowed = await succeed(
      'managed-secrets set-allowed-hosts echo-demo --host echo.alter.test:8443 --host a.example.com,b.example.com'.split(
        ' ',
      ),
    );
    expect(JSON.parse(allowed.stdout).allowed_hosts).toEqual([
      'echo.alter.test:8443',
      'a.example.com',
      'b.example.com',
    ]);
    const rotated = await succeed([
      'managed-secrets',
      'rotate',
      secret.id,
      '--credential-value',
      file('new', `${canary}\n`),
    ]);
    expect(JSON.parse(rotated.stdout)).toMatchObject({ version: 2 });
    const [shown, listed, grants, cleared] = await Promise.all([
      succeed(['managed-secrets', 'show', 'echo-demo']),
      succeed(['managed-secrets', 'list']),
      succeed(['managed-secrets', 'grants', 'list', 'echo-demo', '--output', 'jsonl', '--fields', 'grant_id,label']),
      succeed(['managed-secrets', 'set-allowed-hosts', 'echo-demo', '--clear', '--output', 'json']),
    ]);
    expect(JSON.parse(shown.stdout).id).toBe(secret.id);
    expect(listed.stdout.split('\n')[0]).toMatch(/^SLUG +NAME +TYPE +ALLOWED HOSTS +VERSION +UPDATED AT$/);
    expect(grants.stdout).toBe(`{"grant_id":"${secret.grant_id}","label":"default"}\n`);
    expect(JSON.parse(cleared.stdout).allowed_hosts).toEqual([]);
    expectNoCanary(created, allowed, rotated, shown, listed, grants, cleared);
  });

  it('takes fields, rules and the whole request from files, where flags win over the request', async () => {
    const input = file('input.json', '{"name":"from file","label":"from file","slug":"ignored"}');
    const ended = await succeed([
      ...['managed-secrets', 'create', '--input', input, '--name', 'Registry', '--credential-type', 'basic_auth'],
      ...['--credentials', file('fields.json', JSON.stringify({ username: 'me', password: canary }))],
      ...['--credential-field', `password=${canary}`, '--label', 'ci', '--account-identifier', 'acct_1'],
      ...['--injection-rule', file('rules.json', '[{"target":"query","name":"v","format":"2"}]')],
    ]);
    const secret = JSON.parse(ended.stdout);
    expect(secret).toMatchObject({ slug: 'registry', account_identifier: 'acct_1', credential_type: 'basic_auth' });
    expect(secret.injection_rules).toEqual([{ target: 'query', name: 'v', format: '2' }]);
    expect(ended.stderr).toMatch(/^Warning: .*history.*\nWarning: --credential-field is not used/);
    const { stdout } = await succeed(['managed-secrets', 'grants', 'list', 'registry', '--output', 'jsonl']);
    expect(JSON.parse(stdout)).toMatchObject({ label: 'ci', principal_type: 'system' });
    expectNoCanary(ended);
  });

  it('is deleted only under its own slug', async () => {
    const { id, slug } = await storeSecret('To be deleted');
    const remove = (words: readonly string[]) => alter(['managed-secrets', 'delete', ...words], { env });
    expect(await remove([slug])).toMatchObject({ code: 2, stderr: expect.stringContaining('--confirm') });
    expect(await remove([id])).toMatchObject({ code: 2, stderr: expect.stringContaining(`--confirm ${slug}`) });
    expect(await remove([slug, '--confirm', 'another'])).toMatchObject({ code: 5 });
    expect(await remove([id, '--confirm', id])).toMatchObject({ code: 5 });
    expect(await remove([id, '--confirm', slug])).toMatchObject({ code: 0, stdout: '' });
    expect(await remove([slug, '--confirm', slug])).toMatchObject({ code: 4 });
  });

  it('is deleted by a token that may do nothing else, which names the id twice', async () => {
    const { id } = await storeSecret('Delete only');
    const token = await rig.issuePat(['dashboard_secrets:delete']);
    const words = ['managed-secrets', 'delete', id, '--confirm', id];
    expect(await alter(words, { env: { ...env, ALTER_PAT: token.plaintext } })).toMatchObject({ code: 0 });
  });

  it('has grants that are created, updated and revoked', async () => {
    const { slug } = await storeSecret('Granted');
    const created = await succeed(
      `managed-secrets grants create ${slug} --principal-type system --label batch --expires-at ${inAYear}`.split(' '),
    );
    const { grant_id: grant } = JSON.parse(created.stdout);
    const updated = await succeed([
      'managed-secrets',
      'grants',
      'update',
      grant,
      '--expires-at',
      'never',
      '--label',
      'b',
    ]);
    expect(JSON.parse(updated.stdout)).toMatchObject({ expires_at: null, label: 'b', status: 'active' });
    const asked = await alter(['managed-secrets', 'grants', 'revoke', grant], { env });
    expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    const revoked = await succeed(['managed-secrets', 'grants', 'revoke', grant, '--yes']);
    expect(JSON.parse(revoked.stdout).status).toBe('revoked');
    const again = await alter(['managed-secrets', 'grants', 'update', grant, '--label', 'c'], { env });
    expect(again).toMatchObject({ code: 5 });
  });
});

describe('keys', () => {
  it('are minted once, listed, shown without their secret, and revoked', async () => {
    const minted = await succeed([
      'keys',
      'mint',
      '--name',
      'demo',
      '--scopes',
      'proxy:execute',
      '--output',
      'jsonl',
      '--fields',
      'key',
    ]);
    const { key } = JSON.parse(minted.stdout);
    expect(minted.stdout).toBe(`{"key":"${key}"}\n`);
    expect(key).toMatch(/^alter_rk_/);
    const shown = await succeed(['keys', 'show', '--key', key]);
    expect(shown.stdout + rig.logged.join('\n')).not.toContain(key);
    const revoked = await succeed(['keys', 'revoke', '--key', JSON.parse(shown.stdout).key_prefix, '--yes']);
    expect(JSON.parse(revoked.stdout).status).toBe('revoked');
    const list = await succeed(['keys', 'list', '--status', 'revoked', '--output', 'jsonl', '--fields', 'name,status']);
    expect(list.stdout).toBe('{"name":"demo","status":"revoked"}\n');
  });

  it('take networks, a rate and an end', async () => {
    const words =
      'keys mint --name batch --scopes proxy:execute --cidr 10.0.0.0/8,fd00::/8 --rate-limit-rpm 60 --expires-in 12h';
    const key = JSON.parse((await succeed(words.split(' '))).stdout);
    expect(key).toMatchObject({ cidr: ['10.0.0.0/8', 'fd00::/8'], rate_limit_rpm: 60 });
    expect(Date.parse(key.expires_at) - Date.parse(key.created_at)).toBe(12 * 3_600_000);
  });

  it('are not lost by a slip in --fields', async () => {
    const words = 'keys mint --name slip --scopes proxy:execute --fields kee';
    const ended = await alter(words.split(' '), { env });
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no field "kee"') });
    expect(JSON.parse(ended.stdout).key).toMatch(/^alter_rk_/);
  });
});

describe('apps and audit', () => {
  it('make, show and list apps', async () => {
    const created = JSON.parse((await succeed(['apps', 'create', '--name', 'billing'])).stdout);
    expect(JSON.parse((await succeed(['apps', 'show', 'billing'])).stdout)).toEqual(created);
    expect((await succeed(['apps', 'list'])).stdout).toContain(created.id);
    const again = await alter(['apps', 'create', '--name', 'billing'], { env });
    expect(again).toMatchObject({ code: 5 });
  });

  it('list events page by page', async () => {
    await storeSecret('Audited');
    const first = await succeed(['audit', 'list', '--limit', '1', '--event', 'secret.created']);
    expect(first.stdout).toMatch(/^TIME +EVENT[^\n]*\n[^\n]*secret\.created[^\n]*\n$/);
    const next = /--after (\S+)/.exec(first.stderr)?.[1] ?? '';
    await storeSecret('Audited again');
    const second = await succeed(['audit', 'list', '--after', next, '--secret', 'audited', '--output', 'jsonl']);
    expect(second.stdout).toBe('');
    const found = await succeed(['audit', 'list', '--secret', 'audited', '--output', 'jsonl', '--fields', 'event']);
    expect(found.stdout).toBe('{"event":"secret.created"}\n');
  });
});

describe('the command line', () => {
  it('says on stderr that a list is empty, and prints nothing for a pipe', async () => {
    const ended = await alter(['keys', 'list', '--app', rig.otherApp.name], { env });
    expect(ended).toEqual({ code: 0, stdout: '', stderr: 'No keys.\n' });
  });

  it('tells how to go on where a list is longer', async () => {
    const { stderr } = await succeed(['managed-secrets', 'list', '--limit', '1']);
    expect(stderr).toMatch(/^1 of \d+ managed secrets; the next ones with --offset 1\n$/);
  });

  it('ends quietly when its reader has seen enough', async () => {
    const script = `node() { "${process.execPath}" "$@"; }; node "$BIN" managed-secrets list --output json | head -1; node "$BIN" --help | head -1`;
    const bin = new URL('../../cli/bin.ts', import.meta.url).pathname;
    const ended = await runProgram('bash', ['-c', `set -o pipefail; ${script}`], { env: { ...env, BIN: bin } });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout.split('\n')[0]).toBe('{');
  });

  it.each<[string, string, number, RegExp]>([
    ['an unknown command', 'managed-secrets nosuch', 2, /no command `alter managed-secrets nosuch`/],
    ['a flag before the command', '--app=canary keys list', 2, /^Error: --app stands before the command/],
    ['an unknown flag, without its value', `keys list --nope=${canary}`, 2, /no flag --nope\./],
    ['a number out of range', 'keys list --limit 1001', 2, /--limit: .*1000/],
    ['an unknown output', 'keys list --output xml', 2, /--output=xml/],
    ['a missing argument', 'managed-secrets show', 2, /<secret>/],
    ['an argument too many, unseen where it may be a credential', `managed-secrets create ${canary}`, 2, /not shown/],
    ['a missing flag', 'managed-secrets create', 2, /--name is missing/],
    ['a missing credential', 'managed-secrets create --name x', 2, /--credential-value is missing/],
    ['an empty standard input', 'managed-secrets create --name x --credential-value -', 2, /standard input is empty/],
    ['a missing file', 'managed-secrets rotate x --credential-value @/nonexistent', 4, /no file \/nonexistent/],
    [
      'both of two ends',
      'keys mint --name a --scopes b --expires-in 1d --expires-at 2099-01-01T00:00:00Z',
      2,
      /--expires-in/,
    ],
    [
      'what the service refuses, under the name of the flag',
      'keys mint --name a --scopes proxy:execute --cidr 0.0.0.0/0',
      2,
      /^Error: --cidr holds every address/,
    ],
    ['no host at all', 'managed-secrets set-allowed-hosts x', 2, /--host is missing/],
    ['an empty host', 'managed-secrets set-allowed-hosts x --host a.example.com,', 2, /--host holds an empty entry/],
    ['a path instead of a slug', 'managed-secrets show ..', 2, /<secret>/],
    ['an unknown object', 'managed-secrets show nosuch', 4, /no such object/],
    ['an unknown app', 'keys list --app nosuch', 4, /Error: /],
    ['an object of another app', 'keys show --key nosuch', 4, /no such object/],
    ['nothing to change', 'managed-secrets grants update x', 2, /nothing to change/],
    ['a role that is none', 'serve --role nope', 2, /--role=nope/],
  ])('refuses %s', async (_, words, code, message) => {
    const ended = await alter(words.split(' '), { env });
    expect(ended.code).toBe(code);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).toMatch(/^Error: [^\n]+\n(?:Hint: [^\n]+\n)?$/);
    expectNoCanary(ended);
  });

  it('tells an error as one line of JSON with --output json', async () => {
    const ended = await alter(['managed-secrets', 'show', 'nosuch', '--output', 'json'], { env });
    expect(ended).toMatchObject({ code: 4, stdout: '' });
    expect(JSON.parse(ended.stderr)).toMatchObject({ error: { code: 'not_found', exit: 4 } });
  });

  it.each<[string, Record<string, string>, number, RegExp]>([
    ['no token', { ALTER_PAT: '' }, 3, /ALTER_PAT is not set/],
    [
      'something else in ALTER_PAT, which is not sent',
      { ALTER_PAT: canary },
      3,
      /does not hold a personal access token/,
    ],
    [
      'a runtime key in ALTER_PAT',
      { ALTER_PAT: issueToken('runtime', Date.now()).plaintext },
      3,
      /does not hold a personal/,
    ],
    ['an unknown token', { ALTER_PAT: issueToken('pat', Date.now()).plaintext }, 3, /personal access token is needed/],
    ['no app', { ALTER_APP_ID: '' }, 2, /--app is missing/],
    ['a token on its way through a network', { ALTER_ADMIN_URL: 'http://192.0.2.1' }, 2, /in the clear/],
    ['an address that is none', { ALTER_ADMIN_URL: 'localhost:4180' }, 2, /not an http/],
    ['a password in the address', { ALTER_ADMIN_URL: `http://u:${canary}@localhost` }, 2, /no user, password/],
    [
      'a service that is not there',
      { ALTER_ADMIN_URL: 'http://127.0.0.1:1' },
      8,
      /can't be reached: connection refused/,
    ],
  ])('refuses %s', async (_, more, code, message) => {
    const ended = await alter(['keys', 'list'], { env: { ...env, ...more } });
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toMatch(message);
    expectNoCanary(ended);
  });

  it('tells a token without the scope apart', async () => {
    const token = await rig.issuePat(['dashboard_keys:read']);
    const ended = await alter(['managed-secrets', 'list'], { env: { ...env, ALTER_PAT: token.plaintext } });
    expect(ended).toMatchObject({ code: 7 });
  });

  it('never takes a token from the directory that it stands in', async () => {
    writeFileSync(join(directory, 'operator.env'), `ALTER_PAT=${rig.operator.plaintext}\n`);
    writeFileSync(join(directory, '.env'), `ALTER_PAT=${rig.operator.plaintext}\n`);
    const ended = await alter(['apps', 'list'], { env: { ...env, ALTER_PAT: '' }, cwd: directory });
    expect(ended.code).toBe(3);
  });
});
