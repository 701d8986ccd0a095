import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AddressSet } from '../core/address.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import { AlterError, toAlterError } from '../core/errors.ts';
import { AuditTrail } from './audit.ts';
import type { Client } from './client.ts';
import { Connections } from './connections.ts';
import type { DataPlane } from './data-plane.ts';
import { Entrance, type EntranceRules } from './entrance.ts';
import { Exchange } from './exchange.ts';
import { findClientAddress, withoutForwardedFor } from './forwarded-for.ts';
import { createHttpReader, type HttpEvents } from './http-reader.ts';
import type { Arrival } from './identify.ts';
import { handle } from './pipeline.ts';
import { refuse, refuseSocket, turnAway } from './respond.ts';
import { terminate } from './terminate.ts';
import { decideTunnel, join, recheckTunnel, type Tunnel } from './tunnel.ts';
import type { Watchdog } from './watchdog.ts';

/** An exchange younger than this was judged just now. */
const recheckAfterMs = 1_000;
const maxPipelined = 16;
/** Connections beyond the limit that are told so and waited for; the rest are told, and cut. */
const maxTurnedAway = 32;
const turnAwayMs = 1_000;
/** What was cut may take this long to be on record. */
const settleMs = 1_000;

export interface ListenerRules extends EntranceRules {
  /** Peers whose X-Forwarded-For is believed. */
  readonly forwardedForFrom: AddressSet;
  readonly limits: Config['limits'];
  readonly timeouts: Config['timeouts'];
}

/**
 * The connections of workloads. One HTTP server reads what comes through the entrance (CONNECT, and requests in absolute
 * form), a second one what comes inside opened tunnels; neither listens anywhere itself.
 */
export class Listener {
  readonly #plane: DataPlane;
  readonly #rules: ListenerRules;
  readonly #entrance: Entrance;
  readonly #outer: Server;
  readonly #inner: Server;
  readonly #connections: Connections;
  /** Requests whose outcome is not on record yet. */
  readonly #unsettled = new Set<Promise<void>>();
  #turnedAway = 0;
  #draining = false;

  constructor(plane: DataPlane, rules: ListenerRules, watchdog: Watchdog) {
    this.#plane = plane;
    this.#rules = rules;
    this.#connections = new Connections({ limits: rules.limits, watchdog, gauges: plane.reporter.gauges });
    this.#entrance = new Entrance(rules, {
      connection: (socket) => this.#onConnection(socket),
      error: (error) => plane.reporter.acceptFailed(error),
    });
    const events: HttpEvents = {
      request: (req, res, expectsContinue) => this.#onRequest(req, res, expectsContinue),
      upgrade: (req, socket, head) => this.#onUpgrade(req, socket, head),
      connect: (req, socket, head) => void this.#onConnect(req, socket, head),
      malformed: (error, socket) => this.#onClientError(error, socket),
    };
    this.#outer = createHttpReader(events, rules.limits.maxHeaderBytes);
    this.#inner = createHttpReader(
      { ...events, connect: (_, socket) => this.#refuseNested(socket) },
      rules.limits.maxHeaderBytes,
    );
  }

  get connections(): number {
    return this.#connections.count;
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
    for (const client of this.#connections.all()) {
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
    for (const { exchange, watched, socket } of this.#connections.all()) {
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
    const idle = this.#connections.empty();
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
    for (const { socket } of this.#connections.all()) socket.destroy();
  }

  #onConnection(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    const client = this.#draining
      ? new AlterError('draining')
      : this.#connections.admit(socket, (expired) => this.#onExpired(expired));
    if (client instanceof AlterError) this.#turnAway(socket, client);
    else if (this.#entrance.isPlain(socket)) this.#outer.emit('connection', socket);
    else this.#enter(client).catch(() => socket.destroy());
  }

  #turnAway(socket: Socket, refusal: AlterError): void {
    if (!this.#entrance.isPlain(socket)) {
      socket.destroy(); // inside TLS, the word would cost a handshake each, and this is a moment to save
      return;
    }
    if (this.#turnedAway >= maxTurnedAway) {
      refuseSocket(socket, refusal, this.#requestId(), false);
      return;
    }
    this.#turnedAway++;
    socket.once('close', () => this.#turnedAway--);
    turnAway(socket, refusal, this.#requestId(), turnAwayMs);
  }

  async #enter(client: Client): Promise<void> {
    const { socket, watched } = client;
    const entered = await this.#entrance.open(socket, () => {
      watched.turn++;
      watched.phase = 'handshake';
    });
    if (entered === null || entered.socket.destroyed) return;
    client.address = entered.address;
    if (entered.socket !== socket) this.#connections.readFrom(client, entered.socket);
    this.#outer.emit('connection', entered.socket);
    entered.socket.resume(); // it was paused for the bytes that stand behind the PROXY protocol header
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
    const client = this.#connections.find(req.socket);
    // Behind an answer that ended the connection nothing is taken up, although Node's parser reads on.
    if (client === undefined || !req.socket.writable) {
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
    const client = this.#connections.find(socket);
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
    const claim = (keyId: string): void => this.#connections.claim(client, keyId);
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

  #onAnswered(client: Client, exchange: Exchange): void {
    if (client.exchange !== exchange) return;
    client.exchange = null;
    client.watched.turn++;
    client.watched.current = null;
    client.watched.phase = 'idle';
    const next = client.waiting.shift();
    if (next !== undefined && exchange.res.shouldKeepAlive && !client.socket.destroyed) this.#begin(client, next);
    else if (this.#draining) client.watched.socket.destroySoon();
  }

  async #onConnect(req: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const client = this.#connections.find(socket);
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
      return { clientAddress, claimFor: (keyId) => this.#connections.claim(client, keyId) };
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
    this.#connections.readFrom(client, secure);
    this.#inner.emit('connection', secure);
  }

  #refuseNested(socket: Duplex): void {
    const error = new AlterError('method_refused', { detail: 'A CONNECT inside a tunnel is refused.' });
    refuseSocket(socket, error, this.#requestId(), false);
  }

  /** Bytes that Node's parser refused. */
  #onClientError(error: Error & { code?: string }, socket: Duplex): void {
    const client = this.#connections.find(socket);
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
