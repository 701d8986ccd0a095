import type { Socket } from 'node:net';
import { type AlterError, toAlterError } from '../../core/errors.ts';
import type { Origin } from '../../core/origin.ts';
import { type DialRules, dial, dialWith } from '../connection/dial.ts';
import type { UpstreamTls } from '../connection/verify.ts';
import type { Outbound } from '../inject.ts';
import { UpstreamConnection } from './upstream-connection.ts';

export interface ConnectRules {
  readonly dial: DialRules;
  readonly tls: UpstreamTls;
  readonly tlsTimeoutMs: number;
}

export interface PoolRules extends ConnectRules {
  readonly maxConnectionsPerPool: number;
}

/** Who waits for a connection. */
export interface Taker {
  /** No longer wanted. */
  readonly gone: boolean;
  take(connection: UpstreamConnection): void;
  refused(error: AlterError): void;
}

const maxPools = 10_000;

/**
 * Upstream connections, kept apart by the outbound's pool key: two principals, two grants or two versions of a secret
 * never meet on one socket, so that nothing one upstream answer leaves behind can reach another caller.
 */
export class UpstreamPools {
  /** The first that was not used lately is the one to close. */
  readonly #pools = new Map<string, Pool>();
  readonly #rules: PoolRules;

  constructor(rules: PoolRules) {
    this.#rules = rules;
  }

  /** Gives a connection that waits, or makes one, or waits until one is free. */
  connect(outbound: Outbound, taker: Taker): void {
    const { poolKey, origin } = outbound;
    let pool = this.#pools.get(poolKey);
    if (pool === undefined) {
      if (this.#pools.size >= maxPools) this.#closeFirst();
      pool = new Pool(origin, this.#rules);
      this.#pools.set(poolKey, pool);
    }
    pool.isUsed = true;
    pool.connect(taker);
  }

  sweep(nowMs: number): void {
    for (const [key, pool] of this.#pools) {
      pool.sweep(nowMs);
      if (pool.isEmpty) this.#pools.delete(key);
    }
  }

  /** Cuts everything. */
  close(): void {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    for (const pool of pools) pool.cut();
  }

  /** A second chance for each that was used since it was last looked at: to keep the order of use would cost every request. */
  #closeFirst(): void {
    for (const [key, pool] of this.#pools) {
      this.#pools.delete(key);
      if (!pool.isUsed) {
        pool.retire();
        return;
      }
      pool.isUsed = false;
      this.#pools.set(key, pool); // behind the others, where this loop comes by again if all were used
    }
  }
}

class Pool {
  /** Since somebody last looked for one to close. */
  isUsed = false;
  readonly #origin: Origin;
  readonly #rules: PoolRules;
  /** The last one is the one that was used last. */
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  readonly #waiting: Taker[] = [];
  #connecting = 0;
  #isRetired = false;

  constructor(origin: Origin, rules: PoolRules) {
    this.#origin = origin;
    this.#rules = rules;
  }

  get isEmpty(): boolean {
    return this.#all.size + this.#connecting + this.#waiting.length === 0;
  }

  connect(taker: Taker): void {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (!idle.usable) continue;
      taker.take(idle);
      return;
    }
    this.#waiting.push(taker);
    this.#connectMore();
  }

  sweep(nowMs: number): void {
    while (this.#idle[0]?.isStale(nowMs)) this.#idle.shift()!.destroy();
  }

  /** Requests under way may finish. */
  retire(): void {
    this.#isRetired = true;
    for (const idle of this.#idle.splice(0)) idle.destroy();
  }

  cut(): void {
    this.retire();
    for (const connection of this.#all) connection.destroy();
  }

  #connectMore(): void {
    while (
      this.#waiting.length > this.#connecting &&
      this.#all.size + this.#connecting < this.#rules.maxConnectionsPerPool
    ) {
      this.#connecting++;
      connectDirectly(this.#origin, this.#rules).then(
        (socket) => this.#onConnected(socket),
        (error: unknown) => this.#onRefused(toAlterError(error)),
      );
    }
  }

  #onConnected(socket: Socket): void {
    this.#connecting--;
    const connection = new UpstreamConnection(socket, () => this.#onFree(connection));
    this.#all.add(connection);
    socket.once('close', () => {
      this.#all.delete(connection);
      this.#connectMore();
    });
    this.#onFree(connection);
  }

  #onRefused(error: AlterError): void {
    this.#connecting--;
    this.#nextTaker()?.refused(error);
    this.#connectMore();
  }

  #onFree(connection: UpstreamConnection): void {
    const taker = this.#nextTaker();
    if (taker !== undefined) {
      taker.take(connection);
      return;
    }
    if (this.#isRetired) {
      connection.destroy();
      return;
    }
    connection.idleSinceMs = performance.now();
    this.#idle.push(connection);
  }

  #nextTaker(): Taker | undefined {
    for (let taker = this.#waiting.shift(); taker !== undefined; taker = this.#waiting.shift())
      if (!taker.gone) return taker;
    return undefined;
  }
}

/** A connection to an address that was classified, verified where the origin is https. Throws what `dial` and the TLS throw. */
export async function connectTo(origin: Origin, rules: ConnectRules): Promise<Socket> {
  const socket = await dial(origin, rules.dial);
  return origin.scheme === 'https' ? await rules.tls.connect(socket, origin, rules.tlsTimeoutMs) : socket;
}

/** The same, with a socket that reads directly where the origin is https. */
async function connectDirectly(origin: Origin, rules: ConnectRules): Promise<Socket> {
  if (origin.scheme !== 'https') return dial(origin, rules.dial);
  const secure = await dialWith(origin, rules.dial, rules.tls.opener(origin));
  return rules.tls.verify(secure, origin, rules.tlsTimeoutMs);
}
