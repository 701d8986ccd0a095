import { AlterError } from '../core/errors.ts';
import type { Store } from './store.ts';
import { openRedisStore } from './store-redis.ts';
import { openSqliteStore } from './store-sqlite.ts';

/**
 * Opens the store that a URL names: `sqlite:PATH`, `redis://…` or `rediss://…`. Throws `config_invalid` for anything else
 * and {@link StoreUnavailable} where the store can't be opened.
 */
export async function openStore(url: string): Promise<Store> {
  // Never quoted in a message: it may hold a password.
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(url)?.[0].toLowerCase();
  switch (scheme) {
    case 'sqlite':
      return openSqliteStore({ path: parseSqlitePath(url.slice('sqlite:'.length)) });
    case 'redis':
    case 'rediss':
      return openRedisStore({ url });
    default:
      throw new AlterError('config_invalid', {
        detail: `A store URL begins with sqlite:, redis:// or rediss://${scheme === undefined ? '.' : `, not ${scheme}:`}`,
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
