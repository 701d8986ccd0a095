import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter, type Ended } from './alter.ts';

let rig: AdminRig;
let home: string;
let file: string;

beforeAll(async () => {
  rig = await startAdminRig();
});
afterAll(() => rig.close());
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'alter-cli-auth-'));
  file = join(home, '.config', 'alter', 'login.json');
});
afterEach(() => rmSync(home, { recursive: true }));

const run = (words: readonly string[], of: { env?: Record<string, string>; stdin?: string; cwd?: string } = {}) =>
  alter(words, { ...of, env: { HOME: home, ALTER_ADMIN_URL: rig.url, ...of.env } });
const signIn = (): Promise<Ended> => run(['auth', 'login', '--token-stdin'], { stdin: `${rig.operator.plaintext}\n` });

describe('alter auth', () => {
  it('keeps a token that only its user may read, uses it, and forgets it', async () => {
    const made = await signIn();
    expect(made).toMatchObject({ code: 0, stderr: expect.stringContaining('Signed in') });
    expect(made.stdout + made.stderr).not.toContain(rig.operator.plaintext);
    expect([statSync(file).mode & 0o777, statSync(join(file, '..')).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(JSON.parse((await run(['auth', 'status'])).stdout)).toMatchObject({ id: rig.operator.id });
    expect(await run(['apps', 'list'], { env: { ALTER_ADMIN_URL: '' } })).toMatchObject({ code: 0 });
    expect(await run(['auth', 'logout'])).toMatchObject({ code: 0 });
    expect(await run(['auth', 'status'])).toMatchObject({ code: 3 });
    expect(await run(['auth', 'logout'])).toMatchObject({ code: 0 });
  });

  it('takes the token from a file, and none on the command line or where nobody can be asked', async () => {
    writeFileSync(join(home, 'token'), `${rig.operator.plaintext}\n`);
    const fromFile = ['auth', 'login', '--token-file', join(home, 'token')];
    chmodSync(join(home, 'token'), 0o644);
    expect(await run(fromFile)).toMatchObject({ code: 0, stderr: expect.stringContaining('can be read by others') });
    chmodSync(join(home, 'token'), 0o600);
    expect(await run(fromFile)).toMatchObject({ code: 0, stderr: expect.not.stringContaining('Warning') });
    expect(await run(['auth', 'login'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--token-stdin') });
    const inline = await run(['auth', 'login', rig.operator.plaintext]);
    expect(inline.code).toBe(2);
    expect(inline.stderr).not.toContain(rig.operator.plaintext);
  });

  it('keeps no token that the service does not know', async () => {
    for (const stdin of ['hunter2', '', `alter_pat_${'a'.repeat(60)}`])
      expect((await run(['auth', 'login', '--token-stdin'], { stdin })).code).not.toBe(0);
    expect(await run(['auth', 'status'])).toMatchObject({ code: 3 });
  });

  it('does not use a login that others may read, nor one that is damaged', async () => {
    await signIn();
    chmodSync(file, 0o640);
    expect(await run(['apps', 'list'])).toMatchObject({ code: 3, stderr: expect.stringContaining('chmod 600') });
    chmodSync(file, 0o600);
    expect(await run(['apps', 'list'])).toMatchObject({ code: 0 });
    writeFileSync(file, rig.operator.plaintext);
    const damaged = await run(['apps', 'list']);
    expect(damaged).toMatchObject({ code: 3, stderr: expect.stringContaining('damaged') });
    expect(damaged.stderr).not.toContain(rig.operator.plaintext);
    expect(await signIn()).toMatchObject({ code: 0 });
  });

  it('sends the token to no other address, and lets ALTER_PAT win', async () => {
    await signIn();
    const elsewhere = await run(['apps', 'list'], { env: { ALTER_ADMIN_URL: 'http://127.0.0.1:1' } });
    expect(elsewhere).toMatchObject({ code: 3, stderr: expect.stringContaining('Not signed in at') });
    const narrow = await rig.issuePat(['dashboard_keys:read']);
    expect(await run(['apps', 'list'], { env: { ALTER_PAT: narrow.plaintext } })).toMatchObject({ code: 7 });
  });
});

describe('alter link', () => {
  it('chooses the app for a directory and all below it, and stores nothing but its id', async () => {
    const env = { ALTER_PAT: rig.operator.plaintext };
    const below = join(home, 'src', 'deep');
    mkdirSync(below, { recursive: true });
    expect(await run(['keys', 'list'], { env, cwd: below })).toMatchObject({ code: 2 });
    expect(await run(['link', 'shop'], { env, cwd: home })).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(join(home, '.alter-link.json'), 'utf8'))).toEqual({ app_id: rig.app.id });
    expect(await run(['keys', 'list'], { env, cwd: below })).toMatchObject({ code: 0 });
    const other = { ...env, ALTER_APP_ID: rig.otherApp.id };
    await run(['keys', 'mint', '--name', 'k', '--scopes', 'proxy:execute'], { env: other, cwd: below });
    expect((await run(['keys', 'list'], { env, cwd: below })).stdout).toBe('');
    expect(await run(['link', 'nowhere'], { env, cwd: home })).toMatchObject({ code: 4 });
    writeFileSync(join(home, '.alter-link.json'), '{"app_id":"../x"}');
    expect(await run(['keys', 'list'], { env, cwd: below })).toMatchObject({ code: 2 });
  });
});
