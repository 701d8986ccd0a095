import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { AuditEvent } from '../../core/audit-event.ts';
import { issueId } from '../../core/id.ts';
import { AuditFile, type AuditFileOptions } from '../../telemetry/audit-file.ts';
import { eventually } from '../support/in-parallel.ts';
import { startStopwatch } from '../support/stopwatch.ts';

const directory = await mkdtemp(join(tmpdir(), 'alter-audit-'));
afterAll(() => rm(directory, { recursive: true }));

let files = 0;
function freshPath(): string {
  return join(directory, `audit-${files++}.jsonl`);
}

function open(path: string, options: Partial<AuditFileOptions> = {}): AuditFile {
  return new AuditFile({ path, durability: 'strict', timeoutMs: 10_000, maxPending: 1_000, ...options });
}

function event(path = '/v1'): AuditEvent {
  const now = Date.now();
  return { id: issueId(now), time: new Date(now).toISOString(), event: 'request.decided', app_id: 'app', path };
}

async function linesOf(path: string): Promise<string[]> {
  return (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
}

const unavailable = { name: 'AlterError', code: 'audit_unavailable' };

describe('the audit file', () => {
  it('holds a record as one line of JSON, readable by its owner only, when record() resolves', async () => {
    const path = freshPath();
    const audit = open(path);
    const recorded = event('/a\nb');
    await audit.record(recorded);
    expect(await readFile(path, 'utf8')).toBe(`${JSON.stringify(recorded)}\n`);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(audit.problem).toBeNull();
    await audit.close();
  });

  it('keeps what is there, in the order of recording', async () => {
    const path = freshPath();
    const first = open(path);
    await first.record(event('/1'));
    await first.close();
    const second = open(path);
    await Promise.all(Array.from({ length: 500 }, (_, index) => second.record(event(`/${index + 2}`))));
    await second.close();
    const paths = (await linesOf(path)).map((line) => (JSON.parse(line) as AuditEvent).path);
    expect(paths).toEqual(Array.from({ length: 501 }, (_, index) => `/${index + 1}`));
  });

  it('syncs once for records that come together', async () => {
    const path = freshPath();
    const script = `
      const { AuditFile } = await import('${new URL('../../telemetry/audit-file.ts', import.meta.url).href}');
      const audit = new AuditFile({ path: ${JSON.stringify(path)}, durability: 'strict', timeoutMs: 5000, maxPending: 1000 });
      const prototype = Object.getPrototypeOf(await (await import('node:fs/promises')).open('/dev/null'));
      const { datasync } = prototype;
      let syncs = 0;
      prototype.datasync = function () { syncs++; return datasync.call(this); };
      const event = { id: 'i', time: 't', event: 'request.decided', app_id: 'a' };
      await Promise.all(Array.from({ length: 200 }, () => audit.record(event)));
      process.stdout.write(String(syncs));`;
    const syncs = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    expect(Number(syncs)).toBe(1);
    expect(await linesOf(path)).toHaveLength(200);
  });

  it('starts a new line after a record that a crash cut short', async () => {
    const path = freshPath();
    await writeFile(path, '{"id":"half');
    const audit = open(path);
    const recorded = event();
    await audit.record(recorded);
    await audit.close();
    expect(await linesOf(path)).toEqual(['{"id":"half', JSON.stringify(recorded)]);
  });

  it('follows the path when the file was rotated away', async () => {
    const path = freshPath();
    const audit = open(path);
    await audit.record(event('/old'));
    await rename(path, `${path}.1`);
    await audit.record(event('/new'));
    await audit.close();
    expect(await linesOf(`${path}.1`)).toHaveLength(1);
    expect((JSON.parse((await linesOf(path))[0]!) as AuditEvent).path).toBe('/new');
  });

  it('refuses records after it was closed, and lets those that wait go out before', async () => {
    const path = freshPath();
    const audit = open(path);
    const waiting = audit.record(event());
    await audit.close();
    await waiting;
    await expect(audit.record(event())).rejects.toMatchObject(unavailable);
    expect(await linesOf(path)).toHaveLength(1);
  });
});

describe('an audit file that can not be written', () => {
  it('refuses every record while the disk is full, and accepts them again when it is not', async () => {
    const path = freshPath();
    await symlink('/dev/full', path);
    const audit = open(path);
    for (let index = 0; index < 3; index++) await expect(audit.record(event())).rejects.toMatchObject(unavailable);
    expect(audit.problem).toBe('ENOSPC');
    await rm(path);
    await audit.record(event());
    expect(audit.problem).toBeNull();
    await audit.close();
    expect(await linesOf(path)).toHaveLength(1);
  });

  it('refuses every record while its directory is missing, even if the file was open, and goes on when it is back', async () => {
    const home = join(directory, 'removed');
    const path = join(home, 'audit.jsonl');
    const audit = open(path);
    await expect(audit.record(event())).rejects.toMatchObject(unavailable);
    await mkdir(home);
    await audit.record(event());
    await rm(home, { recursive: true });
    await expect(audit.record(event())).rejects.toMatchObject(unavailable);
    expect(audit.problem).toBe('ENOENT');
    await mkdir(home);
    await audit.record(event());
    await audit.close();
    expect(await linesOf(path)).toHaveLength(1);
  });

  it('refuses at once while nobody reads the pipe, and writes whole lines when somebody does', async () => {
    const path = freshPath();
    execFileSync('mkfifo', [path]);
    const audit = open(path, { timeoutMs: 2_000 });
    const elapsedMs = startStopwatch();
    await expect(audit.record(event())).rejects.toMatchObject(unavailable);
    expect(elapsedMs()).toBeLessThan(1_000);
    expect(audit.problem).toBe('ENXIO');
    const reader = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = once(reader, 'close');
    let text = '';
    reader.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const recorded = event();
    while ((await audit.record(recorded).catch(() => 'refused')) === 'refused') await wait(10);
    await audit.close();
    await ended;
    expect(text).toBe(`${JSON.stringify(recorded)}\n`);
  });

  it('refuses within its time while the reader of the pipe has stopped, and recovers with whole lines', async () => {
    const path = freshPath();
    execFileSync('mkfifo', [path]);
    // Between two tries nobody may be writing, which is an end to cat, but not to this reader.
    const reader = spawn('sh', ['-c', `exec 3< ${path}; read go; while :; do cat <&3; sleep 0.01; done`], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = once(reader, 'close');
    let text = '';
    reader.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const audit = open(path, { timeoutMs: 300 });
    while ((await audit.record(event()).catch(() => 'refused')) === 'refused') await wait(10);
    const elapsedMs = startStopwatch();
    const large = Array.from({ length: 40 }, () => audit.record(event(`/${'x'.repeat(4_000)}`)));
    const outcomes = await Promise.allSettled(large);
    expect(elapsedMs()).toBeLessThan(1_500);
    expect(outcomes.some((outcome) => outcome.status === 'rejected')).toBe(true);
    reader.stdin.write('\n');
    const recorded = event('/after');
    while ((await audit.record(recorded).catch(() => 'refused')) === 'refused') await wait(10);
    await audit.close();
    await eventually(() => text.split('\n').at(-2) === JSON.stringify(recorded));
    reader.kill();
    await ended;
  });

  it('refuses at once when too many records wait', async () => {
    const audit = open(freshPath(), { maxPending: 2 });
    const outcomes = await Promise.allSettled([audit.record(event()), audit.record(event()), audit.record(event())]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    await audit.close();
  });

  it('tells nothing of the record in its refusal', async () => {
    const audit = open('/dev/full');
    const failure = await audit.record(event('/canary')).catch((error: unknown) => error);
    expect(String(failure)).toMatch(/ENOSPC/);
    expect(String(failure)).not.toContain('canary');
    await audit.close();
  });
});

describe('a buffered audit file', () => {
  it('does not wait for the disk, and loses nothing at close', async () => {
    const path = freshPath();
    const audit = open(path, { durability: 'buffered' });
    for (let index = 0; index < 100; index++) await audit.record(event());
    await audit.close();
    expect(await linesOf(path)).toHaveLength(100);
  });

  it('refuses like a strict one once a write has failed, and recovers', async () => {
    const path = freshPath();
    await symlink('/dev/full', path);
    const audit = open(path, { durability: 'buffered' });
    await audit.record(event());
    await wait(50);
    await expect(audit.record(event())).rejects.toMatchObject(unavailable);
    await rm(path);
    await appendFile(path, '');
    await audit.record(event());
    await audit.close();
    expect(await linesOf(path)).toHaveLength(1);
  });
});
