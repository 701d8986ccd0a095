import { AlterError } from '../../core/errors.ts';
import type { Store } from './store.ts';
import type { RedisStoreOptions } from './store-redis.ts';
import type { StoreNote } from './store-redis-settings.ts';

/** What matters to Redis only; without it a store is what its URL says. */
export interface StoreSettings extends Omit<RedisStoreOptions, 'url' | 'prefix'> {
  /** Gets what the settings of the Redis servers mean for what is kept in them. */
  readonly onNote?: (note: StoreNote) => void;
}

/**
 * Opens the store that a URL names: `sqlite:PATH`, `redis://…`, `redis+sentinel://…`, `redis+cluster://…` or one of these
 * with `rediss`. Throws `config_invalid` for anything else and {@link StoreUnavailable} where the store can't be opened.
 */
export async function openStore(url: string, { onNote, ...access }: StoreSettings = {}): Promise<Store> {
  // Never quoted in a message: it may hold a password.
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(url)?.[0].toLowerCase();
  switch (scheme) {
    // Only the adapter that is used is loaded: ioredis alone takes as long to load as a good part of a start.
    case 'sqlite': {
      const path = parseSqlitePath(url.slice('sqlite:'.length));
      const { openSqliteStore } = await import('./store-sqlite.ts');
      return openSqliteStore({ path });
    }
    case 'redis':
    case 'rediss':
    case 'redis+sentinel':
    case 'rediss+sentinel':
    case 'redis+cluster':
    case 'rediss+cluster': {
      const { openRedisStore } = await import('./store-redis.ts');
      const store = await openRedisStore({ url, ...access });
      if (onNote !== undefined) {
        const { explainServers } = await import('./store-redis-settings.ts');
        for (const note of await explainServers(store.servers, access.durability)) onNote(note);
      }
      return store;
    }
    default:
      throw new AlterError('config_invalid', {
        detail: `A store URL begins with sqlite:, redis:, redis+sentinel: or redis+cluster: (rediss for TLS)${scheme === undefined ? '.' : `, not ${scheme}:`}`,
      });
  }
}

/** `sqlite:PATH` as in the documentation, and `sqlite:///PATH`, which people write out of habit. */
function parseSqlitePath(rest: string): string {
  const path = rest.startsWith('///') ? rest.slice(2) : rest;
  if (path === '' || path.startsWith('//') || path.includes('\0')) {
    throw new AlterError('config_invalid', {
      detail: 'A store URL with sqlite: needs a path: sqlite:./.alter/alter.db',
    });
  }
  return path;
}
