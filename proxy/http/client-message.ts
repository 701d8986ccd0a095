import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { AlterError } from '../../core/errors.ts';
import type { FirstLines } from './first-lines.ts';
import type { HeaderLines } from './header-lines.ts';
import type { ContentSink, Framing } from './message-body.ts';
import type { RequestHead } from './message-head.ts';

/**
 * Reads HTTP from a connection, from now on. Two adapters: `client-connection.ts`, which serves, and `client-message-node.ts`, on
 * Node's own server, with which it is compared in tests and in the benchmark.
 */
export interface HttpReader {
  read(socket: Socket): void;
}

/** Makes a reader; `maxHeadBytes` is of a head with its empty line. It need not know with which lines other connections began. */
export type ReadHttp = (on: HttpEvents, maxHeadBytes: number, firstLines: FirstLines) => HttpReader;

/** What a reader tells. `socket` is the one that it was given. */
export interface HttpEvents {
  request(socket: Socket, request: ClientRequest, response: ClientResponse): void;
  /** A request for a WebSocket. The reader has let go of the connection; `rest` was sent behind the head. */
  upgrade(socket: Socket, head: RequestHead, rest: Buffer): void;
  /** The reader has let go of the connection. */
  connect(socket: Socket, head: RequestHead, rest: Buffer): void;
  /** Bytes that are no HTTP; the reader reads no more. `request_malformed` or `headers_too_large`. */
  malformed(socket: Socket, error: AlterError): void;
}

/** How the body of a request is framed. */
export type RequestFraming = Exclude<Framing, 'until close'>;

/** A request whose head was read. Its body waits until somebody asks for it. */
export interface ClientRequest extends RequestHead {
  /** All of it has arrived. */
  readonly complete: boolean;
  /** Says where the body ends, as the strict parser read it: before that, none of it is touched. */
  frame(framing: RequestFraming): void;
  /** Hands the body on, now and as it comes. */
  sendTo(sink: BodySink): void;
  pause(): void;
  resume(): void;
  /** The body as a stream, for who has to look at it; `sendTo` then goes on with what was not read from it. */
  stream(): Readable;
}

export interface BodySink extends ContentSink {
  /** What was given so far may leave: more is not there at the moment. */
  flush(): void;
  end(): void;
  /** It does not come to its end. Nothing follows. */
  failed(error: AlterError): void;
}

export interface AnswerHead {
  readonly status: number;
  readonly reason: string;
  /** Those of the upstream, without those that frame or belong to this hop, but with Content-Length where that is known. */
  readonly passed?: HeaderLines;
  /** Behind them. Flat; without `passed`, with Content-Length where that is known. */
  readonly headers: readonly string[];
  readonly framing: 'none' | 'chunked' | number;
}

/** The answer to one request. */
export interface ClientResponse {
  /** Its head was given. */
  readonly started: boolean;
  /** All of it was given. */
  readonly ended: boolean;
  /** All of it was sent. */
  readonly sent: boolean;
  /** All of it was sent, or the connection is gone. */
  readonly over: boolean;
  /** The client reads more slowly than it is written to. */
  readonly waits: boolean;
  /** Called when a client that was waited for has read on. */
  onDrain: (() => void) | null;
  /** The connection ends with this answer. Before it starts, the client is told so. */
  closeAfter(): void;
  /** `100 Continue`. */
  askForBody(): void;
  begin(of: AnswerHead): void;
  content(bytes: Buffer): void;
  /** Lets what was given leave. Whether the client takes more: otherwise {@link onDrain} tells. */
  flush(): boolean;
  /** `trailers` flat; they leave only in a chunked answer. */
  end(trailers: readonly string[]): void;
  /** Cuts the connection, so that the client sees that the answer is not whole. */
  destroy(): void;
  /** Calls back once, when the answer is over, or at once if it is. */
  onceOver(callback: () => void): void;
}
