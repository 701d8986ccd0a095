import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/in-parallel.ts';
import { alter, alterCommand, type Ended } from './alter.ts';

type Json = ReturnType<typeof JSON.parse>;

let rig: AdminRig;
let directory: string;
let env: Record<string, string>;

const run = (...words: readonly string[]): Promise<Ended> => alter(['audit', ...words], { env });
const store = (name: string) =>
  rig.send('POST', `/v1/apps/${rig.app.id}/managed-secrets`, { body: { name, credential_value: 'v' } });

beforeAll(async () => {
  rig = await startAdminRig();
  directory = mkdtempSync(join(tmpdir(), 'alter-cli-audit-'));
  env = { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id };
  await store('Stripe');
  await store('Datadog');
});
afterAll(async () => {
  await rig.close();
  rmSync(directory, { recursive: true });
});

describe('audit show', () => {
  it('shows one event, and tells one that there is not from what is no id', async () => {
    const [first] = await rig.events();
    const { cursor: _, ...event } = first!;
    expect(JSON.parse((await run('show', event.id)).stdout)).toEqual(event);
    expect(await run('show', rig.app.id)).toMatchObject({ code: 4 });
    expect(await run('show', 'x')).toMatchObject({ code: 2 });
  });
});

describe('audit export', () => {
  it('writes every event once, the oldest first, as lines of JSON and as csv', async () => {
    const all = await rig.events();
    const lines = (await run('export')).stdout.trimEnd().split('\n');
    expect(lines.map((line): Json => JSON.parse(line).id)).toEqual(all.map(({ id }) => id));
    const csv = (await run('export', '--format', 'csv')).stdout.trimEnd().split('\r\n');
    expect(csv[0]).toMatch(/^id,time,event,/);
    expect(csv.slice(1).map((line) => line.split(',')[0])).toEqual(all.map(({ id }) => id));
    const some = await run('export', '--secret', 'datadog');
    expect(some.stdout.trimEnd().split('\n').length).toBeLessThan(all.length);
    expect(some.stdout).not.toContain('stripe');
  });
});

describe('audit export --acknowledge', () => {
  it('begins where the last one ended, and goes with no filter', async () => {
    const first = await run('export', '--acknowledge', '--format', 'jsonl');
    expect(first.code).toBe(0);
    const second = await run('export', '--acknowledge');
    // What is new is the acknowledgement itself.
    expect(
      second.stdout
        .trimEnd()
        .split('\n')
        .map((line): Json => JSON.parse(line).event),
    ).toEqual(['audit.exported']);
    expect(await run('export', '--acknowledge', '--decision', 'deny')).toMatchObject({ code: 2 });
    const shown = JSON.parse((await run('retention', 'show')).stdout);
    expect(shown.exported.cursor).toMatch(/^\d+\.\d+$/);
  });
});

describe('audit retention', () => {
  it('is set by age and by number, and taken back', async () => {
    const set = async (...words: string[]): Promise<Json> =>
      JSON.parse((await run('retention', 'set', ...words)).stdout);
    const limits = { max_age_seconds: 90 * 86_400, max_events: 1000, require_export: true, inherited: false };
    expect(await set('--max-age', '90d', '--max-events', '1000', '--require-export')).toMatchObject(limits);
    expect(await set('--keep-all')).toMatchObject({ max_age_seconds: null, max_events: null, inherited: false });
    expect(await set('--inherit')).toMatchObject({ inherited: true });
    for (const words of [
      [],
      ['--max-age', '1y'],
      ['--keep-all', '--max-age', '9d'],
      ['--keep-all', '--require-export'],
    ])
      expect(await run('retention', 'set', ...words)).toMatchObject({ code: 2 });
  });
});

describe('audit --system', () => {
  it('shows, follows, exports and proves what belongs to no app, to tokens for all apps alone', async () => {
    const { token } = (
      await rig.send('POST', '/v1/tokens', {
        body: { name: 'ci', scopes: ['dashboard_audit:read'], app_id: rig.app.id },
      })
    ).json;
    const other = (await rig.send('POST', '/v1/tokens', { body: { name: 'all', scopes: ['dashboard_audit:read'] } }))
      .json;
    const listed = (await run('list', '--system', '--output', 'jsonl')).stdout.trimEnd().split('\n');
    const events = listed.map((line): Json => JSON.parse(line));
    expect(events.map(({ event }) => event)).toContain('token.created');
    for (const { app_id } of events) expect(app_id).toBe('system');
    const newest = events[0]!;
    expect(JSON.stringify(newest)).toContain(other.id);
    const withoutApp = { ...env, ALTER_APP_ID: '' };
    const [shown, exported, tailed, verified, notOfApp, both, acknowledged, ...limited] = await Promise.all([
      alter(['audit', 'show', '--system', newest.id], { env: withoutApp }),
      alter(['audit', 'export', '--system'], { env: withoutApp }),
      alter(['audit', 'tail', '--system', '--output', 'jsonl'], { env: withoutApp }),
      alter(['audit', 'verify', '--system'], { env: withoutApp }),
      run('show', newest.id),
      run('list', '--system', '--app', 'default'),
      run('export', '--system', '--acknowledge'),
      ...[['list'], ['show', newest.id], ['verify']].map((words) =>
        alter(['audit', ...words, '--system'], { env: { ...env, ALTER_PAT: token } }),
      ),
    ]);
    expect(JSON.parse(shown.stdout)).toEqual(newest);
    expect(exported.stdout.trimEnd().split('\n')).toEqual(listed.toReversed());
    expect(tailed.stdout).toBe(exported.stdout);
    expect(JSON.parse(verified.stdout)).toMatchObject({ intact: true, break: null });
    expect([notOfApp.code, both.code, acknowledged.code]).toEqual([4, 2, 2]);
    for (const one of limited)
      expect(one).toMatchObject({ code: 7, stderr: expect.stringContaining('limited to one app') });
  });
});

describe('audit list', () => {
  it('is bounded in time', async () => {
    const ids = async (...words: string[]) =>
      (await run('list', '--output', 'jsonl', '--fields', 'event', ...words)).stdout;
    expect(await ids('--since', '1h')).toContain('secret.created');
    expect(await ids('--until', '1h')).toBe('');
    expect(await run('list', '--since', 'yesterday')).toMatchObject({ code: 2 });
  });
});

describe('audit tail', () => {
  it('prints the newest events in order, and with -f those that follow, once', async () => {
    const all = await rig.events();
    const last = await run('tail', '-n', '2', '--output', 'jsonl', '--fields', 'id');
    expect(last.stdout.trimEnd().split('\n')).toEqual(all.slice(-2).map(({ id }) => JSON.stringify({ id })));
    expect(await run('tail', '--output', 'json')).toMatchObject({ code: 2 });

    const [node, ...words] = alterCommand;
    const child = spawn(node, [...words, 'audit', 'tail', '-f', '-n', '1'], {
      env: { PATH: process.env.PATH, ...env },
    });
    endWithUs(child);
    try {
      let printed = '';
      child.stdout.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
      });
      await eventually(() => printed.includes('\n'));
      await store('Later');
      await eventually(() => printed.includes('later'));
      expect(printed.match(/secret\.created .* later/g)).toHaveLength(1);
    } finally {
      child.kill();
    }
  });
});

describe('audit verify', () => {
  const verify = async (...words: readonly string[]): Promise<{ code: number | null; verdict: Json }> => {
    const { code, stdout } = await run('verify', ...words);
    return { code, verdict: JSON.parse(stdout) };
  };

  it('finds the audit intact, and what an earlier answer held and it no longer holds', async () => {
    const { code, verdict } = await verify();
    expect([code, verdict.intact, verdict.break]).toEqual([0, true, null]);
    expect(verdict.chains).toHaveLength(1);
    const known = join(directory, 'verified.json');
    writeFileSync(known, JSON.stringify(verdict));
    expect(await verify('--known', `@${known}`)).toMatchObject({ code: 0 });

    const [chain] = verdict.chains;
    const later = { ...chain, sequence: chain.sequence + 1 };
    writeFileSync(known, JSON.stringify({ chains: [later] }));
    expect(await verify('--known', `@${known}`)).toMatchObject({
      ...{ code: 1, verdict: { intact: false, break: { sequence: later.sequence, problem: 'truncated' } } },
    });
    writeFileSync(known, JSON.stringify({ chains: [{ ...chain, hash: '0'.repeat(64) }] }));
    expect(await verify('--known', `@${known}`)).toMatchObject({ code: 1, verdict: { break: { problem: 'hash' } } });
  });

  it('needs the scope of the audit, and an answer of its own', async () => {
    const token = await rig.issuePat(['dashboard_secrets:read']);
    const refused = await alter(['audit', 'verify'], { env: { ...env, ALTER_PAT: token.plaintext } });
    expect(refused).toMatchObject({ code: 7 });
    expect(await run('verify', '--known', '@/nonexistent')).toMatchObject({ code: 4 });
    const wrong = join(directory, 'wrong.json');
    writeFileSync(wrong, JSON.stringify({ chains: [{ writer: 'w', sequence: 1, hash: 'x' }] }));
    expect(await run('verify', '--known', `@${wrong}`)).toMatchObject({ code: 2 });
  });
});
