import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { AlterError } from '../core/errors.ts';
import type { ClientUpgrade } from './forward.ts';
import type { RawRequest, RequestTags } from './request.ts';
import type { Tunnel } from './tunnel.ts';
import type { Phase } from './watchdog.ts';

/** Asks the policy again, about an exchange that is under way. Null: it may go on. */
export type Recheck = () => Promise<AlterError | null>;

/** One request and its answer on a client connection, from the moment its head was read until both are over. */
export class Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Null on the proxy port itself, where requests come in absolute form. */
  readonly tunnel: Tunnel | null;
  readonly clientAddress: string;
  /** Null for everything but a request for a WebSocket. */
  readonly upgrade: ClientUpgrade | null;
  readonly startedMs = performance.now();
  readonly #rawHeaders: readonly string[];
  readonly #claim: (keyId: string) => void;
  #expectsContinue: boolean;
  #recheck: Recheck | null = null;
  #leave: (() => void) | null = null;

  constructor(of: {
    req: IncomingMessage;
    res: ServerResponse;
    tunnel: Tunnel | null;
    clientAddress: string;
    expectsContinue: boolean;
    upgrade: { readonly socket: Socket; readonly head: Buffer } | null;
    /** Those of `req`, unless some of them were for this proxy only. */
    rawHeaders?: readonly string[];
    /** Counts the connection for a key. Throws `overloaded`. */
    claim: (keyId: string) => void;
  }) {
    this.req = of.req;
    this.res = of.res;
    this.tunnel = of.tunnel;
    this.clientAddress = of.clientAddress;
    this.#expectsContinue = of.expectsContinue;
    this.#rawHeaders = of.rawHeaders ?? of.req.rawHeaders;
    this.#claim = of.claim;
    this.upgrade =
      of.upgrade === null
        ? null
        : {
            ...of.upgrade,
            joined: (leave) => {
              this.#leave = leave;
            },
          };
  }

  get raw(): RawRequest {
    const { method = '', url = '', httpVersion } = this.req;
    return { method, url, httpVersion, rawHeaders: this.#rawHeaders, upgrade: this.upgrade !== null };
  }

  /** The connection counts for this key from now on. Throws `overloaded` where the key holds too many. */
  claimFor(keyId: string): void {
    this.#claim(keyId);
  }

  /** The client waits for `100 Continue` before it sends its body. */
  get expectsContinue(): boolean {
    return this.#expectsContinue;
  }

  /** Lets a client that waits for `100 Continue` send its body. */
  askForBody(): void {
    if (this.#expectsContinue && !this.res.headersSent) this.res.writeContinue();
    this.#expectsContinue = false;
  }

  /** Calls back once, when the exchange is over, or at once if it is. */
  onceOver(callback: () => void): void {
    if (this.res.closed || this.res.destroyed) callback();
    else this.res.once('close', callback);
  }

  /** What the request says of itself wins over what was said on the CONNECT. */
  effectiveTags(tags: RequestTags): RequestTags {
    const inherited = this.tunnel?.tags;
    if (inherited === undefined) return tags;
    return {
      grant: tags.grant ?? inherited.grant,
      reason: tags.reason ?? inherited.reason,
      caller: tags.caller ?? inherited.caller,
      context: tags.context ?? inherited.context,
      userToken: tags.userToken ?? inherited.userToken,
    };
  }

  /** From now on the exchange lasts only as long as the policy would let it begin. */
  holdTo(recheck: Recheck): void {
    this.#recheck = recheck;
  }

  /** Cuts both sides where the policy would refuse the exchange now: a revoked grant must not go on streaming. */
  async recheck(): Promise<AlterError | null> {
    if (this.#recheck === null) return null;
    const refusal = await this.#recheck();
    if (refusal !== null) (this.upgrade?.socket ?? this.res).destroy();
    return refusal;
  }

  /** Asks both ends of a WebSocket to close; a request that has an end of its own is left to it. */
  leave(): void {
    this.#leave?.();
  }

  /** Whom the exchange is waiting for, as the watchdog counts time. */
  phase(): Phase {
    if (this.upgrade !== null) return this.#leave === null ? 'answer' : 'tunnel';
    if (!this.req.complete) return 'body';
    if (!this.res.headersSent) return 'answer';
    return this.res.writableNeedDrain || this.res.writableEnded ? 'body' : 'stream';
  }
}
