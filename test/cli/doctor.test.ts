import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../certs/authority.ts';
import { issueToken } from '../../core/token.ts';
import { Rig } from '../support/rig.ts';
import { alter, type Ended } from './alter.ts';

interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'failed' | 'skipped';
  readonly detail: string;
  readonly fix: string | null;
}

let rig: Rig;
let key: string;
let operator: Record<string, string>;

beforeAll(async () => {
  rig = await Rig.open({ sinks: ['a.test'] });
  await rig.storeSecret({ hosts: [rig.authorityOf()] });
  ({ key } = await rig.mintKey());
  operator = {
    ALTER_ADMIN_URL: rig.service.adminUrl!,
    ALTER_PAT: rig.pat,
    ALTER_APP_ID: rig.appId,
    ALTER_PROXY_URL: `http://127.0.0.1:${rig.proxyPort}`,
    ALTER_KEY: key,
    HOME: rig.directory,
    PATH: '/usr/bin:/bin',
  };
});
afterAll(() => rig.close());

const opsNowhere = ['--ops-url', 'http://127.0.0.1:9'];

async function doctor(
  words: readonly string[],
  env: Record<string, string>,
): Promise<Ended & { checks: Map<string, Finding> }> {
  const ended = await alter(['doctor', '--output', 'json', ...opsNowhere, ...words], { env });
  const { items } = JSON.parse(ended.stdout || '{"items":[]}') as { readonly items: readonly Finding[] };
  return { ...ended, checks: new Map(items.map((one) => [one.check, one])) };
}

describe('alter doctor', () => {
  it('finds everything in order, and tries the clients that are there, with nothing leaving for the host', async () => {
    const clients = ['curl', 'git', 'wget', 'Python urllib', 'Python requests'];
    const { code, stderr, stdout, checks } = await doctor(
      clients.flatMap((client) => ['--client', client]),
      operator,
    );
    expect({ code, stderr, stdout }).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
    for (const check of ['admin service', 'clock', 'token', 'CA certificate', 'proxy', 'key', 'interception', 'curl'])
      expect(checks.get(check)).toMatchObject({ status: 'ok' });
    expect(checks.get('curl')?.fix).toBe('HTTPS_PROXY, CURL_CA_BUNDLE');
    expect(stdout).not.toContain(key);
    expect(stdout).not.toContain(rig.pat);
    expect(rig.sink().requests).toEqual([]);
    const audit = await rig.admin<{ items: { code: string }[] }>('GET', '/audit?event=request.decided');
    expect([...new Set(audit.items.map((event) => event.code))]).toEqual(['user_token_invalid']);
  });

  it('says what to set for a client that goes around the proxy, or does not trust the CA', async () => {
    const around = await doctor(['--client', 'curl'], { ...operator, NO_PROXY: 'a.test' });
    expect(around.code).toBe(1);
    expect(around.checks.get('curl')).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/^Does not use the proxy, because NO_PROXY holds a\.test\./),
      fix: 'Take a.test out of NO_PROXY.',
    });
    const other = join(rig.directory, 'other.pem');
    writeFileSync(other, (await createAuthority({ now: Date.now() })).certificatePem);
    const distrusting = await doctor(['--client', 'curl', '--ca', other], operator);
    expect(distrusting.code).toBe(1);
    expect(distrusting.checks.get('CA certificate')).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/another certificate/),
    });
    expect(distrusting.checks.get('interception')).toMatchObject({ status: 'failed' });
    expect(distrusting.checks.get('curl')).toMatchObject({ status: 'skipped' });
  });

  it('tells a key that the proxy refuses from one that is mistyped, and from none', async () => {
    const unknown = await doctor([], { ...operator, ALTER_KEY: issueToken('runtime', Date.now()).plaintext });
    expect(unknown.code).toBe(1);
    expect(unknown.checks.get('key')).toMatchObject({ status: 'failed', detail: 'The proxy refuses it: key_invalid.' });
    const mistyped = await doctor([], { ...operator, ALTER_KEY: 'alter_rk_x' });
    expect(mistyped.checks.get('key')).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/does not hold a key/),
    });
    const { ALTER_KEY: _, ...without } = operator;
    const none = await doctor([], without);
    expect(none.code).toBe(0);
    expect(none.checks.get('key')).toMatchObject({ status: 'skipped' });
    expect(none.checks.get('curl')).toMatchObject({ status: 'skipped', detail: 'Not tried without a key.' });
  });

  it('works for a workload that has a key and the CA, and no admin service', async () => {
    const { code, checks, stdout } = await doctor(
      ['--client', 'curl', '--ca', rig.caFile, '--host', rig.authorityOf()],
      {
        ALTER_KEY: key,
        ALTER_PROXY_URL: operator.ALTER_PROXY_URL!,
        HOME: rig.directory,
        PATH: operator.PATH!,
      },
    );
    expect({ code, stdout }).toMatchObject({ code: 0 });
    expect(checks.get('admin service')).toMatchObject({ status: 'skipped' });
    expect(checks.get('curl')).toMatchObject({ status: 'ok' });
  });

  it('ends with 8 where there is nothing, with 1 where the token is refused, and says what was found', async () => {
    const nowhere = {
      ALTER_ADMIN_URL: 'http://127.0.0.1:9',
      ALTER_PROXY_URL: 'http://127.0.0.1:9',
      PATH: operator.PATH!,
    };
    const nothing = await doctor([], nowhere);
    expect(nothing.code).toBe(8);
    expect(nothing.checks.get('proxy')).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/connection refused/),
    });
    expect(JSON.parse(nothing.stderr)).toMatchObject({
      error: { exit: 8, detail: expect.stringMatching(/admin service, proxy/) },
    });
    const refused = await doctor([], { ...operator, ALTER_PAT: issueToken('pat', Date.now()).plaintext });
    expect(refused.code).toBe(1);
    expect(refused.checks.get('token')).toMatchObject({ status: 'failed' });
  });

  it('takes no host that would be more than a host', async () => {
    for (const host of ['a.test\r\nX-Injected: 1', 'a.test/path', 'user@a.test']) {
      const { code, stderr } = await doctor(['--host', host], operator);
      expect(code).toBe(2);
      expect(JSON.parse(stderr).error.detail).toMatch(/^--host: /);
    }
  });

  it('is a table for people, with the fixes below it', async () => {
    const { code, stdout, stderr } = await alter(['doctor', ...opsNowhere, '--client', 'none'], {
      env: { ALTER_PROXY_URL: 'http://127.0.0.1:9', ALTER_ADMIN_URL: operator.ALTER_ADMIN_URL! },
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^CHECK +STATUS +DETAIL\nadmin service +ok +Answers at/);
    expect(stderr).toMatch(/^proxy: Start it with `alter serve`.*\nError: 1 of \d checks failed: proxy\.\n$/s);
  });
});
