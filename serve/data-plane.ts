import { LeafCache } from '../certs/leaf-cache.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import type { Resolver } from '../proxy/connection/resolve.ts';
import type { ServerTlsMaterial } from '../proxy/connection/server-tls.ts';
import type { ReadHttp } from '../proxy/http/client-message.ts';
import { type RunningProxy, startProxy } from '../proxy/main.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemSpace } from '../vault/keys/keyring.ts';
import { ReadModel } from '../vault/read-model.ts';
import { authorityKind } from '../vault/records/authority-repository.ts';
import { letHeapGrow } from './heap.ts';
import { connectionsFor, findOpenFilesLimit } from './open-files.ts';
import type { State } from './state.ts';
import { openGuardedHttps, openUsers, openUses } from './users.ts';

/** How many hosts the proxy keeps a certificate for at a time. */
const maxLeaves = 10_000;

/** The data plane of one process, on opened state. Rejects with the error of `listen()`. */
export async function startDataPlane(of: {
  readonly config: Config;
  readonly state: State;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: () => number;
  /** Further listeners of this service, which must not be dialled. */
  readonly ownListeners: () => readonly ListenAddress[];
  readonly resolver?: Resolver;
  readonly readHttp?: ReadHttp;
}): Promise<RunningProxy> {
  letHeapGrow();
  const { config, state, metrics, log, clock } = of;
  const { vault, auditLog, auditFile, authorities } = state;
  let proxy: RunningProxy | null = null;
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
  vault.store.onRollback(({ error }) => {
    if (error !== null) metrics.countSecurityEvent('state_rollback');
  });
  model.onChange((space, type) => {
    if (space === systemSpace && (type === authorityKind.type || type === '*')) void authorities.reload();
  });
  const { fetch } = openGuardedHttps({
    config,
    isOwnAuthority: authorities.isOwn,
    ownListeners: () => (proxy === null ? of.ownListeners() : [...of.ownListeners(), proxy.address]),
    resolver: of.resolver,
  });
  const users = openUsers({ model, vault, fetch, clock, log });
  const uses = openUses({ vault, clock, log });
  try {
    await model.follow();
    const running = await startProxy({
      config: withinOpenFiles(config, log),
      model,
      users: users.verifier,
      workloads: users.workloads,
      uses,
      auditLog,
      auditFile,
      leaves: new LeafCache({ authorityAt: (now) => authorities.at(now), clock, maxEntries: maxLeaves }),
      isOwnAuthority: authorities.isOwn,
      clock,
      log,
      metrics,
      tls: findProxyTls(config),
      ownListeners: of.ownListeners,
      ...(of.resolver === undefined ? {} : { resolver: of.resolver }),
      ...(of.readHttp === undefined ? {} : { readHttp: of.readHttp }),
    });
    proxy = {
      ...running,
      problems: () => [...running.problems(), ...(vault.store.rolledBack().length === 0 ? [] : ['state_rollback'])],
      close: async () => {
        await running.close();
        await users.close();
        await uses.close();
        model.close();
      },
    };
    return proxy;
  } catch (error) {
    model.close();
    throw error;
  }
}

/** Null where the listener of the proxy speaks plain HTTP. */
export function findProxyTls({ proxyTlsCert, proxyTlsKey, proxyTlsClientCa }: Config): ServerTlsMaterial | null {
  if (proxyTlsCert === null || proxyTlsKey === null) return null;
  return { certificate: proxyTlsCert, key: proxyTlsKey, clientAuthorities: proxyTlsClientCa };
}

function withinOpenFiles(config: Config, log: Log): Config {
  const fitting = connectionsFor(findOpenFilesLimit());
  if (fitting >= config.limits.maxConnections) return config;
  // A little less than was asked for is no news.
  if (fitting < config.limits.maxConnections / 2)
    log.warn(
      `The limit of open files allows ${fitting} connections, fewer than ALTER_MAX_CONNECTIONS; raise ulimit -n.`,
    );
  return { ...config, limits: { ...config.limits, maxConnections: fitting } };
}
