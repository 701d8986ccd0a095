import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AlterError } from '../core/errors.ts';
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
  readonly expectsContinue: boolean;
  readonly startedMs = performance.now();
  #recheck: Recheck | null = null;

  constructor(of: {
    req: IncomingMessage;
    res: ServerResponse;
    tunnel: Tunnel | null;
    clientAddress: string;
    expectsContinue: boolean;
  }) {
    this.req = of.req;
    this.res = of.res;
    this.tunnel = of.tunnel;
    this.clientAddress = of.clientAddress;
    this.expectsContinue = of.expectsContinue;
  }

  get raw(): RawRequest {
    const { method = '', url = '', httpVersion, rawHeaders } = this.req;
    return { method, url, httpVersion, rawHeaders };
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
    if (refusal !== null) this.res.destroy();
    return refusal;
  }

  /** Whom the exchange is waiting for, as the watchdog counts time. */
  phase(): Phase {
    if (!this.req.complete) return 'body';
    if (!this.res.headersSent) return 'answer';
    return this.res.writableNeedDrain || this.res.writableEnded ? 'body' : 'stream';
  }
}
