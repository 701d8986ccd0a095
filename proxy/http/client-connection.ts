import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { AlterError, toAlterError } from '../../core/errors.ts';
import type {
  AnswerHead,
  BodySink,
  ClientRequest,
  ClientResponse,
  HttpEvents,
  HttpReader,
  RequestFraming,
} from './client-message.ts';
import { GatheredWrites } from './gathered-writes.ts';
import { BodyReader } from './message-body.ts';
import { findHeadEnd, HeadReader, type RequestHead } from './message-head.ts';

/** Of what a client sends before it is asked for. */
const maxHeldBytes = 65_536;
/** How long, and for how many bytes, a client may go on sending what nobody reads any more, so that it gets to read the answer. */
const lingerMs = 2_000;
const maxLingerBytes = 16 * 1_024 * 1_024;
const nothing = Buffer.alloc(0);

/** Our own reader. `maxHeadBytes`: of a head, with its empty line. */
export function readHttp(on: HttpEvents, maxHeadBytes: number): HttpReader {
  return { read: (socket) => new ClientConnection(socket, on, maxHeadBytes).start() };
}

/**
 * A connection on which requests come one after the other. The next head is not looked at before the answer to the one
 * before is over: what a client sends ahead waits, in bounded memory.
 */
class ClientConnection {
  readonly socket: Socket;
  readonly writes: GatheredWrites;
  readonly #on: HttpEvents;
  readonly #maxHeadBytes: number;
  readonly #heads = new HeadReader('request_malformed');
  /** What the header lines say of the connection. */
  #asksForWebSocket = false;
  #asksToClose = false;
  /** What has come and nobody has read yet. */
  #held: Buffer = nothing;
  #request: Request | null = null;
  #response: Response | null = null;
  /** Heads are being read further up in the call stack. */
  #advancing = false;
  /** What is read now was sent before the answer to the request before it. */
  #isAhead = false;
  #isLeft = false;

  constructor(socket: Socket, on: HttpEvents, maxHeadBytes: number) {
    this.socket = socket;
    this.writes = new GatheredWrites(socket);
    this.#on = on;
    this.#maxHeadBytes = maxHeadBytes;
  }

  start(): void {
    this.socket.on('data', this.#onData).on('end', this.#onEnd).on('drain', this.#onDrain).on('close', this.#onClose);
    if (this.socket.isPaused()) this.socket.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    const request = this.#request;
    if (request?.reads) {
      const at = request.take(chunk, 0);
      if (at < chunk.length) this.#hold(at === 0 ? chunk : chunk.subarray(at));
      return;
    }
    this.#hold(chunk);
    if (request === null) {
      this.#isAhead = false;
      this.#advance();
    } else if (this.#held.length > maxHeldBytes) this.socket.pause();
  };

  /** A client that closes its half is taken to be gone: otherwise nobody would notice while the upstream is silent. */
  readonly #onEnd = (): void => {
    if (this.#request === null) this.socket.destroySoon();
    else this.socket.destroy();
  };

  readonly #onDrain = (): void => this.#response?.drained();

  readonly #onClose = (): void => {
    this.#request?.lost();
    this.#response?.lost();
  };

  #hold(bytes: Buffer): void {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
  }

  /** Takes what is held for the body of the request under way. */
  feed(request: Request): void {
    const held = this.#held;
    this.#held = nothing;
    if (this.socket.isPaused()) this.socket.resume(); // before what is held is taken, which may pause it again
    if (held.length === 0) return;
    const at = request.take(held, 0);
    if (at < held.length) this.#held = Buffer.concat([held.subarray(at), this.#held]);
  }

  /** Bytes that have come and were not read. */
  get heldBytes(): number {
    return this.#held.length;
  }

  /** The answer is with the client. */
  answered(): void {
    const request = this.#request!;
    const response = this.#response!;
    this.#request = null;
    this.#response = null;
    const unread = request.remaining;
    if (response.closes || unread === null || unread > this.#held.length) {
      this.#linger(request.complete);
      return;
    }
    if (unread > 0) this.#held = this.#held.subarray(unread);
    if (this.socket.isPaused()) this.socket.resume();
    this.#isAhead = this.#held.length > 0;
    if (this.#isAhead) this.#advance();
  }

  /** Closing with bytes unread resets the connection, and the client might never get to read the answer (RFC 9112 section 9.6). */
  #linger(isWhole: boolean): void {
    const { socket } = this;
    this.#leave();
    this.#held = nothing;
    if (isWhole) {
      socket.destroySoon();
      return;
    }
    let left = maxLingerBytes;
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once('close', () => clearTimeout(timer));
    socket.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) socket.destroy();
    });
    socket.once('end', () => socket.destroy());
    socket.resume();
    socket.end();
  }

  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      while (this.#request === null && !this.#isLeft && this.#held.length > 0 && this.#readHead()) {}
    } catch (error) {
      this.#leave();
      this.#on.malformed(this.socket, toAlterError(error));
    } finally {
      this.#advancing = false;
    }
  }

  /** Whether there was a whole head. */
  #readHead(): boolean {
    const held = this.#held;
    const end = findHeadEnd(held, 0, 'request_malformed');
    if (end > this.#maxHeadBytes || (end === -1 && held.length > this.#maxHeadBytes))
      throw new AlterError('headers_too_large', {
        detail: `The head of the request is larger than ${this.#maxHeadBytes} bytes.`,
      });
    if (end === -1) return false;
    const head = this.#heads.readRequest(held, 0, end);
    const rest = end === held.length ? nothing : held.subarray(end);
    if (!head.repeats) {
      this.#asksForWebSocket = asksForWebSocket(head);
      this.#asksToClose = asksToClose(head.rawHeaders);
    }
    if (head.method === 'CONNECT' || this.#asksForWebSocket) {
      if (this.#isAhead) throw new AlterError('request_malformed'); // no client asks for another protocol before it was answered
      this.#leave();
      this.#held = nothing;
      this.socket.pause();
      if (head.method === 'CONNECT') this.#on.connect(this.socket, head, rest);
      else this.#on.upgrade(this.socket, head, rest);
      return true;
    }
    this.#held = rest;
    this.#request = new Request(this, head);
    this.#response = new Response(this, this.#request, head.httpVersion === '1.0' || this.#asksToClose);
    this.#on.request(this.socket, this.#request, this.#response);
    return true;
  }

  #leave(): void {
    this.#isLeft = true;
    this.socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('drain', this.#onDrain)
      .off('close', this.#onClose);
  }
}

/** Anything else that is asked for with Upgrade (h2c) is read as a plain request, and the header goes no further. */
function asksForWebSocket({ rawHeaders }: RequestHead): boolean {
  let isWebSocket = false;
  let isNominated = false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 7 && name.toLowerCase() === 'upgrade')
      isWebSocket = rawHeaders[i + 1]!.toLowerCase() === 'websocket';
    else if (name.length === 10 && name.toLowerCase() === 'connection')
      isNominated ||= rawHeaders[i + 1]!.toLowerCase()
        .split(',')
        .some((token) => token.trim() === 'upgrade');
  }
  return isWebSocket && isNominated;
}

class Request implements ClientRequest {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: '1.0' | '1.1';
  readonly rawHeaders: readonly string[];
  readonly repeats: boolean;
  readonly #connection: ClientConnection;
  /** Null until somebody has said how the body is framed. */
  #body: BodyReader | null = null;
  #sink: BodySink | null = null;
  #stream: Readable | null = null;
  #isLost = false;

  constructor(connection: ClientConnection, head: RequestHead) {
    this.#connection = connection;
    this.method = head.method;
    this.url = head.url;
    this.httpVersion = head.httpVersion;
    this.rawHeaders = head.rawHeaders;
    this.repeats = head.repeats;
  }

  get complete(): boolean {
    const { remaining } = this;
    return remaining !== null && remaining <= this.#connection.heldBytes;
  }

  /** Bytes of the body that were not read; null where nobody can tell. */
  get remaining(): number | null {
    return this.#body === null ? null : this.#body.remaining;
  }

  /** Somebody takes the body as it comes. */
  get reads(): boolean {
    return this.#sink !== null && !this.#body!.done;
  }

  frame(framing: RequestFraming): void {
    this.#body = framing === 'none' ? BodyReader.none : new BodyReader(framing, 'request_malformed');
  }

  sendTo(sink: BodySink): void {
    if (this.#stream !== null) sendStream(this.#stream, sink);
    else this.#readTo(sink);
  }

  pause(): void {
    if (this.#stream !== null) this.#stream.pause();
    else this.#connection.socket.pause();
  }

  resume(): void {
    if (this.#stream !== null) this.#stream.resume();
    else if (!this.#isLost) this.#connection.socket.resume();
  }

  stream(): Readable {
    if (this.#stream !== null) return this.#stream;
    const { socket } = this.#connection;
    const stream = new Readable({ read: () => void (this.#isLost || socket.resume()) });
    this.#stream = stream;
    this.#readTo({
      content: (bytes) => {
        if (!stream.push(bytes)) socket.pause();
      },
      flush: () => {},
      end: () => void stream.push(null),
      failed: (error) => stream.destroy(error),
    });
    return stream;
  }

  #readTo(sink: BodySink): void {
    this.#sink = sink;
    if (this.#isLost) sink.failed(incomplete());
    else if (this.#body!.done) sink.end();
    else this.#connection.feed(this);
  }

  /** The index behind what belongs to the body. */
  take(bytes: Buffer, from: number): number {
    const sink = this.#sink!;
    let at: number;
    try {
      at = this.#body!.read(bytes, from, sink);
    } catch (error) {
      this.#sink = null;
      sink.failed(toAlterError(error));
      return bytes.length;
    }
    if (this.#body!.done) sink.end();
    else sink.flush();
    return at;
  }

  lost(): void {
    this.#isLost = true;
    if (this.reads) this.#sink!.failed(incomplete());
  }
}

function incomplete(): AlterError {
  return new AlterError('request_malformed', { detail: 'The connection ended before the body was complete.' });
}

/** Hands a stream on; who takes it pauses and resumes the stream. */
export function sendStream(stream: Readable, sink: BodySink): void {
  let isOver = false;
  const failed = (cause?: Error): void => {
    if (isOver) return;
    isOver = true;
    sink.failed(cause === undefined ? incomplete() : toAlterError(cause));
  };
  stream.on('data', (chunk: Buffer) => {
    sink.content(chunk);
    sink.flush();
  });
  stream.once('end', () => {
    isOver = true;
    sink.end();
  });
  stream.once('error', failed);
  stream.once('close', () => failed());
  if (stream.destroyed) failed(stream.errored ?? undefined);
}

class Response implements ClientResponse {
  onDrain: (() => void) | null = null;
  readonly #connection: ClientConnection;
  readonly #request: Request;
  #started = false;
  #ended = false;
  #sent = false;
  #isLost = false;
  #closes: boolean;
  #isChunked = false;
  #isBodyless = false;
  #onOver: (() => void) | null = null;

  constructor(connection: ClientConnection, request: Request, closes: boolean) {
    this.#connection = connection;
    this.#request = request;
    this.#closes = closes;
  }

  get started(): boolean {
    return this.#started;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get sent(): boolean {
    return this.#sent;
  }

  get over(): boolean {
    return this.#sent || this.#isLost;
  }

  get waits(): boolean {
    return this.#connection.socket.writableNeedDrain;
  }

  get closes(): boolean {
    return this.#closes;
  }

  closeAfter(): void {
    this.#closes = true;
  }

  askForBody(): void {
    if (!this.#started && !this.#isLost) this.#connection.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
  }

  begin(of: AnswerHead): void {
    this.#started = true;
    const { headers } = of;
    let head = `HTTP/1.1 ${of.status} ${of.reason === '' ? (STATUS_CODES[of.status] ?? '') : of.reason}\r\n`;
    if (of.passed !== undefined) head += of.passed.text;
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
    if (of.framing === 'none') this.#isBodyless = true;
    else if (of.framing === 'chunked') {
      this.#isChunked = this.#request.httpVersion === '1.1';
      if (this.#isChunked) head += 'Transfer-Encoding: chunked\r\n';
      else this.#closes = true; // its end is the end of the connection
    }
    head += this.#closes ? 'Connection: close\r\n\r\n' : '\r\n';
    this.#connection.writes.add(head);
  }

  content(bytes: Buffer): void {
    if (this.#isBodyless || bytes.length === 0) return;
    const { writes } = this.#connection;
    if (!this.#isChunked) {
      writes.add(bytes);
      return;
    }
    writes.add(`${bytes.length.toString(16)}\r\n`);
    writes.add(bytes);
    writes.add('\r\n');
  }

  flush(): boolean {
    return this.#isLost || this.#connection.writes.flush();
  }

  end(trailers: readonly string[]): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#isLost) return;
    const { writes } = this.#connection;
    if (this.#isChunked) {
      let last = '0\r\n';
      for (let i = 0; i < trailers.length; i += 2) last += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
      writes.add(`${last}\r\n`);
    }
    if (writes.flush()) this.#finish();
  }

  destroy(): void {
    this.#connection.socket.destroy();
  }

  onceOver(callback: () => void): void {
    if (this.over) callback();
    else {
      const before = this.#onOver;
      this.#onOver =
        before === null
          ? callback
          : () => {
              before();
              callback();
            };
    }
  }

  drained(): void {
    if (this.#ended) this.#finish();
    else this.onDrain?.();
  }

  lost(): void {
    if (this.over) return;
    this.#isLost = true;
    this.#tell();
  }

  #finish(): void {
    if (this.over) return;
    this.#sent = true;
    this.#tell();
    this.#connection.answered();
  }

  #tell(): void {
    const tell = this.#onOver;
    this.#onOver = null;
    tell?.();
  }
}

/** RFC 9112 section 9.3. */
function asksToClose(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length !== 10 || rawHeaders[i]!.toLowerCase() !== 'connection') continue;
    if (/(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(rawHeaders[i + 1]!)) return true;
  }
  return false;
}
