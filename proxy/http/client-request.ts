import { Readable } from 'node:stream';
import { AlterError, toAlterError } from '../../core/errors.ts';
import type { ClientConnection } from './client-connection.ts';
import type { BodySink, ClientRequest, RequestFraming } from './client-message.ts';
import { BodyReader } from './message-body.ts';
import type { RequestHead } from './message-head.ts';

/** One request on a connection of our own reader. */
export class Request implements ClientRequest {
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
