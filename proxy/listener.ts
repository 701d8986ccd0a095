import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { unmapIpv4 } from '../core/address.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import { AlterError, toAlterError } from '../core/errors.ts';
import type { TunnelKind } from '../telemetry/metrics.ts';
import { AuditTrail } from './audit.ts';
import type { DataPlane } from './data-plane.ts';
import { Exchange, type Recheck } from './exchange.ts';
import { handle } from './pipeline.ts';
import { refuse, refuseSocket } from './respond.ts';
import { terminate } from './terminate.ts';
import { decideTunnel, join, recheckTunnel, type Tunnel } from './tunnel.ts';
import type { PhaseLimits, Watchdog, Watched } from './watchdog.ts';

const socketBufferBytes = 256 * 1_024; // measured: takes a bulk transfer from 2.4 to 1.9 CPU seconds a gigabyte
/** An exchange younger than this was judged just now. */
const recheckAfterMs = 1_000;
const maxPipelined = 16;

interface Client {
  readonly socket: Socket;
  readonly watched: Watched;
  readonly address: string;
  tunnel: Tunnel | null;
  exchange: Exchange | null;
  /** Requests that were sent before the one under way was answered. */
  readonly waiting: Exchange[];
  /** The policy of a blind tunnel, which has no exchange. */
  recheck: Recheck | null;
}

export interface ListenerRules {
  readonly limits: Config['limits'];
  readonly timeouts: Config['timeouts'];
}

export function phaseLimits(timeouts: Config['timeouts']): PhaseLimits {
  return {
    'first-byte': timeouts.firstByteMs,
    head: timeouts.headerMs,
    handshake: timeouts.tlsMs,
    idle: timeouts.tunnelIdleMs,
    answer: timeouts.responseMs,
    body: timeouts.bodyIdleMs,
    stream: timeouts.streamIdleMs,
    tunnel: timeouts.tunnelIdleMs,
  };
}

/**
 * The connections of workloads. One HTTP server reads what comes on the port itself (CONNECT, and requests in absolute
 * form); a second one, which listens nowhere, reads what comes inside opened tunnels.
 */
export class Listener {
  readonly #plane: DataPlane;
  readonly #rules: ListenerRules;
  readonly #watchdog: Watchdog;
  readonly #outer: Server;
  readonly #inner: Server;
  readonly #clients = new Map<Duplex, Client>();
  readonly #tunnelsOfKey = new Map<string, number>();
  #open = 0;
  #draining = false;
  #drained: (() => void) | null = null;

  constructor(plane: DataPlane, rules: ListenerRules, watchdog: Watchdog) {
    this.#plane = plane;
    this.#rules = rules;
    this.#watchdog = watchdog;
    this.#outer = this.#createServer();
    this.#outer.on('connection', (socket: Socket) => this.#onConnection(socket));
    this.#outer.on(
      'connect',
      (req: IncomingMessage, socket: Duplex, head: Buffer) => void this.#onConnect(req, socket as Socket, head),
    );
    this.#inner = this.#createServer();
    this.#inner.on('connect', (_: IncomingMessage, socket: Duplex) => {
      refuseSocket(
        socket,
        new AlterError('method_refused', { detail: 'A CONNECT inside a tunnel is refused.' }),
        this.#requestId(),
        false,
      );
    });
  }

  get connections(): number {
    return this.#open;
  }

  get draining(): boolean {
    return this.#draining;
  }

  listen(address: ListenAddress): Promise<ListenAddress> {
    return new Promise((resolve, reject) => {
      this.#outer.once('error', reject);
      this.#outer.listen({ host: address.host, port: address.port, backlog: 1_024 }, () => {
        this.#outer.off('error', reject);
        const bound = this.#outer.address() as AddressInfo;
        resolve({ host: bound.address, port: bound.port });
      });
    });
  }

  /** Cuts what the policy would no longer let begin. Called on every sweep of the watchdog. */
  recheck(nowMs: number): void {
    for (const client of this.#clients.values()) {
      const { exchange } = client;
      const check =
        exchange === null
          ? client.recheck
          : nowMs - exchange.startedMs < recheckAfterMs
            ? null
            : () => exchange.recheck();
      if (check === null) continue;
      check().then(
        (refusal) => {
          if (refusal !== null) client.socket.destroy();
        },
        () => {}, // state that can't be read refuses new requests; what has left already is not called back by it
      );
    }
  }

  /** No new connections or requests; resolves when those under way are over, or after `drainMs`, when they are cut. */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#outer.close(() => resolve()));
    for (const client of this.#clients.values())
      if (client.watched.phase === 'idle' && client.exchange === null) client.socket.destroy();
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#rules.timeouts.drainMs);
    });
    const idle = new Promise<void>((resolve) => {
      this.#drained = resolve;
      if (this.#open === 0) resolve();
    });
    await Promise.race([Promise.all([closed, idle]), deadline]);
    clearTimeout(timer);
    this.cut();
  }

  /** Ends every connection at once. */
  cut(): void {
    this.#draining = true;
    this.#outer.close();
    for (const client of this.#clients.values()) client.socket.destroy();
  }

  #createServer(): Server {
    const server = createServer({
      highWaterMark: socketBufferBytes,
      maxHeaderSize: this.#rules.limits.maxHeaderBytes,
      requireHostHeader: false, // checked by ourselves: HTTP/1.0 needs none, and the refusal is to have a code
      insecureHTTPParser: false,
      noDelay: true,
      keepAlive: true,
      connectionsCheckingInterval: 2 ** 30, // the watchdog keeps the time of every connection, also of those Node's check would miss
    });
    server.timeout = 0;
    server.headersTimeout = 0;
    server.requestTimeout = 0;
    server.keepAliveTimeout = 0;
    server.maxHeadersCount = 0; // Node would drop what is beyond without a word; the parser of requests refuses it
    const onRequest = (expectsContinue: boolean) => (req: IncomingMessage, res: ServerResponse) =>
      this.#onRequest(req, res, expectsContinue);
    server.on('request', onRequest(false));
    server.on('checkContinue', onRequest(true));
    server.on('checkExpectation', onRequest(false)); // refused by the parser of requests
    server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => this.#onClientError(error, socket));
    return server;
  }

  #onConnection(socket: Socket): void {
    if (this.#clients.has(socket)) return; // given back to the parser after a 407
    socket.on('error', () => socket.destroy());
    if (this.#draining || this.#open >= this.#rules.limits.maxConnections) {
      const error = this.#draining
        ? new AlterError('draining')
        : new AlterError('overloaded', {
            detail: 'The proxy holds as many connections as ALTER_MAX_CONNECTIONS allows.',
          });
      refuseSocket(socket, error, this.#requestId(), false);
      return;
    }
    this.#open++;
    this.#plane.reporter.gauges.connectionOpened();
    const watched: Watched = {
      socket,
      phase: 'first-byte',
      turn: 0,
      current: null,
      expired: () => this.#onExpired(client),
    };
    const address = socket.remoteAddress ?? '';
    const client: Client = {
      socket,
      watched,
      address: unmapIpv4(address) ?? address,
      tunnel: null,
      exchange: null,
      waiting: [],
      recheck: null,
    };
    this.#clients.set(socket, client);
    this.#watchdog.watch(watched);
    socket.once('close', () => {
      this.#open--;
      this.#plane.reporter.gauges.connectionClosed();
      this.#clients.delete(socket);
      this.#watchdog.forget(watched);
      if (this.#open === 0) this.#drained?.();
    });
  }

  /** A stalled client gets a word only where it waits for an answer; elsewhere the close says enough. */
  #onExpired(client: Client): void {
    const { exchange, watched } = client;
    if (exchange !== null && watched.phase === 'answer' && !exchange.res.headersSent) {
      exchange.res.once('close', () => client.socket.destroySoon());
      refuse(
        exchange.res,
        new AlterError('upstream_timeout', { detail: 'The upstream did not answer within ALTER_RESPONSE_TIMEOUT.' }),
        this.#requestId(),
      );
      return;
    }
    client.socket.destroy();
  }

  /**
   * Node hands over pipelined requests as fast as they come; they are taken one after the other, because the second may
   * rely on what the first one did (RFC 9112 section 9.3.2).
   */
  #onRequest(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void {
    const client = this.#clients.get(req.socket);
    if (client === undefined) {
      res.destroy();
      return;
    }
    const exchange = new Exchange({ req, res, tunnel: client.tunnel, clientAddress: client.address, expectsContinue });
    res.once('close', () => this.#onAnswered(client, exchange));
    if (client.exchange === null) this.#begin(client, exchange);
    else if (client.waiting.length < maxPipelined) client.waiting.push(exchange);
    else client.socket.destroy();
  }

  #begin(client: Client, exchange: Exchange): void {
    client.exchange = exchange;
    client.watched.turn++;
    client.watched.current = () => exchange.phase();
    if (this.#draining) refuse(exchange.res, new AlterError('draining'), this.#requestId());
    else void handle(exchange, this.#plane);
  }

  #onAnswered(client: Client, exchange: Exchange): void {
    if (client.exchange !== exchange) return;
    client.exchange = null;
    client.watched.turn++;
    client.watched.current = null;
    client.watched.phase = 'idle';
    const next = client.waiting.shift();
    if (next !== undefined && !client.socket.destroyed) this.#begin(client, next);
    else if (this.#draining) client.socket.destroySoon();
  }

  async #onConnect(req: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const client = this.#clients.get(socket);
    if (client === undefined || this.#draining) {
      refuseSocket(socket, new AlterError('draining'), this.#requestId(), false);
      return;
    }
    const trail = new AuditTrail(this.#plane.audit, 'tunnel', client.address);
    client.watched.turn++;
    client.watched.phase = 'answer';
    try {
      const decision = await decideTunnel(req, client.address, trail, this.#plane);
      if (socket.destroyed) {
        if (decision.kind === 'blind') decision.upstream.destroy();
        return;
      }
      const { identity } = decision.kind === 'blind' ? decision : decision.tunnel;
      const counted = this.#countTunnel(identity.keyId, socket, decision.kind === 'blind' ? 'blind' : 'intercepted');
      if (!counted && decision.kind === 'blind') decision.upstream.destroy();
      if (!counted)
        throw new AlterError('overloaded', {
          detail: 'This key holds as many tunnels as ALTER_MAX_CONNECTIONS_PER_KEY allows.',
        });
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      if (decision.kind === 'blind') {
        client.watched.phase = 'tunnel';
        client.recheck = () => recheckTunnel(decision, client.address, this.#plane);
        socket.once('close', () => trail.complete({ status: 200, end: 'complete' }, decision.passage));
        join(socket, decision.upstream, head);
      } else {
        await this.#intercept(client, decision.tunnel, head);
      }
    } catch (thrown) {
      const error = toAlterError(thrown);
      trail.refuse(error);
      this.#plane.reporter.refused(error, trail);
      this.#refuseConnect(req, socket, head, error, trail.requestId, client);
    }
  }

  /** After a 407 the same connection is used for the CONNECT that brings the key (git, Java); after anything else it ends. */
  #refuseConnect(
    req: IncomingMessage,
    socket: Socket,
    head: Buffer,
    error: AlterError,
    requestId: string,
    client: Client,
  ): void {
    const keepOpen = error.code === 'proxy_auth_required' && req.httpVersion === '1.1';
    refuseSocket(socket, error, requestId, keepOpen);
    if (!keepOpen || socket.destroyed) return;
    client.watched.turn++;
    client.watched.phase = 'idle';
    if (head.length > 0) socket.unshift(head);
    this.#outer.emit('connection', socket);
  }

  async #intercept(client: Client, tunnel: Tunnel, head: Buffer): Promise<void> {
    const { watched, socket } = client;
    watched.turn++;
    watched.phase = 'first-byte';
    const secure = await terminate(socket, head, tunnel.origin, this.#plane.leaves, () => {
      watched.turn++;
      watched.phase = 'handshake';
    });
    if (secure === null) return;
    client.tunnel = tunnel;
    this.#clients.set(secure, client);
    secure.on('error', () => secure.destroy());
    secure.once('close', () => {
      this.#clients.delete(secure);
      socket.destroy();
    });
    watched.socket = secure;
    watched.turn++;
    watched.phase = 'first-byte';
    this.#inner.emit('connection', secure);
  }

  #countTunnel(keyId: string, socket: Socket, kind: TunnelKind): boolean {
    const open = this.#tunnelsOfKey.get(keyId) ?? 0;
    if (open >= this.#rules.limits.maxConnectionsPerKey) return false;
    this.#tunnelsOfKey.set(keyId, open + 1);
    this.#plane.reporter.gauges.tunnelOpened(kind);
    socket.once('close', () => {
      this.#plane.reporter.gauges.tunnelClosed();
      const left = this.#tunnelsOfKey.get(keyId)! - 1;
      if (left === 0) this.#tunnelsOfKey.delete(keyId);
      else this.#tunnelsOfKey.set(keyId, left);
    });
    return true;
  }

  /** Bytes that Node's parser refused. */
  #onClientError(error: Error & { code?: string }, socket: Duplex): void {
    const client = this.#clients.get(socket);
    if (client?.exchange?.res.headersSent || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const refusal =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? new AlterError('headers_too_large', {
            detail: `The head of the request is larger than ${this.#rules.limits.maxHeaderBytes} bytes.`,
          })
        : new AlterError('request_malformed');
    refuseSocket(socket, refusal, this.#requestId(), false);
  }

  #requestId(): string {
    return this.#plane.requestId();
  }
}
