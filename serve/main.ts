import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findAddressRange } from '../core/address.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import { AlterError, toAlterError } from '../core/errors.ts';
import { nodeVersionProblem } from '../core/node-version.ts';
import type { ReadHttp } from '../proxy/http/client-message.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { StoreUnavailable } from '../vault/store/store.ts';
import { dataDirectory, openRootKey, writeWhole } from './data-directory.ts';
import { type EchoUpstream, echoHost, startEchoUpstream } from './echo-upstream.ts';
import { firstSteps } from './first-steps.ts';
import { keepFile } from './keep-file.ts';
import { endOnSurprise } from './last-words.ts';
import { followCertificates } from './reload.ts';
import type { Role, Service, ServiceOptions } from './service.ts';
import { loadConfig } from './settings.ts';
import { openStoreOf } from './store.ts';
import { closeDebugger, findUnsafeRuntime } from './unsafe-runtime.ts';

export interface ServeOptions {
  readonly role: Role | 'injector';
  /** Path of a YAML file with settings. */
  readonly config: string | undefined;
  /** Also starts a local TLS upstream that echoes, for a first try. */
  readonly withEcho: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** As in `ServiceOptions`. */
  readonly readHttp?: ReadHttp;
}

const echoPort = 8443;

/** Runs until it is told to stop. Resolves with the exit code: 0 after a drain, 2 for a configuration that is not valid. */
export async function serve(options: ServeOptions): Promise<number> {
  const { role } = options;
  if (role === 'injector') return serveInjector(options);
  const stop = new StopSignal();
  let echo: EchoUpstream | null = null;
  let service: Service;
  let certificates: { stop(): void };
  let trust: { stop(): void };
  try {
    refuseUnsafeRuntime(options.env);
    let config = await loadConfig(options.env, options.config);
    const log = createLog({ level: config.logLevel });
    endOnSurprise(log);
    if (options.withEcho) {
      echo = await openEcho();
      config = withEcho(config, echo);
    }
    const { readHttp } = options;
    service = await startBehindStore({
      ...{ config, rootKey: openRootKey(config), role, log, clock: Date.now },
      ...(readHttp === undefined ? {} : { readHttp }),
    });
    trust = keepAuthorityFile(config, service, log);
    announce(config, service, echo, role);
    const load = (): Promise<Config> => loadConfig(options.env, options.config);
    certificates = followCertificates({ config, load, service, log });
  } catch (error) {
    await echo?.close();
    stop.release();
    return report(error);
  }

  await stop.first;
  certificates.stop();
  trust.stop();
  process.stderr.write('Stopping: requests under way may finish. A second signal ends them.\n');
  const code = await Promise.race([service.drain().then(() => 0), stop.second.then(() => 1)]);
  await echo?.close();
  stop.release();
  if (code !== 0) process.exit(code); // whatever still runs was told twice to end
  return code;
}

/** A store opens in a thread of its own, or over the network: meanwhile the rest of the service is loaded. */
async function startBehindStore(options: ServiceOptions): Promise<Service> {
  const store = openStoreOf(options.config, options.log);
  store.catch(() => {}); // told of below, where it is waited for
  try {
    const { startService } = await import('./service.ts');
    return await startService({ ...options, store });
  } catch (error) {
    await store.then(
      (opened) => opened.close(),
      () => {},
    );
    throw error;
  }
}

/** The injector holds nothing that the other roles have: no store, no key, no authority that workloads trust. */
async function serveInjector(options: ServeOptions): Promise<number> {
  const stop = new StopSignal();
  try {
    refuseUnsafeRuntime(options.env);
    const load = (): Promise<Config> => loadConfig(options.env, options.config);
    const config = await load();
    const log = createLog({ level: config.logLevel });
    endOnSurprise(log);
    const { startInjectorService } = await import('./injector.ts');
    const service = await startInjectorService({ config, env: options.env, log, clock: Date.now });
    const certificates = followCertificates({ config, load, service, log });
    process.stdout.write(
      `The injector is ready.\n\n  webhook  https://${authorityOf(service.address)}/inject\n  ops      http://${authorityOf(service.ops)} (/livez /readyz /metrics)\n`,
    );
    await stop.first;
    certificates.stop();
    await service.close();
    stop.release();
    return 0;
  } catch (error) {
    stop.release();
    return report(error);
  }
}

/** SIGTERM and SIGINT, the first and the second of them. */
class StopSignal {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  readonly release: () => void;

  constructor() {
    let told = 0;
    const tell: (() => void)[] = [];
    this.first = new Promise((resolve) => tell.push(resolve));
    this.second = new Promise((resolve) => tell.push(resolve));
    const onSignal = (): void => tell[told++]?.();
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    this.release = () => void process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
  }
}

function refuseUnsafeRuntime(env: ServeOptions['env']): void {
  const version = nodeVersionProblem(process.version);
  if (version !== null)
    throw new AlterError('config_invalid', { detail: version, problems: [{ field: 'node', message: version }] });
  const problems = [...closeDebugger(), ...findUnsafeRuntime({ env, execArgv: process.execArgv })];
  if (problems.length > 0)
    throw new AlterError('config_invalid', { detail: 'Node is started in a way that leaks credentials.', problems });
}

async function openEcho(): Promise<EchoUpstream> {
  const onRequest = (request: { method: string; path: string; headers: readonly string[] }): void => {
    const lines = [`echo upstream received ${request.method} ${request.path}`];
    for (let i = 0; i < request.headers.length; i += 2)
      lines.push(`    ${request.headers[i]}: ${request.headers[i + 1]}`);
    process.stdout.write(`${lines.join('\n')}\n`);
  };
  for (const port of [echoPort, 0]) {
    try {
      return await startEchoUpstream({ port, now: Date.now(), onRequest });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port === 0) throw error;
    }
  }
  throw new AlterError('internal_error');
}

/** The echo upstream is on loopback, under a name that no DNS knows, with a certificate that no system trusts. */
function withEcho(config: Config, echo: EchoUpstream): Config {
  return {
    ...config,
    hosts: new Map([...config.hosts, [echoHost, '127.0.0.1']]),
    allowAddresses: [...config.allowAddresses, findAddressRange(`127.0.0.1:${echo.port}`)!],
    upstreamCa: [config.upstreamCa, echo.authorityPem].filter((pem) => pem !== null).join('\n'),
  };
}

/** A sidecar needs no place to write to but the one for its bundle. */
function keepAuthorityFile(config: Config, service: Service, log: Log): { stop(): void } {
  if (config.appKey !== null) return { stop: () => {} };
  const path = join(dataDirectory(config), 'ca.pem');
  return keepFile({ text: () => service.authorityPem, write: (pem) => writeWhole(path, pem, 0o644), log });
}

function announce(config: Config, service: Service, echo: EchoUpstream | null, role: Role): void {
  const directory = dataDirectory(config);
  const proxyUrl = service.proxy === null ? null : proxyUrlOf(config, service.proxy.address);
  if (service.first !== null && service.adminUrl !== null) {
    const { appId, pat } = service.first;
    const env = [`export ALTER_ADMIN_URL=${service.adminUrl} ALTER_PAT=${pat} ALTER_APP_ID=${appId}`];
    if (proxyUrl !== null) env.push(`export ALTER_PROXY_URL=${proxyUrl}`); // for `alter run` and `alter env`
    writeWhole(join(directory, 'operator.env'), `${env.join('\n')}\n`, 0o600);
  }
  const lines: string[] = [];
  if (proxyUrl !== null) lines.push(`proxy  ${proxyUrl}`);
  if (service.adminUrl !== null) lines.push(`admin  ${service.adminUrl}`);
  lines.push(`ops    http://${authorityOf(service.ops)} (/livez /readyz /metrics)`);
  if (echo !== null)
    lines.push(`echo   https://${echoHost}:${echo.port} (a local upstream that shows here what it receives)`);
  if (config.appKey === null)
    lines.push(`state  ${directory} (operator.env signs the alter command in; ca.pem is what clients must trust)`);
  else lines.push(`app    ${config.appKey.appId}, and no other`);
  if (role !== 'admin' && config.trustBundleFile !== null)
    lines.push(`trust  ${config.trustBundleFile} (what workloads must trust)`);
  process.stdout.write(`Alter Egress is ready.\n\n${lines.map((line) => `  ${line}\n`).join('')}`);
  if (role === 'all' && proxyUrl !== null) {
    const steps = {
      dataDirectory: directory,
      workingDirectory: process.cwd(),
      commandDirectory: findCommandDirectory(),
      proxyUrl,
      echoPort: echo?.port ?? null,
    };
    process.stdout.write(firstSteps(steps));
  }
}

/** In a clone, the command is linked into node_modules; an installed package has it on the PATH. */
function findCommandDirectory(): string | null {
  const here = dirname(fileURLToPath(import.meta.url));
  for (const root of [resolve(here, '..'), resolve(here, '../..')]) {
    const directory = join(root, 'node_modules/.bin');
    if (existsSync(join(directory, 'alter'))) return directory;
  }
  return null;
}

function proxyUrlOf(config: Config, address: ListenAddress): string {
  return `${config.proxyTlsCert === null ? 'http' : 'https'}://${authorityOf(address)}`;
}

function authorityOf({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function report(error: unknown): number {
  const known = toStartError(error);
  const said = known.code === 'internal_error' ? String((error as Error).message) : known.detail;
  process.stderr.write(`Error: ${said}\n`);
  for (const problem of known.problems ?? []) process.stderr.write(`  ${problem.field} ${problem.message}\n`);
  process.stderr.write(`Hint: ${known.hint}\n`);
  return known.code === 'config_invalid' ? 2 : 1;
}

/** At the start there is no request whose log line could say more, so the hint has to. */
function toStartError(error: unknown): AlterError {
  if (!(error instanceof StoreUnavailable)) return toAlterError(error);
  return new AlterError('state_unavailable', {
    detail: `The service did not start: ${error.message}.`,
    hint: 'Check ALTER_STORE_URL, and that the store is running. An embedded store belongs to one process at a time: end the other one, or give this one a store of its own.',
    cause: error,
  });
}
