import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { AlterError } from '../core/errors.ts';
import type { ClientSide, Forwarder, Outcome } from './forward.ts';
import type { Outbound } from './inject.ts';
import type { Reflection } from './reflection.ts';
import { ResponseHeaders, reasonOf } from './response-headers.ts';
import type { UpstreamPools } from './upstream-pools.ts';

/** Carries HTTP with undici's dispatcher: bodies stream both ways with back-pressure, nothing is collected. */
export class UndiciForwarder implements Forwarder {
  readonly #pools: UpstreamPools;

  constructor(pools: UpstreamPools) {
    this.#pools = pools;
  }

  forward(outbound: Outbound, client: ClientSide): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const hasBody = outbound.body !== 'none' && (outbound.body === 'chunked' || outbound.body.bytes !== '0');
      const framing =
        outbound.body === 'none' || outbound.body === 'chunked' ? [] : ['Content-Length', outbound.body.bytes];
      if (hasBody && client.expectsContinue) client.res.writeContinue();
      this.#pools.for(outbound, performance.now()).dispatch(
        {
          method: outbound.method as Dispatcher.HttpMethod,
          path: outbound.target,
          headers: [...outbound.headers, ...framing],
          body: hasBody ? bodyOf(outbound, client) : null,
        },
        new AnswerStream({ client, reflection: outbound.reflection, resolve, reject }),
      );
    });
  }
}

function bodyOf({ payload }: Outbound, { req }: ClientSide): Readable | Buffer {
  if (payload === 'as it comes') return req;
  return Buffer.isBuffer(payload) ? payload : payload(req);
}

/** Interim answers (1xx) that one request may bring: they cost the upstream next to nothing, and each is a head to be parsed. */
const maxInformational = 16;

class AnswerStream implements Dispatcher.DispatchHandler {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #client: ClientSide;
  readonly #reflection: Reflection | null;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #reject: (error: AlterError) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #remaining: number | null = null;
  #clientGone = false;
  #informational = 0;

  constructor(of: {
    readonly client: ClientSide;
    readonly reflection: Reflection | null;
    readonly resolve: (outcome: Outcome) => void;
    readonly reject: (error: AlterError) => void;
  }) {
    this.#client = of.client;
    this.#req = of.client.req;
    this.#res = of.client.res;
    this.#reflection = of.reflection;
    this.#resolve = of.resolve;
    this.#reject = of.reject;
    this.#res.once('close', this.#onClientClose);
  }

  readonly #onClientClose = (): void => {
    if (this.#res.writableFinished) return;
    this.#clientGone = true;
    this.#controller?.abort(new AlterError('upstream_incomplete', { detail: 'The client went away.' }));
  };

  readonly #onDrain = (): void => this.#controller?.resume();

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#clientGone || this.#res.destroyed)
      controller.abort(new AlterError('upstream_incomplete', { detail: 'The client went away.' }));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _headers: unknown, reason?: string): void {
    if (status < 200) {
      // 100 is answered by us, and neither that nor a 101 was asked for: undici ends the connection. 103 is a hint.
      if (++this.#informational > maxInformational)
        controller.abort(
          new AlterError('upstream_protocol', { detail: 'The upstream sent interim answers without end.' }),
        );
      return;
    }
    if (status === 407) {
      // Passed on, it would make the client send its proxy key to whoever asked.
      controller.abort(
        new AlterError('upstream_protocol', { detail: 'The upstream asked for proxy credentials (407).' }),
      );
      return;
    }
    const headers = new ResponseHeaders(controller.rawHeaders as readonly Buffer[], this.#reflection);
    this.#remaining = headers.contentLength;
    this.#status = status;
    const early = this.#req.complete ? [] : ['Connection', 'close']; // the rest of the body is not worth reading
    this.#res.sendDate = false;
    this.#res.writeHead(status, reasonOf(reason, this.#reflection), [
      ...headers.endToEnd,
      ...this.#client.answerHeaders(status),
      ...early,
    ]);
    this.#res.on('drain', this.#onDrain);
    // Node holds the head back until the first byte of the body, which saves a packet; a stream that is quiet at first must not wait.
    setImmediate(() => {
      if (!this.#res.writableEnded && !this.#res.destroyed) this.#res.flushHeaders();
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#remaining !== null) {
      this.#remaining -= chunk.length;
      if (this.#remaining === 0) {
        this.#res.end(chunk);
        return;
      }
    }
    if (!this.#res.write(chunk)) controller.pause();
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (!this.#res.writableEnded) {
      if (this.#res.chunkedEncoding)
        this.#res.addTrailers(endToEndTrailers((controller.rawTrailers ?? []) as readonly Buffer[], this.#reflection));
      this.#res.end();
    }
    this.#finish({ status: this.#status, end: 'complete' });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#res.headersSent || this.#status !== 0) {
      // The client must see that the answer is cut: an ended chunked body would look whole.
      this.#res.destroy();
      this.#finish({ status: this.#status, end: this.#clientGone ? 'client_gone' : 'upstream_incomplete' });
    } else if (this.#clientGone) {
      this.#finish({ status: 499, end: 'client_gone' });
    } else {
      this.#release();
      this.#reject(toUpstreamError(error));
    }
  }

  #finish(outcome: Outcome): void {
    this.#release();
    this.#resolve(outcome);
  }

  #release(): void {
    this.#res.off('close', this.#onClientClose);
    this.#res.off('drain', this.#onDrain);
  }
}

const noTrailer =
  /^(?:content-|transfer-|proxy-|x-alter-|set-cookie|connection$|keep-alive$|host$|authorization$|te$|trailer$|upgrade$|alt-svc$)/i;

/** Trailers may not frame, route or authenticate (RFC 9110 section 6.5.1); what is left is what gRPC-like services send. */
function endToEndTrailers(raw: readonly Buffer[], reflection: Reflection | null): [string, string][] {
  const kept: [string, string][] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toString('latin1');
    const value = raw[i + 1]!.toString('latin1');
    if (!noTrailer.test(name) && reflection?.isIn(value) !== true) kept.push([name, value]);
  }
  return kept;
}

function toUpstreamError(error: Error & { code?: string }): AlterError {
  if (error instanceof AlterError) return error;
  switch (error.code) {
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
    case 'UND_ERR_NOT_SUPPORTED':
      return new AlterError('request_malformed', { cause: error });
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_CLOSED':
    case 'UND_ERR_DESTROYED':
    case 'ECONNRESET':
    case 'EPIPE':
      return new AlterError('upstream_incomplete', { cause: error });
    default:
      return new AlterError('upstream_protocol', { cause: error });
  }
}
