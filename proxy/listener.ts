import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AddressSet } from '../core/address.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import { AlterError, toAlterError } from '../core/errors.ts';
import { AuditTrail } from './audit.ts';
import { Capacity } from './capacity.ts';
import type { DataPlane } from './data-plane.ts';
import { Entrance, type EntranceRules, peerOf, socketBufferBytes } from './entrance.ts';
import { Exchange, type Recheck } from './exchange.ts';
import { findClientAddress, withoutForwardedFor } from './forwarded-for.ts';
import type { Arrival } from './identify.ts';
import { handle } from './pipeline.ts';
import { refuse, refuseSocket, turnAway } from './respond.ts';
import { terminate } from './terminate.ts';
import { decideTunnel, join, recheckTunnel, type Tunnel } from './tunnel.ts';
import type { PhaseLimits, Watchdog, Watched } from './watchdog.ts';

/** An exchange younger than this was judged just now. */
const recheckAfterMs = 1_000;
const maxPipelined = 16;
/** Connections beyond the limit that are told so and waited for; the rest are told, and cut. */
const maxTurnedAway = 32;
const turnAwayMs = 1_000;
/** What was cut may take this long to be on record. */
const settleMs = 1_000;

interface Client {
  readonly socket: Socket;
  readonly watched: Watched;
  /** The peer, or who it says is behind it. */
  address: string;
  /** Whose connections this one is counted among. */
  readonly keyIds: Set<string>;
  tunnel: Tunnel | null;
  exchange: Exchange | null;
  /** Requests that were sent before the one under way was answered. */
  readonly waiting: Exchange[];
  /** The policy of a blind tunnel, which has no exchange. */
  recheck: Recheck | null;
}

export interface ListenerRules extends EntranceRules {
  /** Peers whose X-Forwarded-For is believed. */
  readonly forwardedForFrom: AddressSet;
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
 * The connections of workloads. One HTTP server reads what comes through the entrance (CONNECT, and requests in absolute
 * form), a second one what comes inside opened tunnels; neither listens anywhere itself.
 */
export class Listener {
  readonly #plane: DataPlane;
  readonly #rules: ListenerRules;
  readonly #watchdog: Watchdog;
  readonly #entrance: Entrance;
  readonly #capacity: Capacity;
  readonly #outer: Server;
  readonly #inner: Server;
  readonly #clients = new Map<Duplex, Client>();
  /** Requests whose outcome is not on record yet. */
  readonly #unsettled = new Set<Promise<void>>();
  #turnedAway = 0;
  #draining = false;
  #drained: (() => void) | null = null;

  constructor(plane: DataPlane, rules: ListenerRules, watchdog: Watchdog) {
    this.#plane = plane;
    this.#rules = rules;
    this.#watchdog = watchdog;
    this.#capacity = new Capacity(rules.limits);
    this.#entrance = new Entrance(rules, {
      connection: (socket) => this.#onConnection(socket),
      error: (error) => plane.reporter.acceptFailed(error),
    });
    this.#outer = this.#createServer();
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
    return this.#capacity.open;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Rejects with the error of `listen()`, such as EADDRINUSE. */
  listen(address: ListenAddress): Promise<ListenAddress> {
    return this.#entrance.listen(address);
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

  /**
   * No new connections or requests; resolves when those under way are over, or after `drainMs`, when they are cut, and when
   * the outcome of each is on its way to the record.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = this.#entrance.close();
    for (const { exchange, watched, socket } of this.#clients.values()) {
      if (exchange === null) {
        if (watched.phase === 'idle') socket.destroy();
        continue;
      }
      exchange.res.shouldKeepAlive = false;
      exchange.leave();
    }
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#rules.timeouts.drainMs);
    });
    const idle = new Promise<void>((resolve) => {
      this.#drained = resolve;
      if (this.#capacity.open === 0) resolve();
    });
    await Promise.race([Promise.all([closed, idle]), deadline]);
    clearTimeout(timer);
    this.cut();
    const settled = Promise.all([idle, ...this.#unsettled]);
    await Promise.race([settled, new Promise<void>((resolve) => setTimeout(resolve, settleMs).unref())]);
  }

  /** Ends every connection at once. */
  cut(): void {
    this.#draining = true;
    void this.#entrance.close();
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
      // Whatever else is asked for with Upgrade (h2c) is read as a plain request, and the header goes no further.
      shouldUpgradeCallback: (req) => req.headers.upgrade?.toLowerCase() === 'websocket',
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
    server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#onUpgrade(req, socket as Socket, head),
    );
    server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => this.#onClientError(error, socket));
    return server;
  }

  #onConnection(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    const refusal = this.#draining ? new AlterError('draining') : this.#capacity.enter();
    if (refusal !== null) {
      this.#turnAway(socket, refusal);
      return;
    }
    this.#plane.reporter.gauges.connectionOpened();
    const watched: Watched = {
      socket,
      phase: 'first-byte',
      turn: 0,
      current: null,
      expired: () => this.#onExpired(client),
    };
    const client: Client = {
      socket,
      watched,
      address: peerOf(socket),
      keyIds: new Set(),
      tunnel: null,
      exchange: null,
      waiting: [],
      recheck: null,
    };
    this.#clients.set(socket, client);
    this.#watchdog.watch(watched);
    socket.once('close', () => {
      for (const keyId of client.keyIds) this.#capacity.release(keyId);
      this.#capacity.leave();
      this.#plane.reporter.gauges.connectionClosed();
      this.#clients.delete(socket);
      this.#watchdog.forget(watched);
      if (this.#capacity.open === 0) this.#drained?.();
    });
    if (this.#entrance.isPlain(socket)) this.#outer.emit('connection', socket);
    else void this.#enter(client);
  }

  async #enter(client: Client): Promise<void> {
    const { socket, watched } = client;
    const entered = await this.#entrance.open(socket, () => {
      watched.turn++;
      watched.phase = 'handshake';
    });
    if (entered === null) return;
    client.address = entered.address;
    if (entered.socket !== socket) this.#readFrom(client, entered.socket);
    this.#outer.emit('connection', entered.socket);
    entered.socket.resume(); // it was paused for the bytes that stand behind the PROXY protocol header
  }

  /** From now on, HTTP is read from this TLS socket; the connection below it ends with it. */
  #readFrom(client: Client, secure: Socket): void {
    const { watched } = client;
    const below = watched.socket;
    this.#clients.set(secure, client);
    secure.on('error', () => secure.destroy());
    secure.once('close', () => {
      this.#clients.delete(secure);
      below.destroy();
    });
    watched.socket = secure;
    watched.turn++;
    watched.phase = 'first-byte';
  }

  #turnAway(socket: Socket, refusal: AlterError): void {
    if (this.#turnedAway >= maxTurnedAway || !this.#entrance.isPlain(socket)) {
      // Inside TLS, the word would cost a handshake each, and this is a moment to save.
      if (this.#entrance.isPlain(socket)) refuseSocket(socket, refusal, this.#requestId(), false);
      else socket.destroy();
      return;
    }
    this.#turnedAway++;
    socket.once('close', () => this.#turnedAway--);
    turnAway(socket, refusal, this.#requestId(), turnAwayMs);
  }

  /** A stalled client gets a word only where it waits for an answer; elsewhere the close says enough. */
  #onExpired(client: Client): void {
    const { exchange, watched } = client;
    if (exchange !== null && watched.phase === 'answer' && !exchange.res.headersSent) {
      exchange.res.once('close', () => watched.socket.destroySoon());
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
    const exchange = this.#openExchange(client, { req, res, expectsContinue, upgrade: null });
    if (exchange === null) return;
    res.once('close', () => this.#onAnswered(client, exchange));
    if (client.exchange === null) this.#begin(client, exchange);
    else if (client.waiting.length < maxPipelined) client.waiting.push(exchange);
    else client.socket.destroy();
  }

  /** A request for a WebSocket. Node's parser has let go of the connection: nothing on it is read as HTTP any more. */
  #onUpgrade(req: IncomingMessage, socket: Socket, head: Buffer): void {
    const client = this.#clients.get(socket);
    if (client === undefined || client.exchange !== null) {
      socket.destroy(); // behind a request that is not answered yet, where no client puts it
      return;
    }
    const res = new ServerResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket);
    res.once('finish', () => socket.destroySoon());
    const exchange = this.#openExchange(client, { req, res, expectsContinue: false, upgrade: { socket, head } });
    if (exchange === null) return;
    socket.once('close', () => this.#onAnswered(client, exchange));
    this.#begin(client, exchange);
  }

  /** Null, and answered, where a proxy in front that is believed says something that can't be read. */
  #openExchange(
    client: Client,
    of: Pick<ConstructorParameters<typeof Exchange>[0], 'req' | 'res' | 'expectsContinue' | 'upgrade'>,
  ): Exchange | null {
    const { tunnel, address } = client;
    const { rawHeaders } = of.req;
    const claim = (keyId: string): void => this.#claim(client, keyId);
    const { forwardedForFrom } = this.#rules;
    // Inside a tunnel the header is the client's own, whatever stands in front.
    if (tunnel !== null) return new Exchange({ ...of, tunnel, clientAddress: tunnel.clientAddress, claim });
    if (!forwardedForFrom.has(address)) return new Exchange({ ...of, tunnel, clientAddress: address, claim });
    try {
      const clientAddress = findClientAddress(rawHeaders, address, forwardedForFrom);
      return new Exchange({ ...of, tunnel, clientAddress, rawHeaders: withoutForwardedFor(rawHeaders), claim });
    } catch (thrown) {
      of.res.shouldKeepAlive = false;
      refuse(of.res, toAlterError(thrown), this.#requestId());
      return null;
    }
  }

  #begin(client: Client, exchange: Exchange): void {
    client.exchange = exchange;
    client.watched.turn++;
    client.watched.current = () => exchange.phase();
    if (this.#draining) {
      exchange.res.shouldKeepAlive = false;
      refuse(exchange.res, new AlterError('draining'), this.#requestId());
      return;
    }
    const handled = handle(exchange, this.#plane).finally(() => this.#unsettled.delete(handled));
    this.#unsettled.add(handled);
  }

  /** Counts a connection for a key, once. Throws `overloaded`. */
  #claim(client: Client, keyId: string): void {
    if (client.keyIds.has(keyId) || client.socket.destroyed) return;
    this.#capacity.hold(keyId);
    client.keyIds.add(keyId);
  }

  #onAnswered(client: Client, exchange: Exchange): void {
    if (client.exchange !== exchange) return;
    client.exchange = null;
    client.watched.turn++;
    client.watched.current = null;
    client.watched.phase = 'idle';
    const next = client.waiting.shift();
    if (next !== undefined && !client.socket.destroyed) this.#begin(client, next);
    else if (this.#draining) client.watched.socket.destroySoon();
  }

  async #onConnect(req: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const client = this.#clients.get(socket);
    if (client === undefined || this.#draining) {
      refuseSocket(socket, new AlterError('draining'), this.#requestId(), false);
      return;
    }
    const arrival = this.#findArrival(client, req, socket);
    if (arrival === null) return;
    const { clientAddress } = arrival;
    const trail = new AuditTrail(this.#plane.audit, 'tunnel', clientAddress);
    client.watched.turn++;
    client.watched.phase = 'answer';
    try {
      const decision = await decideTunnel(req, arrival, trail, this.#plane);
      if (socket.destroyed || this.#draining) {
        if (decision.kind === 'blind') decision.upstream.destroy();
        throw new AlterError('draining');
      }
      this.#plane.reporter.gauges.tunnelOpened(decision.kind === 'blind' ? 'blind' : 'intercepted');
      socket.once('close', () => this.#plane.reporter.gauges.tunnelClosed());
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      if (decision.kind === 'blind') {
        client.watched.phase = 'tunnel';
        client.recheck = () => recheckTunnel(decision, clientAddress, this.#plane);
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

  /** Null, and answered, where a proxy in front that is believed says something that can't be read. */
  #findArrival(client: Client, req: IncomingMessage, socket: Socket): Arrival | null {
    try {
      const clientAddress = findClientAddress(req.rawHeaders, client.address, this.#rules.forwardedForFrom);
      return { clientAddress, claimFor: (keyId) => this.#claim(client, keyId) };
    } catch (thrown) {
      refuseSocket(socket, toAlterError(thrown), this.#requestId(), false);
      return null;
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
    const { watched } = client;
    watched.turn++;
    watched.phase = 'first-byte';
    const secure = await terminate(watched.socket, head, tunnel.origin, this.#plane.leaves, () => {
      watched.turn++;
      watched.phase = 'handshake';
    });
    if (secure === null) return;
    client.tunnel = tunnel;
    this.#readFrom(client, secure);
    this.#inner.emit('connection', secure);
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
