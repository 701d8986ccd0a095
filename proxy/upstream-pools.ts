import type { Socket } from 'node:net';
import { Pool } from 'undici';
import { toAlterError } from '../core/errors.ts';
import type { Origin } from '../core/origin.ts';
import { type DialRules, dial } from './dial.ts';
import type { Outbound } from './inject.ts';
import type { UpstreamTls } from './verify.ts';

export interface ConnectRules {
  readonly dial: DialRules;
  readonly tls: UpstreamTls;
  readonly tlsTimeoutMs: number;
}

export interface PoolRules extends ConnectRules {
  readonly maxConnectionsPerPool: number;
}

interface Entry {
  readonly pool: Pool;
  usedAtMs: number;
}

const maxPools = 10_000;
const idlePoolMs = 60_000;
const maxResponseHeadBytes = 65_536;

/**
 * Upstream connections, kept apart by the outbound's pool key: two principals, two grants or two versions of a secret
 * never meet on one socket, so that nothing one upstream answer leaves behind can reach another caller.
 */
export class UpstreamPools {
  /** In order of last use, so that the first is the one to close. */
  readonly #pools = new Map<string, Entry>();
  readonly #rules: PoolRules;

  constructor(rules: PoolRules) {
    this.#rules = rules;
  }

  for(outbound: Outbound, nowMs: number): Pool {
    const found = this.#pools.get(outbound.poolKey);
    if (found !== undefined) {
      found.usedAtMs = nowMs;
      this.#pools.delete(outbound.poolKey);
      this.#pools.set(outbound.poolKey, found);
      return found.pool;
    }
    if (this.#pools.size >= maxPools) this.#closeFirst();
    const pool = this.#open(outbound.origin);
    this.#pools.set(outbound.poolKey, { pool, usedAtMs: nowMs });
    return pool;
  }

  sweep(nowMs: number): void {
    for (const [key, entry] of this.#pools) {
      if (nowMs - entry.usedAtMs < idlePoolMs) return;
      if (entry.pool.stats.running + entry.pool.stats.pending > 0) continue;
      this.#pools.delete(key);
      void entry.pool.close().catch(ignore);
    }
  }

  async close(): Promise<void> {
    const open = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(open.map((entry) => entry.pool.destroy().catch(ignore)));
  }

  #closeFirst(): void {
    for (const [key, entry] of this.#pools) {
      this.#pools.delete(key);
      void entry.pool.close().catch(ignore); // lets its requests finish
      return;
    }
  }

  #open(origin: Origin): Pool {
    const rules = this.#rules;
    const host = origin.kind === 'ipv6' ? `[${origin.host}]` : origin.host;
    return new Pool(`${origin.scheme}://${host}:${origin.port}`, {
      connections: rules.maxConnectionsPerPool,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: 30_000,
      headersTimeout: 0, // the watchdog keeps the time of both sides
      bodyTimeout: 0,
      maxHeaderSize: maxResponseHeadBytes,
      strictContentLength: true,
      connect: (_, callback) => {
        connectTo(origin, rules).then(
          (socket) => callback(null, socket),
          (error: unknown) => callback(toAlterError(error), null),
        );
      },
    });
  }
}

/** A connection to an address that was classified, verified where the origin is https. Throws what `dial` and the TLS throw. */
export async function connectTo(origin: Origin, rules: ConnectRules): Promise<Socket> {
  const socket = await dial(origin, rules.dial);
  return origin.scheme === 'https' ? await rules.tls.connect(socket, origin, rules.tlsTimeoutMs) : socket;
}

/** Errors of a pool that is being closed were given to its requests already. */
function ignore(): void {}
