import { AlterError } from '../../core/errors.ts';
import type { Outbound } from '../inject.ts';
import type { BodySink, ClientResponse } from './client-message.ts';
import { sendStream } from './client-request.ts';
import type { ClientSide, Forwarder, Outcome } from './forward.ts';
import type { Framing } from './message-body.ts';
import type { ResponseHead } from './message-head.ts';
import type { Reflection } from './reflection.ts';
import { readResponseHeaders, reasonOf } from './response-headers.ts';
import type { AnswerSink, UpstreamConnection } from './upstream-connection.ts';
import type { Taker, UpstreamPools } from './upstream-pools.ts';

/** Carries HTTP/1.1: bodies stream both ways with back-pressure, nothing is collected. */
export class HttpForwarder implements Forwarder {
  readonly #pools: UpstreamPools;

  constructor(pools: UpstreamPools) {
    this.#pools = pools;
  }

  forward(outbound: Outbound, client: ClientSide): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const transfer = new Transfer({ outbound, client, resolve, reject });
      client.response.onceOver(() => transfer.onClientOver());
      if (!transfer.gone) this.#pools.connect(outbound, transfer);
    });
  }
}

/** Interim answers (1xx) that one request may bring: they cost the upstream next to nothing, and each is a head to be parsed. */
const maxInformational = 16;
/** Methods with which a server expects content, and is told when there is none (RFC 9110 section 8.6). */
const contentExpected: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** One request on its way to the upstream, and its answer on the way back. */
class Transfer implements Taker, AnswerSink {
  readonly #outbound: Outbound;
  readonly #client: ClientSide;
  readonly #response: ClientResponse;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #reject: (error: AlterError) => void;
  #connection: UpstreamConnection | null = null;
  #upload: Upload | null = null;
  #status = 0;
  #informational = 0;
  #isOver = false;

  constructor(of: {
    readonly outbound: Outbound;
    readonly client: ClientSide;
    readonly resolve: (outcome: Outcome) => void;
    readonly reject: (error: AlterError) => void;
  }) {
    this.#outbound = of.outbound;
    this.#client = of.client;
    this.#response = of.client.response;
    this.#resolve = of.resolve;
    this.#reject = of.reject;
  }

  get gone(): boolean {
    return this.#isOver;
  }

  take(connection: UpstreamConnection): void {
    const outbound = this.#outbound;
    this.#connection = connection;
    connection.begin(this);
    connection.writes.add(headText(outbound));
    if (outbound.body === 'none' || outbound.body === 0) {
      connection.writes.flush();
      connection.requestSent();
      return;
    }
    this.#client.askForBody();
    const upload = new Upload(connection, outbound.body, (error) => this.#giveUp(error));
    this.#upload = upload;
    upload.send(outbound, this.#client);
    // Of the body nothing may be there yet, and the upstream may have an answer to the head alone.
    if (!this.#isOver) connection.writes.flush();
  }

  refused(error: AlterError): void {
    this.#isOver = true;
    this.#reject(error);
  }

  interim(status: number): void {
    // None was asked for. A 101 would make something else of the connection.
    if (status === 101)
      throw new AlterError('upstream_protocol', { detail: 'The upstream answered 101, which nobody asked for.' });
    if (++this.#informational > maxInformational)
      throw new AlterError('upstream_protocol', { detail: 'The upstream sent interim answers without end.' });
  }

  head(head: ResponseHead): Framing {
    const { status, httpVersion } = head;
    // Passed on, it would make the client send its proxy key to whoever asked.
    if (status === 407)
      throw new AlterError('upstream_protocol', { detail: 'The upstream asked for proxy credentials (407).' });
    const { reflection, method } = this.#outbound;
    const headers = readResponseHeaders(head, reflection);
    if (headers.isChunked && httpVersion === '1.0')
      throw new AlterError('upstream_protocol', { detail: 'The upstream framed its answer in two ways.' });
    const framing: Framing =
      method === 'HEAD' || status === 204 || status === 304
        ? 'none'
        : headers.isChunked
          ? 'chunked'
          : (headers.contentLength ?? 'until close');
    this.#status = status;
    const response = this.#response;
    if (this.#upload?.isDone === false) response.closeAfter(); // an early answer: the rest of the body is not worth reading
    response.begin({
      status,
      reason: reasonOf(head.reason, reflection),
      passed: headers.endToEnd,
      headers: this.#client.answerHeaders(status),
      framing: framing === 'until close' ? 'chunked' : framing,
    });
    return framing;
  }

  content(bytes: Buffer): void {
    this.#response.content(bytes);
  }

  flush(): void {
    if (!this.#response.flush() && this.#connection !== null) {
      this.#response.onDrain = () => this.#connection?.socket.resume();
      this.#connection.socket.pause();
    }
  }

  end(trailers: readonly string[]): void {
    this.#isOver = true;
    this.#connection = null;
    this.#upload?.stop();
    this.#response.onDrain = null;
    this.#response.end(trailers.length === 0 ? trailers : endToEndTrailers(trailers, this.#outbound.reflection));
    this.#resolve({ status: this.#status, end: 'complete' });
  }

  failed(error: AlterError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection = null;
    this.#upload?.stop();
    if (this.#status === 0) {
      this.#reject(error);
      return;
    }
    // The client must see that the answer is cut: an ended chunked body would look whole.
    this.#response.destroy();
    this.#resolve({ status: this.#status, end: 'upstream_incomplete' });
  }

  drained(): void {
    this.#upload?.resume();
  }

  onClientOver(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection?.abandon();
    this.#connection = null;
    this.#upload?.stop();
    this.#resolve({ status: this.#status === 0 ? 499 : this.#status, end: 'client_gone' });
  }

  /** The request can't be sent to its end. */
  #giveUp(error: AlterError): void {
    const connection = this.#connection;
    this.failed(error);
    connection?.abandon();
  }
}

/** The body of a request on its way. */
class Upload implements BodySink {
  readonly #connection: UpstreamConnection;
  readonly #giveUp: (error: AlterError) => void;
  /** Bytes that were announced and not sent yet; null in chunks. */
  #left: number | null;
  #source: { pause(): unknown; resume(): unknown } | null = null;
  #isPaused = false;
  #isStopped = false;
  #isDone = false;

  constructor(connection: UpstreamConnection, framing: number | 'chunked', giveUp: (error: AlterError) => void) {
    this.#connection = connection;
    this.#left = framing === 'chunked' ? null : framing;
    this.#giveUp = giveUp;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  send({ payload }: Outbound, { request }: ClientSide): void {
    if (Buffer.isBuffer(payload)) {
      this.content(payload);
      this.end();
    } else if (payload === 'as it comes') {
      this.#source = request;
      request.sendTo(this);
    } else {
      const made = payload(request.stream());
      this.#source = made;
      sendStream(made, this);
    }
  }

  /** Takes nothing more. */
  stop(): void {
    this.#isStopped = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#source?.resume();
  }

  content(bytes: Buffer): void {
    if (this.#isStopped || bytes.length === 0) return;
    const { writes } = this.#connection;
    if (this.#left === null) {
      writes.add(`${bytes.length.toString(16)}\r\n`);
      writes.add(bytes);
      writes.add('\r\n');
      return;
    }
    this.#left -= bytes.length;
    if (this.#left < 0) this.failed(otherLength());
    else writes.add(bytes);
  }

  flush(): void {
    if (this.#isStopped || this.#connection.writes.flush() || this.#isPaused) return;
    this.#isPaused = true;
    this.#source?.pause();
  }

  end(): void {
    if (this.#isStopped) return;
    if (this.#left !== null && this.#left > 0) {
      this.failed(otherLength());
      return;
    }
    const { writes } = this.#connection;
    if (this.#left === null) writes.add('0\r\n\r\n');
    this.#isDone = true;
    writes.flush();
    this.#connection.requestSent();
  }

  failed(error: AlterError): void {
    if (this.#isStopped || this.#isDone) return;
    this.stop();
    this.#giveUp(error);
  }
}

function otherLength(): AlterError {
  return new AlterError('request_malformed', { detail: 'The body is not as long as its Content-Length says.' });
}

function headText({ method, target, headers, body }: Outbound): string {
  const text = `${method} ${target} HTTP/1.1\r\n${headers.text}`;
  if (body === 'chunked') return `${text}Transfer-Encoding: chunked\r\n\r\n`;
  if (body !== 'none') return `${text}Content-Length: ${body}\r\n\r\n`;
  return contentExpected.has(method) ? `${text}Content-Length: 0\r\n\r\n` : `${text}\r\n`;
}

const noTrailer =
  /^(?:content-|transfer-|proxy-|x-alter-|set-cookie|connection$|keep-alive$|host$|authorization$|te$|trailer$|upgrade$|alt-svc$)/i;

/** Trailers may not frame, route or authenticate (RFC 9110 section 6.5.1); what is left is what gRPC-like services send. */
function endToEndTrailers(raw: readonly string[], reflection: Reflection | null): string[] {
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const [name, value] = [raw[i]!, raw[i + 1]!];
    if (!noTrailer.test(name) && reflection?.isIn(value) !== true) kept.push(name, value);
  }
  return kept;
}
