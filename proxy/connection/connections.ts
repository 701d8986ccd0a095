import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Config } from '../../core/config.ts';
import type { AlterError } from '../../core/errors.ts';
import type { Reporter } from '../report.ts';
import { Capacity } from './capacity.ts';
import type { Client } from './client.ts';
import { peerOf } from './entrance.ts';
import type { Watchdog, Watched } from './watchdog.ts';

/** The connections that are held now: counted, watched, and found by each of their sockets. */
export class Connections {
  readonly #capacity: Capacity;
  readonly #watchdog: Watchdog;
  readonly #gauges: Reporter['gauges'];
  readonly #clients = new Map<Duplex, Client>();
  #emptied: (() => void)[] = [];

  constructor(of: {
    readonly limits: Config['limits'];
    readonly watchdog: Watchdog;
    readonly gauges: Reporter['gauges'];
  }) {
    this.#capacity = new Capacity(of.limits);
    this.#watchdog = of.watchdog;
    this.#gauges = of.gauges;
  }

  get count(): number {
    return this.#capacity.open;
  }

  find(socket: Duplex): Client | undefined {
    return this.#clients.get(socket);
  }

  /** Each connection once. */
  all(): ReadonlySet<Client> {
    return new Set(this.#clients.values());
  }

  /** Holds a connection until it closes, or gives the reason why there can be no more. */
  admit(socket: Socket, expired: (client: Client) => void): Client | AlterError {
    const refusal = this.#capacity.enter();
    if (refusal !== null) return refusal;
    this.#gauges.connectionOpened();
    const watched: Watched = {
      socket,
      phase: 'first-byte',
      behindFirstByte: 'head',
      turn: 0,
      current: null,
      expired: () => expired(client),
    };
    const client: Client = {
      socket,
      watched,
      address: peerOf(socket),
      keyIds: [],
      isTunnel: false,
      tunnel: null,
      exchange: null,
      recheck: null,
    };
    this.#clients.set(socket, client);
    this.#watchdog.watch(watched);
    socket.on('close', () => this.#forget(client)); // it comes once, and `once` costs a wrapper
    return client;
  }

  /** From now on, HTTP is read from this TLS socket; the connection below it ends with it. */
  readFrom(client: Client, secure: Socket): void {
    const { watched } = client;
    const below = watched.socket;
    this.#clients.set(secure, client);
    secure.on('error', destroyItself);
    secure.on('close', () => {
      this.#clients.delete(secure);
      below.destroy();
      letGo(secure);
    });
    watched.socket = secure;
    watched.turn++;
    watched.phase = 'first-byte';
    watched.behindFirstByte = 'head';
  }

  /** Counts a connection for a key, once. Throws `overloaded`. */
  claim(client: Client, keyId: string): void {
    if (client.keyIds.includes(keyId) || client.socket.destroyed) return;
    this.#capacity.hold(keyId);
    client.keyIds.push(keyId);
  }

  /** Resolves when none is left. */
  empty(): Promise<void> {
    if (this.count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptied.push(resolve));
  }

  #forget(client: Client): void {
    for (const keyId of client.keyIds) this.#capacity.release(keyId);
    this.#capacity.leave();
    this.#gauges.connectionClosed();
    if (client.isTunnel) this.#gauges.tunnelClosed();
    this.#clients.delete(client.socket);
    this.#watchdog.forget(client.watched);
    letGo(client.socket);
    if (this.count > 0) return;
    for (const tell of this.#emptied.splice(0)) tell();
  }
}

/** What else should happen to a connection that fails, happens when it closes. */
export function destroyItself(this: Socket): void {
  this.destroy();
}

/**
 * Takes off the listeners of a socket that has closed, and with them all that they know: what hangs on the sockets of a tunnel
 * survives small collections of garbage otherwise (`docs/decisions/0019`).
 */
function letGo(socket: Socket): void {
  socket.removeAllListeners().on('error', destroyItself);
}
