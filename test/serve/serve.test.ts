import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { compileCache } from '../support/compile-cache.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/in-parallel.ts';

const bin = resolve('dist/cli/bin.js');
const anyPorts = {
  ALTER_PROXY_LISTEN: '127.0.0.1:0',
  ALTER_ADMIN_LISTEN: '127.0.0.1:0',
  ALTER_OPS_LISTEN: '127.0.0.1:0',
};

/** A real `alter serve`. */
class Served {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;

  constructor(directory: string, env: Record<string, string>, options: { words?: string[]; node?: string[] } = {}) {
    this.child = spawn(process.execPath, [...(options.node ?? []), bin, 'serve', ...(options.words ?? [])], {
      cwd: directory,
      env: { PATH: '/usr/bin:/bin', ...compileCache, ...env },
      stdio: 'pipe',
    });
    endWithUs(this.child);
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exit = new Promise((done) => this.child.once('close', done));
  }

  ready(): Promise<void> {
    return eventually(() => this.stdout.includes('alter audit list') || this.child.exitCode !== null);
  }
}

describe('alter serve', () => {
  let directory: string;
  const running: Served[] = [];
  const serve = (env: Record<string, string>, options: { words?: string[]; node?: string[] } = {}): Served => {
    const served = new Served(directory, env, options);
    running.push(served);
    return served;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'alter-serve-'));
  });
  afterEach(async () => {
    for (const served of running.splice(0)) {
      served.child.kill('SIGKILL');
      await served.exit;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  it('makes root key, CA, app and PAT on its first start, keeps them to itself, and keeps them on the next', async () => {
    const first = serve(anyPorts);
    await first.ready();
    const read = (name: string): string => readFileSync(join(directory, '.alter', name), 'utf8');
    expect(read('operator.env')).toMatch(
      /^export ALTER_ADMIN_URL=http:\/\/127\.0\.0\.1:\d+ ALTER_PAT=alter_pat_\w{65} ALTER_APP_ID=[0-9a-f-]{36}\n/,
    );
    expect(read('ca.pem')).toMatch(/^-----BEGIN CERTIFICATE-----/);
    for (const name of ['operator.env', 'root.key', 'alter.db'])
      expect(statSync(join(directory, '.alter', name)).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, '.alter')).mode & 0o777).toBe(0o700);
    expect(first.stdout + first.stderr).not.toMatch(/alter_pat_\w{20}/);
    const before = [read('operator.env'), read('ca.pem'), read('root.key')];
    first.child.kill('SIGTERM');
    expect(await first.exit).toBe(0);

    const second = serve(anyPorts);
    await second.ready();
    expect([read('operator.env'), read('ca.pem'), read('root.key')]).toEqual(before);
  });

  it('says that another process owns the store, and leaves that one alone', async () => {
    const first = serve(anyPorts);
    await first.ready();
    const second = serve(anyPorts);
    expect(await second.exit).toBe(1);
    expect(second.stderr).toContain(String(first.child.pid));
    expect(second.stderr).toMatch(/^Error: .*\nHint: /s);
    expect(first.child.exitCode).toBeNull();
  });

  it('refuses a configuration with every problem by name, exit code 2, and starts nothing', async () => {
    const served = serve({
      ...anyPorts,
      ALTER_EGRESS_MODE: 'maybe',
      ALTER_MAX_HEADERS: '-1',
      ALTER_PROXY_LISEN: 'x',
      ALTER_ROOT_KEY_FILE: '/nowhere',
    });
    expect(await served.exit).toBe(2);
    for (const name of ['ALTER_EGRESS_MODE', 'ALTER_MAX_HEADERS', 'ALTER_PROXY_LISEN', 'ALTER_ROOT_KEY_FILE'])
      expect(served.stderr).toContain(`  ${name} `);
    expect(existsSync(join(directory, '.alter'))).toBe(false);
  });

  it.each([
    [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, [], 'NODE_TLS_REJECT_UNAUTHORIZED'],
    [{ NODE_DEBUG: 'timers,http' }, [], 'NODE_DEBUG'],
    [{ NODE_OPTIONS: '--insecure-http-parser' }, [], 'NODE_OPTIONS'],
    [{ SSLKEYLOGFILE: '/tmp/keys' }, [], 'SSLKEYLOGFILE'],
    [{}, ['--tls-keylog=/dev/null'], 'the options of node'],
    [{}, ['--inspect=127.0.0.1:0'], 'the options of node'],
  ] as [Record<string, string>, string[], string][])(
    'refuses to run where credentials would leak: %j %j',
    async (env, node, name) => {
      const served = serve({ ...anyPorts, ...env }, { node });
      expect(await served.exit).toBe(2);
      expect(served.stderr).toContain(`  ${name} `);
    },
  );

  it('refuses to make a new root key for a store that has one already', async () => {
    const first = serve(anyPorts);
    await first.ready();
    first.child.kill('SIGTERM');
    await first.exit;
    rmSync(join(directory, '.alter/root.key'));
    const second = serve(anyPorts);
    expect(await second.exit).toBe(2);
    expect(second.stderr).toContain('root.key');
    const third = serve({ ...anyPorts, ALTER_ROOT_KEY: Buffer.alloc(32, 1).toString('base64') });
    expect(await third.exit).toBe(1);
    expect(third.stderr).toContain('ALTER_ROOT_KEY');
  });

  it('says what to do where the store can not be reached, with exit code 1', async () => {
    const rootKey = Buffer.alloc(32, 1).toString('base64');
    const served = serve({ ...anyPorts, ALTER_STORE_URL: 'redis://user:hunter2@127.0.0.1:9', ALTER_ROOT_KEY: rootKey });
    expect(await served.exit).toBe(1);
    expect(served.stderr).toMatch(
      /^Error: The service did not start: .*127\.0\.0\.1:9.*\nHint: Check ALTER_STORE_URL/s,
    );
    expect(served.stderr).not.toMatch(/request_id|hunter2/);
  });

  it.each([
    ['with --disable-sigusr1, as npm start, the image and the unit start it', ['--disable-sigusr1']],
    ['however it is started', []],
  ])('opens no debugger on SIGUSR1 %s', async (_, node) => {
    const served = serve(anyPorts, { node });
    await served.ready();
    served.child.kill('SIGUSR1');
    await new Promise((done) => setTimeout(done, 300));
    expect(served.child.exitCode).toBeNull();
    served.child.kill('SIGTERM');
    await served.exit;
    expect(served.stdout).toContain('Alter Egress is ready.');
    expect(served.stderr).not.toContain('Debugger listening');
  });

  it('says which listener is taken', async () => {
    const first = serve(anyPorts);
    await first.ready();
    const taken = /proxy {2}http:\/\/(\S+)/.exec(first.stdout)![1]!;
    const { mkdirSync } = await import('node:fs');
    mkdirSync(join(directory, 'other'));
    const second = serve({ ...anyPorts, ALTER_STORE_URL: 'sqlite:other/alter.db', ALTER_PROXY_LISTEN: taken });
    expect(await second.exit).toBe(2);
    expect(second.stderr).toContain('ALTER_PROXY_LISTEN');
    const third = serve({ ...anyPorts, ALTER_STORE_URL: 'sqlite:other/alter.db', ALTER_ADMIN_LISTEN: taken });
    expect(await third.exit).toBe(2);
    expect(third.stderr).toContain('ALTER_ADMIN_LISTEN');
  });

  it('refuses a wrong flag in one line', async () => {
    const served = serve({}, { words: ['--rolle', 'all'] });
    expect(await served.exit).toBe(2);
    expect(served.stderr.trim().split('\n').length).toBeLessThanOrEqual(3);
    expect(served.stderr).toContain('--rolle');
  });
});
