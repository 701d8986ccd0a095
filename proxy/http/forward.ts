import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Outbound } from '../inject.ts';
import type { ClientRequest, ClientResponse } from './client-message.ts';

/** Sends an outbound request on and streams the answer back. The port behind which the HTTP client stands. */
export interface Forwarder {
  /**
   * Resolves when the exchange is over, whichever way, once the answer has begun. Throws an AlterError (`upstream_…`,
   * `address_forbidden`, `request_malformed`) where nothing has been sent to the client yet.
   */
  forward(outbound: Outbound, client: ClientSide): Promise<Outcome>;
}

export interface ClientSide {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  /** Null for everything but the handshake of a WebSocket. */
  readonly upgrade: ClientUpgrade | null;
  /** Lets a client that waits for `100 Continue` send its body. */
  askForBody(): void;
  /** Headers that the proxy adds to the answer, flat, once its status is known. */
  answerHeaders(status: number): readonly string[];
}

/** The connection of a client that asked for a WebSocket, as the reader left it. */
export interface ClientUpgrade {
  readonly socket: Socket;
  /** What the client sent behind its handshake, before it knew the answer. */
  readonly head: Buffer;
  /** The handshake as Node's library has it, for the one that joins both ends. */
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Told once both ends are joined; `leave` ends the channel with a close frame to both. */
  joined(leave: () => void): void;
}

export interface Outcome {
  readonly status: number;
  /** How it ended after the answer began. */
  readonly end: 'complete' | 'upstream_incomplete' | 'client_gone';
}

/** Requests and WebSockets are carried by different clients. */
export function forwardBy(of: { readonly requests: Forwarder; readonly upgrades: Forwarder }): Forwarder {
  return {
    forward: (outbound, client) => (client.upgrade === null ? of.requests : of.upgrades).forward(outbound, client),
  };
}
