import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Outbound } from './inject.ts';

/** Sends an outbound request on and streams the answer back. The port behind which the HTTP client stands. */
export interface Forwarder {
  /**
   * Resolves when the exchange is over, whichever way, once the answer has begun. Throws an AlterError (`upstream_…`,
   * `address_forbidden`, `request_malformed`) where nothing has been sent to the client yet.
   */
  forward(outbound: Outbound, client: ClientSide): Promise<Outcome>;
}

export interface ClientSide {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean;
  /** Headers that the proxy adds to the answer, flat, once its status is known. */
  answerHeaders(status: number): readonly string[];
}

export interface Outcome {
  readonly status: number;
  /** How it ended after the answer began. */
  readonly end: 'complete' | 'upstream_incomplete' | 'client_gone';
}
