import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { AlterError } from '../../core/errors.ts';
import { socketBufferBytes } from '../connection/entrance.ts';
import type {
  AnswerHead,
  BodySink,
  ClientRequest,
  ClientResponse,
  HttpEvents,
  HttpReader,
  RequestFraming,
} from './client-message.ts';
import { sendStream } from './client-request.ts';
import type { RequestHead } from './message-head.ts';

const maxPipelined = 16;

/** Node's HTTP server as a reader: it listens nowhere, and reads from the sockets that it is given. */
export function readHttpWithNode(on: HttpEvents, maxHeadBytes: number): HttpReader {
  const server = createServer({
    highWaterMark: socketBufferBytes,
    maxHeaderSize: maxHeadBytes,
    requireHostHeader: false, // checked by ourselves: HTTP/1.0 needs none, and the refusal is to have a code
    insecureHTTPParser: false,
    // Whatever else is asked for with Upgrade (h2c) is read as a plain request, and the header goes no further.
    shouldUpgradeCallback: (req) => req.headers.upgrade?.toLowerCase() === 'websocket',
  });
  // The watchdog keeps the time of every connection, also of those that Node's timers would miss.
  server.timeout = 0;
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  server.keepAliveTimeout = 0;
  server.maxHeadersCount = 0; // Node would drop what is beyond without a word; the parser of requests refuses it
  tellRequests(server, on);
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, rest: Buffer) => {
    if (waitingOn.has(socket))
      socket.destroy(); // behind a request that is not answered yet, where no client puts it
    else on.upgrade(socket as Socket, headOf(req), rest);
  });
  server.on('connect', (req: IncomingMessage, socket: Duplex, rest: Buffer) =>
    on.connect(socket as Socket, headOf(req), rest),
  );
  server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => {
    if (error.code === 'ECONNRESET') socket.destroy();
    else on.malformed(socket as Socket, toRefusal(error, maxHeadBytes));
  });
  return { read: (socket) => void server.emit('connection', socket) };
}

/** Requests of a connection that were handed over, the first of which is under way. */
const waitingOn = new WeakMap<Duplex, (() => void)[]>();

/**
 * Node hands over pipelined requests as fast as they come; they are told one after the other, because the second may rely
 * on what the first one did (RFC 9112 section 9.3.2).
 */
function tellRequests(server: Server, on: HttpEvents): void {
  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    const { socket } = req;
    const tell = (): void => {
      res.once('close', () => {
        const next = waitingOn.get(socket)?.shift();
        if (next !== undefined && res.shouldKeepAlive && socket.writable) next();
        else waitingOn.delete(socket); // behind an answer that ended the connection nothing is taken up
      });
      on.request(socket, new NodeRequest(req), new NodeResponse(req, res));
    };
    const waiting = waitingOn.get(socket);
    if (waiting === undefined) {
      waitingOn.set(socket, []);
      tell();
    } else if (waiting.length < maxPipelined) waiting.push(tell);
    else socket.destroy();
  };
  // With or without an expectation: the parser of requests looks at it.
  for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, onRequest);
}

function headOf(req: IncomingMessage): RequestHead {
  const { method = '', url = '', httpVersion, rawHeaders } = req;
  return { method, url, httpVersion: httpVersion as '1.0' | '1.1', rawHeaders, repeats: false };
}

function toRefusal(error: Error & { readonly code?: string }, maxHeadBytes: number): AlterError {
  if (error.code !== 'HPE_HEADER_OVERFLOW') return new AlterError('request_malformed', { cause: error });
  return new AlterError('headers_too_large', {
    detail: `The head of the request is larger than ${maxHeadBytes} bytes.`,
    cause: error,
  });
}

class NodeRequest implements ClientRequest {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: '1.0' | '1.1';
  readonly rawHeaders: readonly string[];
  readonly repeats = false;
  readonly #req: IncomingMessage;

  constructor(req: IncomingMessage) {
    const head = headOf(req);
    this.method = head.method;
    this.url = head.url;
    this.httpVersion = head.httpVersion;
    this.rawHeaders = head.rawHeaders;
    this.#req = req;
  }

  get complete(): boolean {
    return this.#req.complete;
  }

  /** Node's parser has its own mind about it. */
  frame(_framing: RequestFraming): void {}

  sendTo(sink: BodySink): void {
    sendStream(this.#req, sink);
  }

  pause(): void {
    this.#req.pause();
  }

  resume(): void {
    this.#req.resume();
  }

  stream(): Readable {
    return this.#req;
  }
}

/** An answer that Node writes. */
export class NodeResponse implements ClientResponse {
  onDrain: (() => void) | null = null;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  #isChunked = false;

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.#req = req;
    this.#res = res;
    res.on('drain', () => this.onDrain?.());
  }

  get started(): boolean {
    return this.#res.headersSent;
  }

  get ended(): boolean {
    return this.#res.writableEnded;
  }

  get sent(): boolean {
    return this.#res.writableFinished;
  }

  get over(): boolean {
    return this.#res.closed || this.#res.destroyed;
  }

  get waits(): boolean {
    return this.#res.writableNeedDrain;
  }

  closeAfter(): void {
    this.#res.shouldKeepAlive = false;
  }

  askForBody(): void {
    if (!this.#res.headersSent) this.#res.writeContinue();
  }

  begin(of: AnswerHead): void {
    const res = this.#res;
    this.#isChunked = of.framing === 'chunked';
    res.sendDate = false;
    if (!this.#req.complete) {
      res.shouldKeepAlive = false;
      const { socket } = res; // an answer that is finished loses sight of it
      res.once('finish', () => socket?.destroySoon());
    }
    const closing = res.shouldKeepAlive ? [] : ['Connection', 'close'];
    res.writeHead(of.status, of.reason, [...(of.passed?.flat ?? []), ...of.headers, ...closing]);
  }

  content(bytes: Buffer): void {
    this.#res.write(bytes);
  }

  flush(): boolean {
    const res = this.#res;
    if (!res.writableEnded && !res.destroyed) res.flushHeaders();
    return !res.writableNeedDrain;
  }

  end(trailers: readonly string[]): void {
    const res = this.#res;
    if (res.writableEnded) return;
    if (this.#isChunked && res.chunkedEncoding && trailers.length > 0)
      res.addTrailers(
        trailers.flatMap((name, i) => (i % 2 === 0 ? [[name, trailers[i + 1]!] as [string, string]] : [])),
      );
    res.end();
  }

  destroy(): void {
    this.#res.destroy();
  }

  onceOver(callback: () => void): void {
    if (this.over) callback();
    else this.#res.once('close', callback);
  }
}
