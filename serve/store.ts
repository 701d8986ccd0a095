import type { Config } from '../core/config.ts';
import type { Log } from '../telemetry/log.ts';
import type { Store } from '../vault/store/store.ts';
import type { RedisSettings } from '../vault/store/store-redis-users.ts';
import { openStore } from '../vault/store/store-url.ts';

/**
 * Opens the store of the configuration. With a log it says what the settings of a Redis server mean for what is kept; but not
 * to a sidecar, which may not even ask for them: they are the operator's business.
 */
export function openStoreOf(config: Config, log: Log | null): Promise<Store> {
  if (config.store.kind === 'sqlite') return openStore(`sqlite:${config.store.path}`);
  const isTold = log !== null && config.appKey === null;
  return openStore(config.store.url, {
    ...redisSettings(config),
    durability: config.storeDurability,
    ...(!isTold ? {} : { onNote: ({ isRisk, text }) => (isRisk ? log.warn(text) : log.info(text)) }),
  });
}

/** How Redis servers are reached, besides their URL. */
export function redisSettings({ storeCa, storeCert, storeKey, storeSentinelAuth }: Config): RedisSettings {
  return {
    ...(storeCa === null ? {} : { ca: storeCa }),
    ...(storeCert === null || storeKey === null ? {} : { certificate: { cert: storeCert, key: storeKey } }),
    ...(storeSentinelAuth === null ? {} : { sentinelAuth: storeSentinelAuth }),
  };
}
