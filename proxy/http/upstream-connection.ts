import type { Socket } from 'node:net';
import { AlterError, toAlterError } from '../../core/errors.ts';
import { DirectRead } from '../connection/direct-read.ts';
import { GatheredWrites } from './gathered-writes.ts';
import { BodyReader, type ContentSink, type Framing } from './message-body.ts';
import { findHeadEnd, HeadReader, type ResponseHead } from './message-head.ts';

/** Takes one answer. What it throws ends the connection, and comes back by `failed`. */
export interface AnswerSink extends ContentSink {
  /** A 1xx, which is not the answer. */
  interim(status: number): void;
  /** Gives the framing of the content. */
  head(head: ResponseHead): Framing;
  /** What was given so far may leave. */
  flush(): void;
  /** `trailers` flat. */
  end(trailers: readonly string[]): void;
  /** The answer does not come to its end. Nothing follows. */
  failed(error: AlterError): void;
  /** The upstream takes more of the request. */
  drained(): void;
}

const maxHeadBytes = 65_536;
const defaultIdleMs = 30_000;
/** Off what an upstream says, because its clock began before ours. */
const idleMarginMs = 1_000;
const nothing = Buffer.alloc(0);

/**
 * One connection to one upstream, for one exchange after the other. It is used again only after an exchange that left no
 * doubt about where it ended: anything odd destroys it, so that what is left in it can't become somebody's answer.
 */
export class UpstreamConnection {
  readonly socket: Socket;
  readonly writes: GatheredWrites;
  /** On the clock of `performance.now()`. */
  idleSinceMs = 0;
  readonly #heads = new HeadReader('upstream_protocol');
  /** The header lines that were read for what they say of the connection. Not those of interim answers. */
  #hopsRead: readonly string[] | null = null;
  #idleMs = defaultIdleMs;
  #sink: AnswerSink | null = null;
  #body: BodyReader | null = null;
  #held: Buffer = nothing;
  #mayBeUsedAgain = true;
  #requestSent = false;
  #answered = false;
  #onFree: () => void;

  /** `onFree`: it may be used for another exchange. Told by `close` of the socket that it never will. */
  constructor(socket: Socket, onFree: () => void) {
    this.socket = socket;
    this.writes = new GatheredWrites(socket);
    this.#onFree = onFree;
    const direct = DirectRead.of(socket);
    if (direct !== null) direct.take = this.#onData; // beside `data`, which brings what was read before
    socket
      .on('data', this.#onData)
      .on('end', () => this.#onEnd())
      .on('drain', () => this.#sink?.drained())
      .on('error', (error) => this.#onError(error))
      .on('close', () => this.#fail(new AlterError('upstream_incomplete')));
  }

  get usable(): boolean {
    return this.#mayBeUsedAgain && this.#sink === null && !this.socket.destroyed && this.socket.writable;
  }

  isStale(nowMs: number): boolean {
    return nowMs - this.idleSinceMs >= this.#idleMs;
  }

  /** Begins an exchange. The request is then written with `writes`, and its end told with {@link requestSent}. */
  begin(sink: AnswerSink): void {
    this.#sink = sink;
    this.#requestSent = false;
    this.#answered = false;
    if (this.socket.isPaused()) this.socket.resume();
  }

  requestSent(): void {
    this.#requestSent = true;
    if (this.#answered) this.#free();
  }

  /** Ends the exchange, and the connection with it. Nothing more is told. */
  abandon(): void {
    this.#sink = null;
    this.destroy();
  }

  destroy(): void {
    this.#mayBeUsedAgain = false;
    this.socket.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    const sink = this.#sink;
    if (sink === null || this.#answered) {
      this.destroy(); // nobody asked: it would be taken for the answer to what is sent next
      return;
    }
    try {
      this.#read(chunk, sink);
    } catch (error) {
      this.#fail(toAlterError(error));
    }
  };

  #read(chunk: Buffer, sink: AnswerSink): void {
    let bytes = chunk;
    let at = 0;
    while (this.#body === null) {
      if (this.#held.length > 0) {
        bytes = Buffer.concat([this.#held, bytes]);
        this.#held = nothing;
      }
      const end = findHeadEnd(bytes, at, 'upstream_protocol');
      if ((end === -1 ? bytes.length : end) - at > maxHeadBytes)
        throw new AlterError('upstream_protocol', { detail: 'The head of the answer is too large.' });
      if (end === -1) {
        this.#held = at === 0 ? bytes : bytes.subarray(at);
        return;
      }
      const head = this.#heads.readResponse(bytes, at, end);
      at = end;
      if (head.status < 200) {
        sink.interim(head.status);
        if (at === bytes.length) return;
        continue;
      }
      const framing = sink.head(head);
      this.#readHops(head, framing);
      this.#body = framing === 'none' ? BodyReader.none : new BodyReader(framing, 'upstream_protocol');
    }
    if (!this.#body.done && at < bytes.length) at = this.#body.read(bytes, at, sink);
    if (!this.#body.done) {
      sink.flush();
      return;
    }
    if (at < bytes.length) this.#mayBeUsedAgain = false; // what stands behind an answer belongs to nobody
    this.#end(sink);
  }

  /** What the head says about the connection itself. */
  #readHops({ httpVersion, rawHeaders }: ResponseHead, framing: Framing): void {
    if (httpVersion === '1.0' || framing === 'until close') this.#mayBeUsedAgain = false;
    if (rawHeaders === this.#hopsRead) return; // lines that repeat, and left the connection usable
    this.#hopsRead = rawHeaders;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i]!;
      if (name.length !== 10) continue;
      const lower = name.toLowerCase();
      if (lower === 'connection' && /\b(?:close|upgrade)\b/i.test(rawHeaders[i + 1]!)) this.#mayBeUsedAgain = false;
      if (lower === 'keep-alive') {
        const seconds = /\btimeout=(\d{1,6})/i.exec(rawHeaders[i + 1]!)?.[1];
        if (seconds !== undefined) this.#idleMs = Math.min(defaultIdleMs, Number(seconds) * 1_000 - idleMarginMs);
      }
    }
  }

  #end(sink: AnswerSink): void {
    const trailers = this.#body!.trailers;
    this.#answered = true;
    if (!this.#requestSent) this.#mayBeUsedAgain = false; // its rest would stand before the next request
    sink.end(trailers);
    if (this.#requestSent || !this.#mayBeUsedAgain) this.#free();
  }

  #free(): void {
    if (this.#sink === null) return;
    this.#sink = null;
    this.#body = null;
    this.#held = nothing;
    if (!this.#mayBeUsedAgain || this.#idleMs <= 0) this.destroy();
    else {
      if (this.socket.isPaused()) this.socket.resume();
      this.#onFree();
    }
  }

  #onEnd(): void {
    const sink = this.#sink;
    if (sink !== null && this.#body !== null && !this.#answered && this.#body.endsWithConnection()) {
      this.#mayBeUsedAgain = false;
      this.#end(sink);
    }
    this.destroy();
  }

  #onError(error: Error & { code?: string }): void {
    this.#fail(
      new AlterError(error.code?.startsWith('ERR_SSL') ? 'upstream_tls' : 'upstream_incomplete', { cause: error }),
    );
  }

  #fail(error: AlterError): void {
    const sink = this.#sink;
    this.#sink = null;
    this.destroy();
    if (sink !== null && !this.#answered) sink.failed(error);
  }
}
