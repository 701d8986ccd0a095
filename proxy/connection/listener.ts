import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { AddressSet } from '../../core/address.ts';
import type { Config, ListenAddress } from '../../core/config.ts';
import { AlterError, toAlterError } from '../../core/errors.ts';
import { AuditTrail } from '../audit.ts';
import type { DataPlane } from '../data-plane.ts';
import { Exchange } from '../exchange.ts';
import type { HttpEvents, HttpReader, ReadHttp } from '../http/client-message.ts';
import { NodeResponse } from '../http/client-message-node.ts';
import { FirstLines } from '../http/first-lines.ts';
import type { RequestHead } from '../http/message-head.ts';
import type { Arrival } from '../identify.ts';
import { handle } from '../pipeline.ts';
import { refuse, refuseSocket, turnAway } from '../respond.ts';
import { terminate } from '../terminate.ts';
import { decideTunnel, join, recheckTunnel, type Tunnel } from '../tunnel.ts';
import type { Client } from './client.ts';
import { Connections, destroyItself } from './connections.ts';
import { Entrance, type EntranceRules, peerOf } from './entrance.ts';
import { findClientAddress, withoutForwardedFor } from './forwarded-for.ts';
import type { Watchdog } from './watchdog.ts';

/** An exchange younger than this was judged just now. */
const recheckAfterMs = 1_000;
/** Connections beyond the limit that are told so and waited for; the rest are told, and cut. */
const maxTurnedAway = 32;
const turnAwayMs = 1_000;
type ExchangeOf = ConstructorParameters<typeof Exchange>[0];

const established = Buffer.from('HTTP/1.1 200 Connection Established\r\n\r\n', 'latin1');

/** What was cut may take this long to be on record. */
const settleMs = 1_000;

export interface ListenerRules extends EntranceRules {
  /** Peers whose X-Forwarded-For is believed. */
  readonly forwardedForFrom: AddressSet;
  readonly limits: Config['limits'];
  readonly timeouts: Config['timeouts'];
  /** Of what comes in; see `client-message.ts`. */
  readonly readHttp: ReadHttp;
}

/**
 * The connections of workloads. One reader takes what comes through the entrance (CONNECT, and requests in absolute
 * form), a second one what comes inside opened tunnels.
 */
export class Listener {
  readonly #plane: DataPlane;
  readonly #rules: ListenerRules;
  readonly #entrance: Entrance;
  readonly #outer: HttpReader;
  readonly #inner: HttpReader;
  readonly #firstLines = new FirstLines();
  readonly #connections: Connections;
  /** Requests whose outcome is not on record yet. A number: a set of promises costs every request more than a microsecond. */
  #unsettled = 0;
  #onAllSettled: (() => void) | null = null;
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
      request: (socket, request, response) => this.#onRequest(socket, { request, response, upgrade: null }),
      upgrade: (socket, head, rest) => this.#onUpgrade(socket, head, rest),
      connect: (socket, head, rest) => void this.#onConnect(socket, head, rest),
      malformed: (socket, error) => this.#onMalformed(socket, error),
    };
    const { maxHeaderBytes } = rules.limits;
    this.#outer = rules.readHttp(events, maxHeaderBytes, this.#firstLines);
    const inner: HttpEvents = { ...events, connect: (socket) => this.#refuseNested(socket) };
    this.#inner = rules.readHttp(inner, maxHeaderBytes, this.#firstLines);
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
    this.#firstLines.sweep(nowMs);
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
      exchange.response.closeAfter();
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
    const recorded = new Promise<void>((resolve) => {
      this.#onAllSettled = resolve;
    });
    const settled = Promise.all([idle, this.#unsettled === 0 ? null : recorded]);
    await Promise.race([settled, new Promise<void>((resolve) => setTimeout(resolve, settleMs).unref())]);
  }

  /** Ends every connection at once. */
  cut(): void {
    this.#draining = true;
    void this.#entrance.close();
    for (const { socket } of this.#connections.all()) socket.destroy();
  }

  #onConnection(socket: Socket): void {
    socket.on('error', destroyItself);
    const client = this.#draining
      ? new AlterError('draining')
      : this.#connections.admit(socket, (expired) => this.#onExpired(expired));
    if (client instanceof AlterError) this.#turnAway(socket, client);
    else if (this.#entrance.isPlain(client.address)) this.#outer.read(socket);
    else this.#enter(client).catch(() => socket.destroy());
  }

  #turnAway(socket: Socket, refusal: AlterError): void {
    if (!this.#entrance.isPlain(peerOf(socket))) {
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
    this.#outer.read(entered.socket);
    entered.socket.resume(); // it was paused for the bytes that stand behind the PROXY protocol header
  }

  /** A stalled client gets a word only where it waits for an answer; elsewhere the close says enough. */
  #onExpired(client: Client): void {
    const { exchange, watched } = client;
    if (exchange !== null && watched.phase === 'answer' && !exchange.response.started) {
      exchange.response.closeAfter();
      refuse(
        exchange,
        new AlterError('upstream_timeout', { detail: 'The upstream did not answer within ALTER_RESPONSE_TIMEOUT.' }),
        this.#requestId(),
      );
      return;
    }
    client.socket.destroy();
  }

  #onRequest(socket: Socket, of: ExchangeOf): void {
    const client = this.#connections.find(socket);
    if (client === undefined) {
      of.response.destroy();
      return;
    }
    const exchange = this.#openExchange(client, of);
    if (exchange !== null) this.#begin(client, exchange);
  }

  /** A request for a WebSocket. The reader has let go of the connection: nothing on it is read as HTTP any more. */
  #onUpgrade(socket: Socket, head: RequestHead, rest: Buffer): void {
    const req = Object.assign(new IncomingMessage(socket), head, { complete: true });
    const res = new ServerResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket);
    res.once('finish', () => socket.destroySoon());
    const request = { ...head, complete: true, frame() {}, sendTo() {}, pause() {}, resume() {}, stream: () => req };
    this.#onRequest(socket, {
      request,
      response: new NodeResponse(req, res),
      upgrade: { socket, head: rest, req, res },
    });
  }

  /** Null, and answered, where a proxy in front that is believed says something that can't be read. */
  #openExchange(client: Client, of: ExchangeOf): Exchange | null {
    const { tunnel, address } = client;
    const { rawHeaders } = of.request;
    const claim = (keyId: string): void => this.#connections.claim(client, keyId);
    const { forwardedForFrom } = this.#rules;
    // Inside a tunnel the header is the client's own, whatever stands in front.
    if (tunnel !== null) return new Exchange(of, { tunnel, clientAddress: tunnel.clientAddress, rawHeaders, claim });
    if (!forwardedForFrom.has(address)) return new Exchange(of, { tunnel, clientAddress: address, rawHeaders, claim });
    try {
      const clientAddress = findClientAddress(rawHeaders, address, forwardedForFrom);
      return new Exchange(of, { tunnel, clientAddress, rawHeaders: withoutForwardedFor(rawHeaders), claim });
    } catch (thrown) {
      of.response.closeAfter();
      refuse(of, toAlterError(thrown), this.#requestId());
      return null;
    }
  }

  #begin(client: Client, exchange: Exchange): void {
    client.exchange = exchange;
    client.watched.turn++;
    client.watched.current = () => exchange.phase();
    if (exchange.upgrade === null) exchange.onceOver(() => this.#onAnswered(client, exchange));
    else exchange.upgrade.socket.once('close', () => this.#onAnswered(client, exchange));
    if (this.#draining) {
      exchange.response.closeAfter();
      refuse(exchange, new AlterError('draining'), this.#requestId());
      return;
    }
    this.#unsettled++;
    handle(exchange, this.#plane).then(this.#onSettled, this.#onSettledBadly);
  }

  readonly #onSettled = (): void => {
    if (--this.#unsettled === 0) this.#onAllSettled?.();
  };

  /** A bug, which ends the process as it would without us. */
  readonly #onSettledBadly = (error: unknown): void => {
    this.#onSettled();
    throw error;
  };

  #onAnswered(client: Client, exchange: Exchange): void {
    if (client.exchange !== exchange) return;
    client.exchange = null;
    client.watched.turn++;
    client.watched.current = null;
    client.watched.phase = 'idle';
    if (this.#draining) client.watched.socket.destroySoon();
  }

  async #onConnect(socket: Socket, head: RequestHead, rest: Buffer): Promise<void> {
    const client = this.#connections.find(socket);
    if (client === undefined || this.#draining) {
      refuseSocket(socket, new AlterError('draining'), this.#requestId(), false);
      return;
    }
    const arrival = this.#findArrival(client, head, socket);
    if (arrival === null) return;
    const { clientAddress } = arrival;
    const trail = new AuditTrail(this.#plane.audit, 'tunnel', clientAddress);
    client.watched.turn++;
    client.watched.phase = 'answer';
    try {
      const deciding = decideTunnel(head, arrival, trail, this.#plane);
      const decision = deciding instanceof Promise ? await deciding : deciding;
      if (socket.destroyed || this.#draining) {
        if (decision.kind === 'blind') decision.upstream.destroy();
        throw new AlterError('draining');
      }
      this.#plane.reporter.gauges.tunnelOpened(decision.kind === 'blind' ? 'blind' : 'intercepted');
      client.isTunnel = true;
      socket.write(established);
      if (decision.kind === 'blind') {
        client.watched.phase = 'tunnel';
        client.recheck = () => recheckTunnel(decision, clientAddress, this.#plane);
        socket.once('close', () => trail.complete({ status: 200, end: 'complete' }, decision.passage));
        join(socket, decision.upstream, rest);
      } else {
        await this.#intercept(client, decision.tunnel, rest);
      }
    } catch (thrown) {
      const error = toAlterError(thrown);
      trail.refuse(error);
      this.#plane.reporter.refused(error, trail);
      this.#refuseConnect(client, { socket, head, rest }, error, trail.requestId);
    }
  }

  /** Null, and answered, where a proxy in front that is believed says something that can't be read. */
  #findArrival(client: Client, head: RequestHead, socket: Socket): Arrival | null {
    try {
      const clientAddress = findClientAddress(head.rawHeaders, client.address, this.#rules.forwardedForFrom);
      return { clientAddress, claimFor: (keyId) => this.#connections.claim(client, keyId) };
    } catch (thrown) {
      refuseSocket(socket, toAlterError(thrown), this.#requestId(), false);
      return null;
    }
  }

  /** After a 407 the same connection is used for the CONNECT that brings the key (git, Java); after anything else it ends. */
  #refuseConnect(
    client: Client,
    { socket, head, rest }: { readonly socket: Socket; readonly head: RequestHead; readonly rest: Buffer },
    error: AlterError,
    requestId: string,
  ): void {
    const keepOpen = error.code === 'proxy_auth_required' && head.httpVersion === '1.1';
    refuseSocket(socket, error, requestId, keepOpen);
    if (!keepOpen || socket.destroyed) return;
    client.watched.turn++;
    client.watched.phase = 'idle';
    if (rest.length > 0) socket.unshift(rest);
    this.#outer.read(socket);
  }

  async #intercept(client: Client, tunnel: Tunnel, rest: Buffer): Promise<void> {
    const { watched } = client;
    watched.turn++;
    watched.phase = 'first-byte';
    watched.behindFirstByte = 'handshake';
    const secure = await terminate(watched.socket, rest, tunnel.origin, this.#plane.leaves);
    if (secure === null) return;
    client.tunnel = tunnel;
    this.#connections.readFrom(client, secure);
    this.#inner.read(secure);
  }

  #refuseNested(socket: Socket): void {
    const error = new AlterError('method_refused', { detail: 'A CONNECT inside a tunnel is refused.' });
    refuseSocket(socket, error, this.#requestId(), false);
  }

  #onMalformed(socket: Socket, error: AlterError): void {
    if (this.#connections.find(socket)?.exchange?.response.started) socket.destroy();
    else refuseSocket(socket, error, this.#requestId(), false);
  }

  #requestId(): string {
    return this.#plane.requestId();
  }
}
