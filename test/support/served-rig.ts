import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { verifyChain } from '../../vault/audit/audit-chain.ts';
import type { ReadAuditEvent } from '../../vault/audit/audit-reader.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { openStore } from '../../vault/store/store-url.ts';
import { openVault } from '../../vault/vault.ts';
import { compileCache } from './compile-cache.ts';
import { endWithUs } from './end-with-us.ts';
import { eventually } from './in-parallel.ts';
import type { Redis } from './redis.ts';
import { Sink, TestAuthority } from './sink.ts';
import { mustOpen, type OpenedTunnel } from './tunnel-client.ts';

export interface ServedRigOptions {
  /** The embedded one, unless given. */
  readonly redis?: Redis | null;
  /** More settings by their variable names. */
  readonly settings?: Readonly<Record<string, string>>;
  /** `ulimit -n` of the service. */
  readonly openFiles?: number;
  /** A command that is given the service to run in its own place. */
  readonly within?: readonly string[];
  /** Where upstreams' certificates come from; a fresh one, unless an upstream was started before the rig. */
  readonly authority?: TestAuthority;
}

const bin = resolve('dist/cli/bin.js');

/** The product as a process of its own, with a recording upstream `a.test` in the test's process. */
export class ServedRig {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  readonly sink: Sink;
  readonly directory: string;
  /** The whole environment of the service. */
  readonly env: Readonly<Record<string, string>>;
  stdout = '';
  stderr = '';
  #pat = '';
  #appId = '';
  /** Null on the embedded store, which has both in its directory. */
  #storeUrl: string | null = null;
  #rootKey: string | null = null;

  private constructor(child: ChildProcess, sink: Sink, directory: string, env: Readonly<Record<string, string>>) {
    this.child = child;
    this.env = env;
    this.sink = sink;
    this.directory = directory;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exit = new Promise((done) => child.once('close', done));
  }

  static async open({ settings, openFiles, redis, within = [], ...given }: ServedRigOptions = {}): Promise<ServedRig> {
    const authority = given.authority ?? (await TestAuthority.create());
    const sink = await Sink.open({ authority, host: 'a.test' });
    const directory = mkdtempSync(join(tmpdir(), 'alter-served-'));
    const rootKey = randomBytes(32).toString('base64');
    const rootKeyFile = join(directory, 'root.key');
    if (redis) writeFileSync(rootKeyFile, rootKey, { mode: 0o600 });
    const env = {
      PATH: '/usr/bin:/bin',
      ...compileCache,
      ALTER_PROXY_LISTEN: '127.0.0.1:0',
      ALTER_ADMIN_LISTEN: '127.0.0.1:0',
      ALTER_OPS_LISTEN: '127.0.0.1:0',
      ALTER_HOSTS: 'a.test=127.0.0.1',
      ALTER_ALLOW_ADDRESSES: `127.0.0.1:${sink.port}`,
      ALTER_UPSTREAM_CA: authority.material.certificatePem,
      ...(redis ? { ALTER_STORE_URL: redis.url, ALTER_ROOT_KEY_FILE: rootKeyFile } : {}),
      ...settings,
    };
    const limit = openFiles === undefined ? '' : `ulimit -n ${openFiles}; `;
    const child = spawn('/bin/sh', ['-c', `${limit}exec "$0" "$@"`, ...within, process.execPath, bin, 'serve'], {
      cwd: directory,
      env,
      stdio: 'pipe',
    });
    endWithUs(child);
    const rig = new ServedRig(child, sink, directory, env);
    if (redis) [rig.#storeUrl, rig.#rootKey] = [redis.url, rootKey];
    try {
      await eventually(() => rig.stdout.includes('alter audit list') || child.exitCode !== null);
      if (child.exitCode !== null) throw new Error(`the service did not start: ${rig.stderr}${rig.stdout}`);
      const operator = rig.read('operator.env');
      rig.#pat = /ALTER_PAT=(\S+)/.exec(operator)![1]!;
      rig.#appId = /ALTER_APP_ID=(\S+)/.exec(operator)![1]!;
    } catch (error) {
      await rig.close();
      throw error;
    }
    return rig;
  }

  /** A file of the data directory. */
  read(name: string): string {
    return readFileSync(join(this.directory, '.alter', name), 'utf8');
  }

  get proxyPort(): number {
    return Number(/^ {2}proxy {2}https?:\/\/127\.0\.0\.1:(\d+)$/m.exec(this.stdout)![1]);
  }

  get adminUrl(): string {
    return /^ {2}admin {2}(\S+)/m.exec(this.stdout)![1]!;
  }

  get pat(): string {
    return this.#pat;
  }

  get appId(): string {
    return this.#appId;
  }

  get target(): string {
    return `a.test:${this.sink.port}`;
  }

  async ops(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const [, base] = /^ {2}ops {4}(http:\S+)/m.exec(this.stdout)!;
    const response = await fetch(`${base}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** The sum of all series of one metric. */
  async metric(name: string): Promise<number> {
    const lines = (await this.ops('/metrics')).text.split('\n').filter((line) => line.split(/[ {]/)[0] === name);
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  async admin<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.adminUrl}/v1/apps/${this.#appId}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#pat}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? null : JSON.parse(text)) as T;
  }

  async storeSecret(): Promise<{ readonly id: string; readonly grantId: string; readonly canary: string }> {
    const canary = `canary-${randomBytes(18).toString('hex')}`;
    const body = { name: `secret ${canary.slice(7, 15)}`, credential_value: canary };
    const made = await this.admin<{ id: string; grant_id: string }>('POST', '/managed-secrets', body);
    await this.admin('PUT', `/managed-secrets/${made.id}/allowed-hosts`, { hosts: [this.target] });
    return { id: made.id, grantId: made.grant_id, canary };
  }

  mintKey(body: Record<string, unknown> = {}): Promise<{ readonly id: string; readonly key: string }> {
    return this.admin('POST', '/keys', { name: 'test', scopes: ['proxy:execute'], ...body });
  }

  /** Another proxy process on the same store, which ends with the tests or by `kill`. */
  async startProxyBeside(
    settings: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly child: ChildProcess; readonly port: number }> {
    const cwd = mkdtempSync(join(this.directory, 'beside-'));
    const env = { ...this.env, ...settings };
    const child = endWithUs(spawn(process.execPath, [bin, 'serve', '--role', 'proxy'], { cwd, env, stdio: 'pipe' }));
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
      });
    const port = () => /^ {2}proxy {2}https?:\/\/127\.0\.0\.1:(\d+)$/m.exec(printed)?.[1];
    await eventually(() => (port() !== undefined && printed.includes('  ops ')) || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(`the proxy did not start: ${printed}`);
    return { child, port: Number(port()) };
  }

  openTunnel(key: string, user = 'x'): Promise<Extract<OpenedTunnel, { kind: 'open' }>> {
    const { proxyPort, target } = this;
    return mustOpen({ proxyPort, target, key, user, serverName: 'a.test', ca: this.read('ca.pem') });
  }

  /** The audit of the app as it stands in the store, after the service has ended: proof that its chains are whole, and its events. */
  async readAuditAtRest(): Promise<{ readonly chains: number; readonly events: readonly ReadAuditEvent[] }> {
    const store = await openStore(this.#storeUrl ?? `sqlite:${join(this.directory, '.alter', 'alter.db')}`);
    try {
      const entries = await store.readAudit({ space: this.#appId, limit: 100_000 });
      const verdict = verifyChain(entries, { space: this.#appId });
      if (verdict.kind !== 'intact') throw new Error(`the audit is broken: ${JSON.stringify(verdict)}`);
      const rootKey = Buffer.from(this.#rootKey ?? this.read('root.key').trim(), 'base64');
      const vault = await openVault({ store, kms: openLocalKms({ rootKey }), clock: Date.now });
      const { events } = await (await vault.app(this.#appId)).audit.list({ order: 'ascending', limit: 1_000 });
      return { chains: verdict.heads.size, events };
    } finally {
      await store.close();
    }
  }

  async close(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
    await this.sink.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
