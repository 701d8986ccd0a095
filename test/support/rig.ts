import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { parseConfig } from '../../core/config.ts';
import type { Resolver } from '../../proxy/connection/resolve.ts';
import type { ReadHttp } from '../../proxy/http/client-message.ts';
import { type Role, type Service, startService } from '../../serve/service.ts';
import { createLog } from '../../telemetry/log.ts';
import type { Redis } from './redis.ts';
import { Sink, TestAuthority } from './sink.ts';

export type StoreKind = 'sqlite' | 'redis';
export const storeKinds: readonly StoreKind[] = ['sqlite', 'redis'];

export interface RigOptions {
  readonly store?: StoreKind;
  /** More settings by their variable names. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly resolver?: Resolver;
  readonly readHttp?: ReadHttp;
  /** Names of recording upstreams to start; each gets a port of its own. */
  readonly sinks?: readonly string[];
  /** Ports on loopback that may be dialled although nothing of the rig listens there. */
  readonly alsoAllow?: string;
  /** Names that resolve to loopback besides those of the sinks. */
  readonly alsoResolve?: readonly string[];
  /** Where upstreams' certificates come from; a fresh one, unless an upstream was started before the rig. */
  readonly authority?: TestAuthority;
  readonly clock?: () => number;
  /** Of a rig before, whose backup is to be restored. */
  readonly rootKey?: Buffer;
}

export interface StoredSecret {
  readonly id: string;
  readonly slug: string;
  readonly grantId: string;
  /** A value that occurs nowhere else. */
  readonly canary: string;
}

/** The whole product on free ports: real proxy, real admin service, real store, real TLS upstreams. */
export class Rig {
  service: Service;
  readonly directory: string;
  readonly authority: TestAuthority;
  readonly pat: string;
  readonly appId: string;
  readonly redis: Redis | null;
  readonly rootKey: Buffer;
  readonly #sinks: ReadonlyMap<string, Sink>;
  readonly #log: Buffer[];
  readonly #start: (role?: Role, settings?: Readonly<Record<string, string>>) => Promise<Service>;
  /** Every credential and key that was made here. */
  readonly canaries: string[] = [];

  private constructor(of: {
    service: Service;
    start: (role?: Role, settings?: Readonly<Record<string, string>>) => Promise<Service>;
    directory: string;
    authority: TestAuthority;
    sinks: ReadonlyMap<string, Sink>;
    log: Buffer[];
    redis: Redis | null;
    rootKey: Buffer;
  }) {
    this.service = of.service;
    this.#start = of.start;
    this.directory = of.directory;
    this.authority = of.authority;
    this.redis = of.redis;
    this.rootKey = of.rootKey;
    this.#sinks = of.sinks;
    this.#log = of.log;
    this.pat = of.service.first!.pat;
    this.appId = of.service.first!.appId;
    this.canaries.push(this.pat);
  }

  static async open(options: RigOptions = {}): Promise<Rig> {
    const directory = await mkdtemp(join(tmpdir(), 'alter-rig-'));
    const redis = options.store === 'redis' ? await (await import('./redis.ts')).startRedis() : null;
    const authority = options.authority ?? (await TestAuthority.create());
    const sinks = new Map<string, Sink>();
    for (const host of options.sinks ?? ['a.test']) sinks.set(host, await Sink.open({ authority, host }));
    const rootKey = options.rootKey ?? randomBytes(32);
    const whole = {
      ALTER_STORE_URL: redis === null ? `sqlite:${join(directory, 'alter.db')}` : redis.url,
      ALTER_ROOT_KEY: rootKey.toString('base64'),
      ALTER_PROXY_LISTEN: '127.0.0.1:0',
      ALTER_ADMIN_LISTEN: '127.0.0.1:0',
      ALTER_OPS_LISTEN: '127.0.0.1:0',
      ALTER_HOSTS: [...sinks.keys(), ...(options.alsoResolve ?? [])].map((host) => `${host}=127.0.0.1`).join(','),
      ALTER_ALLOW_ADDRESSES: [
        ...[...sinks.values()].map((sink) => `127.0.0.1:${sink.port}`),
        ...(options.alsoAllow === undefined ? [] : [options.alsoAllow]),
      ].join(','),
      ALTER_UPSTREAM_CA: authority.material.certificatePem,
      ALTER_LOG_LEVEL: 'debug',
      ...options.settings,
    };
    const log: Buffer[] = [];
    const stream = new PassThrough();
    stream.on('data', (chunk: Buffer) => log.push(chunk));
    const start = (role: Role = 'all', settings: Readonly<Record<string, string>> = {}): Promise<Service> => {
      const config = parseConfig({ ...whole, ...settings });
      return startService({
        config,
        rootKey,
        role,
        log: createLog({ level: config.logLevel, stream }),
        clock: options.clock ?? Date.now,
        ...(options.resolver === undefined ? {} : { resolver: options.resolver }),
        ...(options.readHttp === undefined ? {} : { readHttp: options.readHttp }),
      });
    };
    const service = await start().catch(async (error: unknown) => {
      for (const sink of sinks.values()) await sink.close();
      await redis?.stop();
      await rm(directory, { recursive: true, force: true });
      throw error;
    });
    await writeFile(join(directory, 'ca.pem'), service.authorityPem);
    return new Rig({ service, start, rootKey, directory, authority, sinks, log, redis });
  }

  sink(host = 'a.test'): Sink {
    const sink = this.#sinks.get(host);
    if (sink === undefined) throw new Error(`the rig has no sink ${host}`);
    return sink;
  }

  /** `host:port` of a sink, as it stands in a CONNECT. */
  authorityOf(host = 'a.test'): string {
    return `${host}:${this.sink(host).port}`;
  }

  get proxyPort(): number {
    return this.service.proxy!.address.port;
  }

  get caFile(): string {
    return join(this.directory, 'ca.pem');
  }

  get logText(): string {
    return Buffer.concat(this.#log).toString();
  }

  /** Calls the admin API as an operator. Throws on any status but the expected ones. */
  async admin<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    expected: readonly number[] = [200, 201, 204],
  ): Promise<T> {
    const response = await fetch(
      `${this.service.adminUrl}${path.startsWith('/v1') ? path : `/v1/apps/${this.appId}${path}`}`,
      {
        method,
        headers: {
          authorization: `Bearer ${this.pat}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      },
    );
    const text = await response.text();
    if (!expected.includes(response.status)) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? null : JSON.parse(text)) as T;
  }

  /** A secret with a fresh canary, a base grant, and these allowed hosts. */
  async storeSecret(options: {
    readonly hosts: readonly string[];
    readonly name?: string;
    readonly body?: Record<string, unknown>;
  }): Promise<StoredSecret> {
    const canary = `canary-${randomBytes(18).toString('hex')}`;
    this.canaries.push(canary);
    const made = await this.admin<{ id: string; slug: string; grant_id: string }>('POST', '/managed-secrets', {
      name: options.name ?? `secret ${canary.slice(7, 15)}`,
      ...(options.body?.credentials === undefined ? { credential_value: canary } : {}),
      ...options.body,
    });
    if (options.hosts.length > 0)
      await this.admin('PUT', `/managed-secrets/${made.id}/allowed-hosts`, { hosts: options.hosts });
    return { id: made.id, slug: made.slug, grantId: made.grant_id, canary };
  }

  async mintKey(body: Record<string, unknown> = {}): Promise<{ readonly id: string; readonly key: string }> {
    const made = await this.admin<{ id: string; key: string }>('POST', '/keys', {
      name: 'test',
      scopes: ['proxy:execute'],
      ...body,
    });
    this.canaries.push(made.key);
    return made;
  }

  /** A real curl through the proxy. `user` is the user name of the proxy URL. */
  curl(
    args: readonly string[],
    proxy: { readonly key: string; readonly user?: string },
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    return run('curl', ['-sS', '--max-time', '60', '--cacert', this.caFile, ...args], {
      PATH: process.env.PATH ?? '',
      HTTPS_PROXY: `http://${proxy.user ?? 'x'}:${proxy.key}@127.0.0.1:${this.proxyPort}`,
    });
  }

  /** Another service on the same store, to be closed by whoever started it. */
  startBeside(role: Role, settings: Readonly<Record<string, string>> = {}): Promise<Service> {
    return this.#start(role, settings);
  }

  /** Ends the service and starts it again, on other ports. `between` has the store to itself. */
  async restart(between: () => Promise<void> | void = () => {}): Promise<void> {
    await this.service.close();
    await between();
    this.service = await this.#start();
  }

  async close(): Promise<void> {
    await this.service.close();
    for (const sink of this.#sinks.values()) await sink.close();
    await this.redis?.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Runs a program to its end and collects what it printed. */
export function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input?: string,
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { env, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    child.stdin.end(input);
  });
}
