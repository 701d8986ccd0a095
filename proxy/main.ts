import type { LeafCache } from '../certs/leaf-cache.ts';
import { AddressSet } from '../core/address.ts';
import type { AuditSink } from '../core/audit-event.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import { issueId } from '../core/id.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AuditLog } from '../vault/audit/audit-log.ts';
import type { ReadModel } from '../vault/read-model.ts';
import { SigningMemory } from './aws/signed-body.ts';
import { FailedKeys } from './caller/failed-keys.ts';
import { OwnToken } from './caller/own-token.ts';
import type { UseMemory } from './caller/remember-uses.ts';
import type { UserVerifier } from './caller/verify-user.ts';
import type { WorkloadVerifier } from './caller/verify-workload.ts';
import { Listener } from './connection/listener.ts';
import { reaches } from './connection/own-listener.ts';
import { type Resolver, SystemResolver } from './connection/resolve.ts';
import { ServerTls, type ServerTlsMaterial } from './connection/server-tls.ts';
import { UpstreamTls } from './connection/verify.ts';
import { phaseLimits, Watchdog } from './connection/watchdog.ts';
import type { DataPlane } from './data-plane.ts';
import { readHttp } from './http/client-connection.ts';
import type { ReadHttp } from './http/client-message.ts';
import { forwardBy } from './http/forward.ts';
import { HttpForwarder } from './http/forward-http.ts';
import { UpgradeForwarder } from './http/forward-upgrade.ts';
import { UpstreamPools } from './http/upstream-pools.ts';
import { Reporter } from './report.ts';

export interface ProxyOptions {
  readonly config: Config;
  readonly model: ReadModel;
  readonly users: UserVerifier;
  readonly workloads: WorkloadVerifier;
  /** Told of the keys and grants that were used. */
  readonly uses?: UseMemory;
  readonly auditLog: AuditLog;
  readonly auditFile: AuditSink | null;
  readonly leaves: LeafCache;
  readonly isOwnAuthority: (fingerprint256: string) => boolean;
  readonly clock: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** `address:port` of further listeners of this process that must not be dialled. */
  readonly ownListeners: () => readonly ListenAddress[];
  /** The system's, unless given. */
  readonly resolver?: Resolver;
  /** Our own, unless given. */
  readonly readHttp?: ReadHttp;
  /** Null: the listener speaks plain HTTP. */
  readonly tls: ServerTlsMaterial | null;
}

export interface RunningProxy {
  readonly address: ListenAddress;
  connections(): number;
  /** Why no traffic should come, in a word each: `draining`, `store`, `clock`. Empty: it should. */
  problems(): readonly string[];
  /** New connections get this certificate. Throws where the material does not fit together, and keeps the old one. */
  replaceTls(material: ServerTlsMaterial): void;
  /** Lets requests under way finish, within ALTER_DRAIN_TIMEOUT. */
  drain(): Promise<void>;
  /** Lets go of everything at once. */
  close(): Promise<void>;
}

/** Long enough for a probe to be told that the process is ready. */
const prepareAfterMs = 50;

/** Composes the data plane and starts to listen. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const { config, model, log, metrics, clock } = options;
  const own: ListenAddress[] = [];
  const serverTls = options.tls === null ? null : new ServerTls(options.tls);
  const dial = {
    resolver: options.resolver ?? new SystemResolver(config.hosts),
    allowed: new AddressSet(config.allowAddresses),
    isOwnListener: (address: string, port: number) =>
      [...own, ...options.ownListeners()].some((listener) => reaches(listener, address, port)),
    connectTimeoutMs: config.timeouts.connectMs,
  };
  const tls = new UpstreamTls({ extraRoots: config.upstreamCa, isOwnAuthority: options.isOwnAuthority });
  const connect = { dial, tls, tlsTimeoutMs: config.timeouts.tlsMs };
  const pools = new UpstreamPools({
    ...connect,
    maxConnectionsPerPool: config.limits.maxUpstreamConnectionsPerPool,
  });
  const plane: DataPlane = {
    model,
    users: options.users,
    workloads: options.workloads,
    ownToken: config.workloadTokenFile === null ? null : new OwnToken(config.workloadTokenFile),
    audit: { log: options.auditLog, file: options.auditFile, uses: options.uses ?? null, clock },
    leaves: options.leaves,
    forwarder: forwardBy({ requests: new HttpForwarder(pools), upgrades: new UpgradeForwarder(connect) }),
    dial,
    mode: config.egressMode,
    limits: config.limits,
    signing: {
      maxBodyBytes: config.limits.maxSignedBodyBytes,
      memory: new SigningMemory(config.limits.maxSigningMemoryBytes),
    },
    failedKeys: new FailedKeys({ perMinute: config.limits.maxKeyFailuresPerMinute }),
    clock,
    requestId: () => issueId(clock()),
    reporter: new Reporter({ log, metrics }),
  };
  const watchdog = new Watchdog(phaseLimits(config.timeouts), (nowMs) => {
    pools.sweep(nowMs);
    listener.recheck(nowMs);
  });
  const listener = new Listener(
    plane,
    {
      limits: config.limits,
      timeouts: config.timeouts,
      proxyProtocolFrom: new AddressSet(config.proxyProtocolFrom),
      forwardedForFrom: new AddressSet(config.forwardedForFrom),
      tls: serverTls,
      readHttp: options.readHttp ?? readHttp,
    },
    watchdog,
  );
  const address = await listener.listen(config.proxyListen);
  own.push(address);
  // Not before: whoever connects meanwhile waits for it, where without a listener it would be refused.
  const preparing = setTimeout(() => tls.prepare(), prepareAfterMs);

  const close = async (): Promise<void> => {
    clearTimeout(preparing);
    listener.cut();
    watchdog.stop();
    pools.close();
  };
  return {
    address,
    connections: () => listener.connections,
    problems: () => [
      ...(listener.draining ? ['draining'] : []),
      ...(model.isFresh() ? [] : ['store']),
      ...(options.auditLog.isClockBehind(clock()) ? ['clock'] : []),
    ],
    replaceTls: (material) => serverTls?.replace(material),
    drain: async () => {
      await listener.drain();
      await close();
    },
    close,
  };
}
