import type { Readable } from 'node:stream';
import type { AlterError } from '../core/errors.ts';
import type { Phase } from './connection/watchdog.ts';
import type { ClientRequest, ClientResponse } from './http/client-message.ts';
import type { ClientUpgrade } from './http/forward.ts';
import type { ParsedRequest, RawRequest, RequestTags } from './request.ts';
import type { Tunnel } from './tunnel.ts';

/** Asks the policy again, about an exchange that is under way. Null: it may go on. */
export type Recheck = () => Promise<AlterError | null>;

/** One request and its answer on a client connection, from the moment its head was read until both are over. */
export class Exchange {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  /** Null on the proxy port itself, where requests come in absolute form. */
  readonly tunnel: Tunnel | null;
  readonly clientAddress: string;
  /** Null for everything but a request for a WebSocket. */
  readonly upgrade: ClientUpgrade | null;
  readonly startedMs = performance.now();
  readonly #rawHeaders: readonly string[];
  readonly #claim: (keyId: string) => void;
  #expectsContinue = false;
  #recheck: Recheck | null = null;
  #leave: (() => void) | null = null;

  constructor(
    of: {
      readonly request: ClientRequest;
      readonly response: ClientResponse;
      readonly upgrade: Omit<ClientUpgrade, 'joined'> | null;
    },
    on: {
      readonly tunnel: Tunnel | null;
      readonly clientAddress: string;
      /** Those of `request`, unless some of them were for this proxy only. */
      readonly rawHeaders: readonly string[];
      /** Counts the connection for a key. Throws `overloaded`. */
      readonly claim: (keyId: string) => void;
    },
  ) {
    this.request = of.request;
    this.response = of.response;
    this.tunnel = on.tunnel;
    this.clientAddress = on.clientAddress;
    this.#rawHeaders = on.rawHeaders;
    this.#claim = on.claim;
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
    const { method, url, httpVersion, rawHeaders, repeats } = this.request;
    return {
      method,
      url,
      httpVersion,
      rawHeaders: this.#rawHeaders,
      repeats: repeats && rawHeaders === this.#rawHeaders,
      upgrade: this.upgrade !== null,
    };
  }

  /** What strict parsing made of the head tells where the body ends. */
  frame({ body, expectsContinue }: ParsedRequest): void {
    this.request.frame(body);
    this.#expectsContinue = expectsContinue;
  }

  /** The connection counts for this key from now on. Throws `overloaded` where the key holds too many. */
  claimFor(keyId: string): void {
    this.#claim(keyId);
  }

  /** Lets a client that waits for `100 Continue` send its body. */
  askForBody(): void {
    if (this.#expectsContinue) this.response.askForBody();
    this.#expectsContinue = false;
  }

  /** The body, for who has to look at it before it leaves. */
  stream(): Readable {
    return this.request.stream();
  }

  /** Calls back once, when the exchange is over, or at once if it is. */
  onceOver(callback: () => void): void {
    this.response.onceOver(callback);
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
    if (refusal !== null) (this.upgrade?.socket ?? this.response).destroy();
    return refusal;
  }

  /** Asks both ends of a WebSocket to close; a request that has an end of its own is left to it. */
  leave(): void {
    this.#leave?.();
  }

  /** Whom the exchange is waiting for, as the watchdog counts time. */
  phase(): Phase {
    if (this.upgrade !== null) return this.#leave === null ? 'answer' : 'tunnel';
    if (!this.request.complete) return 'body';
    if (!this.response.started) return 'answer';
    return this.response.waits || this.response.ended ? 'body' : 'stream';
  }
}
