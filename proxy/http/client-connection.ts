import type { Socket } from 'node:net';
import { AlterError, toAlterError } from '../../core/errors.ts';
import type { HttpEvents, HttpReader } from './client-message.ts';
import { Request } from './client-request.ts';
import { Response } from './client-response.ts';
import type { FirstLines } from './first-lines.ts';
import { GatheredWrites } from './gathered-writes.ts';
import { findHeadEnd, HeadReader, type RequestHead } from './message-head.ts';

/** Of what a client sends before it is asked for. */
const maxHeldBytes = 65_536;
/** How long, and for how many bytes, a client may go on sending what nobody reads any more, so that it gets to read the answer. */
const lingerMs = 2_000;
const maxLingerBytes = 16 * 1_024 * 1_024;
const nothing = Buffer.alloc(0);

/** Our own reader. `maxHeadBytes`: of a head, with its empty line. */
export function readHttp(on: HttpEvents, maxHeadBytes: number, firstLines: FirstLines): HttpReader {
  return { read: (socket) => new ClientConnection(socket, on, maxHeadBytes, firstLines).start() };
}

/**
 * A connection on which requests come one after the other. The next head is not looked at before the answer to the one
 * before is over: what a client sends ahead waits, in bounded memory.
 */
export class ClientConnection {
  readonly socket: Socket;
  readonly writes: GatheredWrites;
  readonly #on: HttpEvents;
  readonly #maxHeadBytes: number;
  readonly #heads: HeadReader;
  /** The header lines that were read for what they say of the connection, and that. */
  #hopsRead: readonly string[] | null = null;
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

  constructor(socket: Socket, on: HttpEvents, maxHeadBytes: number, firstLines: FirstLines) {
    this.socket = socket;
    this.#heads = new HeadReader('request_malformed', firstLines);
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
    if (head.rawHeaders !== this.#hopsRead) {
      this.#hopsRead = head.rawHeaders;
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

/** RFC 9112 section 9.3. */
function asksToClose(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length !== 10 || rawHeaders[i]!.toLowerCase() !== 'connection') continue;
    if (/(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(rawHeaders[i + 1]!)) return true;
  }
  return false;
}
