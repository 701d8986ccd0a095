import { Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { ProxyServer } from 'http-proxy-3';
import { AlterError } from '../../core/errors.ts';
import type { Outbound } from '../inject.ts';
import type { ClientSide, ClientUpgrade, Forwarder, Outcome } from './forward.ts';
import { closeFrame, FrameBoundary } from './frame-boundary.ts';
import { findKey, isAccepted } from './handshake.ts';
import { ResponseHeaders, reasonOf } from './response-headers.ts';
import { type ConnectRules, connectTo } from './upstream-pools.ts';

/** How long one end has for its own goodbye after the other is gone. */
const goodbyeMs = 1_000;
const maxInformational = 16;

/**
 * Carries WebSockets with http-proxy-3, over a connection that was dialled and verified for exactly this handshake. The
 * library writes the handshake and joins both ends; between the two, nothing of the client moves until the upstream has
 * proven that it speaks WebSocket (docs/decisions/0001 says which parts of the library are kept out, and why).
 */
export class UpgradeForwarder implements Forwarder {
  readonly #rules: ConnectRules;

  constructor(rules: ConnectRules) {
    this.#rules = rules;
  }

  async forward(outbound: Outbound, client: ClientSide): Promise<Outcome> {
    const upgrade = client.upgrade!;
    const { ProxyServer } = await import('http-proxy-3'); // not before there is a WebSocket
    const upstream = await connectTo(outbound.origin, this.#rules);
    if (upgrade.socket.destroyed) {
      upstream.destroy();
      return { status: 499, end: 'client_gone' };
    }
    return new Promise((resolve, reject) => {
      new Handshake({ outbound, client, upgrade, upstream, proxy: new ProxyServer(), resolve, reject }).send();
    });
  }
}

interface HandshakeOf {
  readonly outbound: Outbound;
  readonly client: ClientSide;
  readonly upgrade: ClientUpgrade;
  readonly upstream: Socket;
  readonly proxy: ProxyServer;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: AlterError) => void;
}

type Join = (this: ClientRequest, answer: IncomingMessage, upstream: Socket, head: Buffer) => void;

class Handshake {
  readonly #of: HandshakeOf;
  readonly #key: string;
  #informational = 0;
  #settled = false;

  constructor(of: HandshakeOf) {
    this.#of = of;
    this.#key = findKey(of.outbound.headers.flat);
  }

  send(): void {
    const { outbound, upgrade, upstream, proxy } = this.#of;
    const { origin } = outbound;
    proxy.on('error', () => {}); // of a client that is gone: its 'close' tells
    let sent: ClientRequest | undefined;
    proxy.once('proxyReqWs', (request) => {
      // Here and not in req.url: the library logs that one where DEBUG is set, and a credential may be in the query.
      request.path = outbound.target;
      sent = request;
    });
    upgrade.req.headers = handshakeHeaders(outbound.headers.flat);
    proxy.ws(upgrade.req, upgrade.socket, upgrade.head, {
      target: { protocol: 'http:', host: origin.host, port: origin.port }, // TLS, if any, is below: the connection is up
      agent: new OneConnection(upstream),
      toProxy: true,
    });
    if (sent === undefined) {
      upstream.destroy();
      this.#fail(new AlterError('internal_error', { cause: new Error('the handshake was not sent') }));
      return;
    }

    // What the library does with an answer is taken out of its hands: it would join both ends on any 101.
    const request = sent;
    const join = request.listeners('upgrade')[0] as Join;
    for (const event of ['upgrade', 'response', 'error']) request.removeAllListeners(event);
    request.once('upgrade', (answer, socket, head) =>
      this.#onUpgrade(answer, () => join.call(request, answer, socket, head)),
    );
    request.once('response', (answer) => this.#relay(answer));
    request.on('information', () => {
      if (++this.#informational > maxInformational)
        this.#fail(new AlterError('upstream_protocol', { detail: 'The upstream sent interim answers without end.' }));
    });
    request.on('error', (error: Error & { code?: string }) => this.#fail(toUpstreamError(error)));
    upgrade.socket.once('close', this.#onClientClose);
    upstream.on('error', () => {}); // what it means is told by `request` before the 101, and by 'close' after it
  }

  #onUpgrade(answer: IncomingMessage, join: () => void): void {
    const { outbound, client, upgrade, upstream, resolve } = this.#of;
    if (this.#settled) return;
    if (!isAccepted(answer.rawHeaders, this.#key)) {
      this.#fail(
        new AlterError('upstream_protocol', { detail: 'The upstream answered 101, but did not accept the WebSocket.' }),
      );
      return;
    }
    let headers: readonly string[];
    try {
      headers = [
        ...new ResponseHeaders(answer.rawHeaders, outbound.reflection).endToEnd.flat,
        ...client.answerHeaders(101),
      ];
    } catch (error) {
      this.#fail(error as AlterError);
      return;
    }
    this.#settled = true;
    upgrade.socket.off('close', this.#onClientClose);
    answer.headers = handshakeHeaders(headers);
    upgrade.res.detachSocket(upgrade.socket);
    join(); // bytes behind the heads were put back into the streams: a listener before this would be the only one to get them
    upgrade.joined(closeTogether(upgrade.socket, upstream));
    let open = 2;
    const ended = (): void => {
      if (--open === 0) resolve({ status: 101, end: 'complete' });
    };
    for (const socket of [upgrade.socket, upstream]) {
      if (socket.closed) ended();
      else socket.once('close', ended);
    }
  }

  /** An answer that is no 101: the client may read it, and both connections end with it. */
  #relay(answer: IncomingMessage): void {
    const { outbound, client, upgrade, upstream, resolve } = this.#of;
    if (this.#settled) return;
    const status = answer.statusCode!;
    let headers: ResponseHeaders;
    try {
      headers = new ResponseHeaders(answer.rawHeaders, outbound.reflection);
      if (status === 101)
        throw new AlterError('upstream_protocol', { detail: 'The upstream answered 101, but named no WebSocket.' });
      if (status === 407)
        throw new AlterError('upstream_protocol', { detail: 'The upstream asked for proxy credentials (407).' });
    } catch (error) {
      this.#fail(error as AlterError);
      return;
    }
    this.#settled = true;
    const { res } = upgrade;
    res.sendDate = false;
    res.writeHead(status, reasonOf(answer.statusMessage, outbound.reflection), [
      ...headers.endToEnd.flat,
      ...client.answerHeaders(status),
      'Connection',
      'close',
    ]);
    pipeline(answer, res, (error) => {
      upstream.destroy();
      if (error) res.destroy();
      const end =
        error === null || error === undefined ? 'complete' : answer.complete ? 'client_gone' : 'upstream_incomplete';
      resolve({ status, end });
    });
  }

  readonly #onClientClose = (): void => {
    const { upstream, resolve } = this.#of;
    upstream.destroy();
    if (this.#settled) return;
    this.#settled = true;
    resolve({ status: 499, end: 'client_gone' });
  };

  #fail(error: AlterError): void {
    const { upstream, upgrade, reject } = this.#of;
    upstream.destroy();
    if (this.#settled) return;
    this.#settled = true;
    upgrade.socket.off('close', this.#onClientClose);
    reject(error);
  }
}

/** One connection, for one request. */
class OneConnection extends Agent {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    super({ keepAlive: false, maxSockets: 1 });
    this.#socket = socket;
  }

  override createConnection(): Socket {
    return this.#socket;
  }
}

/** As Node wants them: repeated ones together, under the first spelling; and the two headers of this hop. */
function handshakeHeaders(flat: readonly string[]): Record<string, string | string[]> {
  const spelling = new Map<string, string>();
  const headers: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < flat.length; i += 2) {
    const lower = flat[i]!.toLowerCase();
    const name = spelling.get(lower) ?? flat[i]!;
    spelling.set(lower, name);
    const before = headers[name];
    headers[name] =
      before === undefined ? flat[i + 1]! : [...(Array.isArray(before) ? before : [before]), flat[i + 1]!];
  }
  headers.connection = 'Upgrade';
  headers.upgrade = 'websocket';
  return headers;
}

/**
 * Sees to it that neither end outlives the other by more than its goodbye. The returned function ends the channel from
 * here: to each end a close frame, 1001, behind the frame that is on its way there; an end that is in the middle of a frame
 * that does not come to its end in time gets none.
 */
function closeTogether(client: Socket, upstream: Socket): () => void {
  const ways = [
    { from: client, to: upstream, boundary: new FrameBoundary(), masked: true },
    { from: upstream, to: client, boundary: new FrameBoundary(), masked: false },
  ];
  const cutSoon = (socket: Socket): void => {
    if (socket.closed) return;
    const timer = setTimeout(() => socket.destroy(), goodbyeMs);
    socket.once('close', () => clearTimeout(timer));
  };
  const watchers = ways.map(({ from, to, boundary }) => {
    const watch = (chunk: Buffer): void => boundary.feed(chunk);
    from.on('data', watch);
    from.once('close', () => {
      to.destroySoon();
      cutSoon(to);
    });
    return watch;
  });

  let leaving = false;
  return () => {
    if (leaving) return;
    leaving = true;
    for (const [i, { from, to, boundary, masked }] of ways.entries()) {
      from.off('data', watchers[i]!);
      from.unpipe(to);
      cutSoon(from);
      const say = (): void => {
        if (boundary.closed) to.end();
        else to.end(closeFrame(masked));
      };
      if (boundary.isBetweenFrames) {
        say();
      } else {
        const finish = (chunk: Buffer): void => {
          const end = boundary.feedToEnd(chunk);
          to.write(end === -1 ? chunk : chunk.subarray(0, end));
          if (end === -1) return;
          from.off('data', finish);
          say();
        };
        from.on('data', finish);
      }
      from.resume(); // what still comes is read and left, or an end with full buffers would never see the close
    }
  };
}

function toUpstreamError(error: Error & { code?: string }): AlterError {
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE')
    return new AlterError('upstream_incomplete', { cause: error });
  return new AlterError('upstream_protocol', { cause: error });
}
