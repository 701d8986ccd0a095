import { networkInterfaces } from 'node:os';
import type { LeafCache } from '../certs/leaf-cache.ts';
import { AddressSet, unmapIpv4 } from '../core/address.ts';
import type { AuditSink } from '../core/audit-event.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import { issueId } from '../core/id.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AuditLog } from '../vault/audit-log.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { DataPlane } from './data-plane.ts';
import { UndiciForwarder } from './forward-undici.ts';
import { Listener, phaseLimits } from './listener.ts';
import { Reporter } from './report.ts';
import { type Resolver, SystemResolver } from './resolve.ts';
import { UpstreamPools } from './upstream-pools.ts';
import { UpstreamTls } from './verify.ts';
import { Watchdog } from './watchdog.ts';

export interface ProxyOptions {
  readonly config: Config;
  readonly model: ReadModel;
  readonly auditLog: AuditLog;
  readonly auditFile: AuditSink | null;
  readonly leaves: LeafCache;
  readonly authorityPem: string;
  readonly clock: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** `address:port` of further listeners of this process that must not be dialled. */
  readonly ownListeners: () => readonly ListenAddress[];
  /** The system's, unless given. */
  readonly resolver?: Resolver;
}

export interface RunningProxy {
  readonly address: ListenAddress;
  connections(): number;
  draining(): boolean;
  /** Lets requests under way finish, within ALTER_DRAIN_TIMEOUT. */
  drain(): Promise<void>;
  /** Lets go of everything at once. */
  close(): Promise<void>;
}

/** Composes the data plane and starts to listen. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const { config, model, log, metrics, clock } = options;
  const own: ListenAddress[] = [];
  const dial = {
    resolver: options.resolver ?? new SystemResolver(config.hosts),
    allowed: new AddressSet(config.allowAddresses),
    isOwnListener: (address: string, port: number) =>
      [...own, ...options.ownListeners()].some((listener) => reaches(listener, address, port)),
    connectTimeoutMs: config.timeouts.connectMs,
  };
  const tls = new UpstreamTls({ extraRoots: config.upstreamCa, ownAuthorityPem: options.authorityPem });
  const pools = new UpstreamPools({
    dial,
    tls,
    tlsTimeoutMs: config.timeouts.tlsMs,
    maxConnectionsPerPool: config.limits.maxUpstreamConnectionsPerPool,
  });
  const plane: DataPlane = {
    model,
    audit: { log: options.auditLog, file: options.auditFile, clock },
    leaves: options.leaves,
    forwarder: new UndiciForwarder(pools),
    dial,
    mode: config.egressMode,
    limits: config.limits,
    clock,
    requestId: () => issueId(clock()),
    reporter: new Reporter({ log, metrics }),
  };
  const watchdog = new Watchdog(phaseLimits(config.timeouts), (nowMs) => {
    pools.sweep(nowMs);
    listener.recheck(nowMs);
  });
  const listener = new Listener(plane, config, watchdog);
  const address = await listener.listen(config.proxyListen);
  own.push(address);

  const close = async (): Promise<void> => {
    listener.cut();
    watchdog.stop();
    await pools.close();
  };
  return {
    address,
    connections: () => listener.connections,
    draining: () => listener.draining,
    drain: async () => {
      await listener.drain();
      await close();
    },
    close,
  };
}

/** Whether a connection to this address and port would come back to the listener. */
function reaches(listener: ListenAddress, address: string, port: number): boolean {
  if (listener.port !== port) return false;
  if (listener.host !== '0.0.0.0' && listener.host !== '::') return listener.host === address;
  if (address.startsWith('127.') || address === '::1' || address === '0.0.0.0' || address === '::') return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((entry) => unmapIpv4(entry.address) === address));
}
