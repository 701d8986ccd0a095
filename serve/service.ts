import { availableParallelism } from 'node:os';
import { WebhookDelivery } from '../admin/background/deliver-webhooks.ts';
import { startAuditTrimming } from '../admin/background/trim-audits.ts';
import { bootstrap } from '../admin/bootstrap.ts';
import { type RunningAdmin, startAdmin } from '../admin/main.ts';
import { createAuthority } from '../certs/authority.ts';
import { AddressSet } from '../core/address.ts';
import { type Config, hideSecrets, type ListenAddress } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';
import type { Resolver } from '../proxy/connection/resolve.ts';
import type { ReadHttp } from '../proxy/http/client-message.ts';
import type { RunningProxy } from '../proxy/main.ts';
import type { Log } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { startOpsServer } from '../telemetry/ops-server.ts';
import type { RetentionLimits } from '../vault/audit/audit-retention.ts';
import { isRolledBack } from '../vault/guard/guarded-store.ts';
import { openSidecarStore } from '../vault/sidecar-store.ts';
import type { Store } from '../vault/store/store.ts';
import { StoreOwner } from '../vault/store/store-owner.ts';
import { Vault } from '../vault/vault.ts';
import { openApplicationCode } from './application-code.ts';
import { findProxyTls, startDataPlane } from './data-plane.ts';
import { keepFile } from './keep-file.ts';
import { tellOfRotation } from './rotation.ts';
import { openState } from './state.ts';
import { openStoreOf, redisSettings } from './store.ts';
import { writeTrustBundle } from './trust-bundle-file.ts';
import { openGuardedHttps } from './users.ts';
import { startWorkers, Workers } from './workers.ts';

export type Role = 'all' | 'proxy' | 'admin';

/** The proxies of this process hear of a rotation by themselves, its files and its workers' main process in this time. */
const reloadAuthorityEveryMs = 5_000;

export interface ServiceOptions {
  readonly config: Config;
  /** Null where the process opens one app only, or a service wraps the keys. */
  readonly rootKey: Uint8Array | null;
  readonly role: Role;
  readonly log: Log;
  /** The one of `config`, on its way already: closed with the service. Opened here, unless given. */
  readonly store?: Promise<Store>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly resolver?: Resolver;
  /** Of the data plane of this process: our own, unless given. For comparisons. */
  readonly readHttp?: ReadHttp;
}

export interface Service {
  /** PEM of what workloads have to trust at this moment. */
  readonly authorityPem: string;
  /** What the first start made; null on any later one. */
  readonly first: { readonly appId: string; readonly pat: string } | null;
  readonly proxy: RunningProxy | null;
  readonly adminUrl: string | null;
  readonly ops: ListenAddress;
  /** New connections get the certificates of `config`, where the listener speaks TLS already. Throws where they do not fit. */
  replaceTls(config: Config): void;
  /** Stops taking work, lets what is under way finish within ALTER_DRAIN_TIMEOUT, and writes the audit out. */
  drain(): Promise<void>;
  /** Lets go of everything at once. */
  close(): Promise<void>;
}

/** The composition root: opens the state, then starts the rooms that this role needs, and undoes all of it in reverse. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { role, log, clock } = options;
  const config = await withOwnAuthority(options.config, clock);
  requireRole(config, role);
  const undo: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const opened = await (options.store ?? openStoreOf(config, log));
    const count = role === 'admin' ? 1 : countWorkers(config);
    // A file has one owner: the workers use the store through this process.
    const owner = count > 1 && config.store.kind === 'sqlite' ? new StoreOwner(opened) : null;
    const state = await openState({ store: owner ?? opened, config, rootKey: options.rootKey, log, clock });
    undo.push(() => state.close());
    const { auditLog, auditFile, authorities } = state;
    const vault = state.vault instanceof Vault ? state.vault : null; // of a proxy that opens one app only: null
    const metrics = new Metrics({ processMetrics: true });

    if (vault !== null && role !== 'proxy') tellOfRotation(config, vault, log);

    // The token of the first start is handed out by the process that operators talk to: a proxy that is started before it,
    // as one of several pods, would issue it to nobody.
    const started =
      role === 'proxy' || vault === null
        ? null
        : await bootstrap({ vault, clock, audit: auditLog }).catch((error: unknown) => {
            // The operator who will say what to do needs this service; nothing else is answered until then.
            if (isRolledBack(error)) return null;
            throw error;
          });

    if (role !== 'proxy')
      vault?.apps
        .clearRemains()
        .catch((error: unknown) => log.warn('What is left of a deleted app could not be removed yet.', { error }));

    const listeners: ListenAddress[] = [];
    let proxy: RunningProxy | null = null;
    let workers: Workers | null = null;
    let listening = false;
    const ops = await startOpsServer({
      listen: config.opsListen,
      metrics: {
        contentType: metrics.contentType,
        render: async () => (workers === null ? metrics.render() : metrics.renderWith(await workers.measure())),
      },
      ready: () => (listening ? (proxy?.problems() ?? []) : ['starting']),
    });
    undo.push(() => ops.close());
    listeners.push(ops.address);

    let adminUrl: string | null = null;
    let admin: RunningAdmin | null = null;
    if (role !== 'proxy' && vault !== null) {
      const { fetch, post } = openGuardedHttps({
        config,
        isOwnAuthority: authorities.isOwn,
        ownListeners: () => (proxy === null ? listeners : [...listeners, proxy.address]),
        resolver: options.resolver,
      });
      const runtime = openApplicationCode({ vault, config, fetch, clock, log });
      undo.push(() => runtime.close());
      const auditRetention = retentionOf(config);
      const trimming = startAuditTrimming({ vault, audit: auditLog, limits: auditRetention, clock, log });
      undo.push(() => trimming.close());
      const starting = startAdmin({
        listen: config.adminListen,
        vault,
        audit: auditLog,
        ...(auditFile === null ? {} : { auditFile }),
        authority: config.caCert === null ? null : { certificatePem: config.caCert },
        clock,
        log,
        ...(adminTls(config) === null ? {} : { tls: adminTls(config)! }),
        hosts: config.adminHosts,
        allowAddresses: new AddressSet(config.allowAddresses),
        sidecarStore: openSidecarStore(
          config.store.kind === 'sqlite' ? 'sqlite:' : config.store.url,
          redisSettings(config),
        ),
        fetchHttps: fetch,
        postHttps: post,
        runtime,
        auditRetention,
      });
      admin = await orSayWhichListener('ALTER_ADMIN_LISTEN', config.adminListen, starting);
      const startedAdmin = admin;
      undo.push(() => startedAdmin.close());
      listeners.push(addressOf(admin.url));
      adminUrl = admin.url;
      const changes = { log: auditLog, file: auditFile };
      const delivery = new WebhookDelivery({ vault, audit: changes, postHttps: post, clock, log });
      undo.push(() => delivery.close());
    }
    if (role !== 'admin') {
      const starting =
        count > 1
          ? startWorkers({ config, count, rootKey: options.rootKey, log, owner, listeners })
          : startDataPlane({
              config,
              state,
              metrics,
              log,
              clock,
              ownListeners: () => listeners,
              ...(options.resolver === undefined ? {} : { resolver: options.resolver }),
              ...(options.readHttp === undefined ? {} : { readHttp: options.readHttp }),
            });
      proxy = await orSayWhichListener('ALTER_PROXY_LISTEN', config.proxyListen, starting);
      if (proxy instanceof Workers) workers = proxy;
      const running = proxy;
      undo.push(() => running.close());
    }
    const following = setInterval(() => void authorities.reload(), reloadAuthorityEveryMs).unref();
    undo.push(() => clearInterval(following));
    const { trustBundleFile } = config;
    if (role !== 'admin' && trustBundleFile !== null) {
      const kept = keepFile({
        text: () => authorities.trustPem(clock()),
        write: (pem) => writeTrustBundle(trustBundleFile, pem),
        log,
      });
      undo.push(() => kept.stop());
    }
    // A process that serves nothing else is not ready before it can answer; beside a proxy the first operator waits for it.
    if (role === 'admin') await admin?.load();
    listening = true;
    return {
      get authorityPem() {
        return authorities.trustPem(clock());
      },
      first: started?.accessToken === undefined ? null : { appId: started.appId, pat: started.accessToken.plaintext },
      proxy,
      adminUrl,
      ops: ops.address,
      replaceTls: (changed) => {
        const [forProxy, forAdmin] = [findProxyTls(changed), adminTls(changed)];
        if (forProxy !== null) proxy?.replaceTls(forProxy);
        if (forAdmin !== null) admin?.replaceTls(forAdmin);
      },
      drain: async () => {
        await proxy?.drain();
        await close();
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Throws `config_invalid`. */
function requireRole({ appKey }: Config, role: Role): void {
  if (appKey === null || role === 'proxy') return;
  const message = 'opens one app, so that the process can only be a proxy: start it with --role proxy';
  throw new AlterError('config_invalid', { problems: [{ field: 'ALTER_APP_KEY', message }] });
}

/**
 * With the key of one app there is no way to the authority in the store. One is made here, in memory, before the workers
 * start, since all of them must show the same.
 */
async function withOwnAuthority(config: Config, clock: () => number): Promise<Config> {
  if (config.appKey === null || config.caCert !== null) return config;
  const { certificatePem, privateKeyPem } = await createAuthority({ now: clock() });
  return hideSecrets({ ...config, caCert: certificatePem, caKey: privateKeyPem });
}

function retentionOf({ auditMaxAgeMs, auditMaxEvents }: Config): RetentionLimits {
  const maxAgeSeconds = auditMaxAgeMs === null ? null : auditMaxAgeMs / 1000;
  return { maxAgeSeconds, maxEvents: auditMaxEvents, requireExport: false };
}

function countWorkers({ workers }: Config): number {
  return workers === 'auto' ? availableParallelism() : workers;
}

function adminTls({ adminTlsCert, adminTlsKey }: Config): { readonly cert: string; readonly key: string } | null {
  return adminTlsCert === null || adminTlsKey === null ? null : { cert: adminTlsCert, key: adminTlsKey };
}

function addressOf(url: string): ListenAddress {
  const { hostname: host, port } = new URL(url);
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** A listener that can't be had is the configuration's fault, and is named. Throws `config_invalid`. */
async function orSayWhichListener<T>(setting: string, { host, port }: ListenAddress, starting: Promise<T>): Promise<T> {
  try {
    return await starting;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === undefined || !['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND'].includes(code)) throw cause;
    const why = code === 'EADDRINUSE' ? 'is taken by another program' : `can't be listened on (${code})`;
    throw new AlterError('config_invalid', {
      problems: [{ field: setting, message: `${host}:${port} ${why}` }],
      cause,
    });
  }
}
