import { hostname } from 'node:os';
import { bootstrap } from '../admin/bootstrap.ts';
import { startAdmin } from '../admin/main.ts';
import { type AuthorityMaterial, createAuthority, openAuthority } from '../certs/authority.ts';
import { LeafCache } from '../certs/leaf-cache.ts';
import { AddressSet } from '../core/address.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';
import { type RunningProxy, startProxy } from '../proxy/main.ts';
import type { Resolver } from '../proxy/resolve.ts';
import type { ServerTlsMaterial } from '../proxy/server-tls.ts';
import { AuditFile } from '../telemetry/audit-file.ts';
import type { Log } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { startOpsServer } from '../telemetry/ops-server.ts';
import { AuditLog } from '../vault/audit-log.ts';
import { openLocalKms } from '../vault/kms-local.ts';
import { ReadModel } from '../vault/read-model.ts';
import { openStore } from '../vault/store-url.ts';
import { openVault, type Vault } from '../vault/vault.ts';
import { openGuardedFetch, openUsers } from './users.ts';

export type Role = 'all' | 'proxy' | 'admin';

export interface ServiceOptions {
  readonly config: Config;
  readonly rootKey: Uint8Array;
  readonly role: Role;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly resolver?: Resolver;
}

export interface Service {
  readonly authorityPem: string;
  /** What the first start made; null on any later one. */
  readonly first: { readonly appId: string; readonly pat: string } | null;
  readonly proxy: RunningProxy | null;
  readonly adminUrl: string | null;
  readonly ops: ListenAddress;
  /** Stops taking work, lets what is under way finish within ALTER_DRAIN_TIMEOUT, and writes the audit out. */
  drain(): Promise<void>;
  /** Lets go of everything at once. */
  close(): Promise<void>;
}

/** How many hosts the proxy keeps a certificate for at a time. */
const maxLeaves = 10_000;
const auditTimeoutMs = 2_000;
const maxPendingRecords = 10_000;

/** The composition root: opens the state, then starts the rooms that this role needs, and undoes all of it in reverse. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { config, role, log, clock } = options;
  const undo: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const store = await openStore(config.store.kind === 'sqlite' ? `sqlite:${config.store.path}` : config.store.url);
    undo.push(() => store.close());
    const vault = await openVault({ store, kms: openLocalKms({ rootKey: options.rootKey }), clock });
    const authority = openAuthority({ ...(await findAuthority(config, vault, clock)), now: clock() });

    const metrics = new Metrics({ processMetrics: true });
    const auditLog = new AuditLog({
      vault,
      writer: `${hostname()}:${process.pid}`,
      mode: config.audit,
      onError: (error) => log.error('An audit record could not be written.', { error }),
    });
    undo.push(() => auditLog.close());
    const auditFile =
      config.auditFile === null
        ? null
        : new AuditFile({
            path: config.auditFile,
            durability: config.audit,
            timeoutMs: auditTimeoutMs,
            maxPending: maxPendingRecords,
          });
    if (auditFile !== null) undo.push(() => auditFile.close());

    const started = await bootstrap({ vault, clock, audit: auditLog });

    const listeners: ListenAddress[] = [];
    let proxy: RunningProxy | null = null;
    const ops = await startOpsServer({
      listen: config.opsListen,
      metrics,
      ready: () => (proxy?.draining() ? ['draining'] : []),
    });
    undo.push(() => ops.close());
    listeners.push(ops.address);

    const model = new ReadModel({
      vault,
      maxStalenessMs: config.maxStalenessMs,
      onInvalid: (record) => {
        metrics.countSecurityEvent('record_rejected');
        log.error('A stored record was rejected.', {
          code: 'state_invalid',
          app_id: record.appId,
          record_type: record.type,
          record_id: record.id,
        });
      },
    });
    undo.push(() => model.close());
    const fetchHttps = openGuardedFetch({
      config,
      authorityPem: authority.certificatePem,
      ownListeners: () => (proxy === null ? listeners : [...listeners, proxy.address]),
      resolver: options.resolver,
    });
    const users = openUsers({ model, vault, fetch: fetchHttps, clock, log });
    undo.push(() => users.close());

    let adminUrl: string | null = null;
    if (role !== 'proxy') {
      const starting = startAdmin({
        listen: config.adminListen,
        vault,
        audit: auditLog,
        ...(auditFile === null ? {} : { auditFile }),
        authority,
        clock,
        log,
        ...(adminTls(config) === null ? {} : { tls: adminTls(config)! }),
        hosts: config.adminHosts,
        allowAddresses: new AddressSet(config.allowAddresses),
        fetchHttps,
      });
      const admin = await orSayWhichListener('ALTER_ADMIN_LISTEN', config.adminListen, starting);
      undo.push(() => admin.close());
      listeners.push(addressOf(admin.url));
      adminUrl = admin.url;
    }
    if (role !== 'admin') {
      const starting = startProxy({
        config,
        model,
        users: users.verifier,
        auditLog,
        auditFile,
        leaves: new LeafCache({ authority, clock, maxEntries: maxLeaves }),
        authorityPem: authority.certificatePem,
        clock,
        log,
        metrics,
        tls: proxyTls(config),
        ownListeners: () => listeners,
        ...(options.resolver === undefined ? {} : { resolver: options.resolver }),
      });
      proxy = await orSayWhichListener('ALTER_PROXY_LISTEN', config.proxyListen, starting);
      const running = proxy;
      undo.push(() => running.close());
    }
    return {
      authorityPem: authority.certificatePem,
      first: started.accessToken === undefined ? null : { appId: started.appId, pat: started.accessToken.plaintext },
      proxy,
      adminUrl,
      ops: ops.address,
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

/** The CA as configured, or the one that the first start made and sealed into the store. */
async function findAuthority(config: Config, vault: Vault, clock: () => number): Promise<AuthorityMaterial> {
  if (config.caCert !== null && config.caKey !== null)
    return { certificatePem: config.caCert, privateKeyPem: config.caKey };
  return (await vault.authority.find()) ?? (await vault.authority.create(await createAuthority({ now: clock() })));
}

/** Null where the listener of the proxy speaks plain HTTP. */
function proxyTls({ proxyTlsCert, proxyTlsKey, proxyTlsClientCa }: Config): ServerTlsMaterial | null {
  if (proxyTlsCert === null || proxyTlsKey === null) return null;
  return { certificate: proxyTlsCert, key: proxyTlsKey, clientAuthorities: proxyTlsClientCa };
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
