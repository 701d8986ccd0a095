import { randomBytes } from 'node:crypto';
import type { AuditEvent } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import type { RateDemand } from '../core/evaluate.ts';
import { type ChainHead, nextLink, startChain } from './audit-chain.ts';
import { auditContext } from './audit-reader.ts';
import type { SpaceKeys } from './keyring.ts';
import type { AuditEntry, RateVerdict, Store } from './store.ts';

/** One event on its way into the store. `settle` is null where nobody waits for it. */
export interface PendingEvent {
  readonly event: AuditEvent;
  readonly rates: readonly RateDemand[];
  readonly settle: { resolve(verdicts: RateVerdict[]): void; reject(error: AlterError): void } | null;
}

export interface LaneOptions {
  readonly store: Store;
  readonly keys: SpaceKeys;
  readonly writer: string;
  readonly appendTimeoutMs: number;
  /** `count` events have left the queue: they are durable, or given up. */
  readonly onSettled: (count: number) => void;
  readonly onError: (error: AlterError) => void;
}

const maxBatch = 512;
/** The most that a buffered event waits for others. */
const bufferMs = 100;
const retryMs = 250;

/**
 * The way of one space's events into the store: one append under way at a time, and everything that arrives meanwhile
 * shares the next one, so that concurrent requests share a round trip or an fsync.
 */
export class AuditLane {
  readonly #of: LaneOptions;
  #queue: PendingEvent[] = [];
  /** Somebody waits for an event in the queue. */
  #urgent = false;
  #flushing = false;
  #immediate: NodeJS.Immediate | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closing: (() => void) | null = null;
  #writer!: string;
  #head!: ChainHead;

  constructor(of: LaneOptions) {
    this.#of = of;
    this.#startEpoch();
  }

  add(pending: PendingEvent): void {
    this.#queue.push(pending);
    if (pending.settle !== null) this.#urgent = true;
    this.#schedule();
  }

  /** Resolves when the queue is empty. What can't be written now is given up. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closing = resolve;
      this.#schedule();
    });
  }

  #schedule(afterFailure = false): void {
    if (this.#flushing) return; // looks again when it is done
    if (this.#queue.length === 0) {
      this.#closing?.();
      return;
    }
    const urgent = this.#closing !== null || this.#urgent || (this.#queue.length >= maxBatch && !afterFailure);
    if (urgent) {
      // Not in this very tick: whatever else the loop has to deliver now joins the same append, which costs a round trip
      // or an fsync, and so much more than the wait.
      this.#immediate ??= setImmediate(() => void this.#flush());
    } else {
      this.#timer ??= setTimeout(() => void this.#flush(), afterFailure ? retryMs : bufferMs);
    }
  }

  async #flush(): Promise<void> {
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#immediate = null;
    this.#timer = null;
    this.#flushing = true;

    const batch = this.#queue.splice(0, maxBatch);
    this.#urgent = this.#queue.some(({ settle }) => settle !== null);
    let failed = false;
    try {
      const verdicts = await this.#append(batch);
      this.#of.onSettled(batch.length);
      let at = 0;
      for (const { rates, settle } of batch) {
        settle?.resolve(verdicts.slice(at, at + rates.length));
        at += rates.length;
      }
    } catch (cause) {
      failed = true;
      this.#fail(batch, new AlterError('audit_unavailable', { cause }));
    }
    this.#flushing = false;
    this.#schedule(failed);
  }

  /** Resolves with the verdicts of all rates, in order. */
  async #append(batch: readonly PendingEvent[]): Promise<RateVerdict[]> {
    const { store, keys } = this.#of;
    // One entry for the whole group: it is sealed and chained once, however many requests share it.
    const bound = auditContext({ writer: this.#writer, sequence: this.#head.sequence + 1 });
    const body = keys.sealAudit(bound, Buffer.from(JSON.stringify(batch.map(({ event }) => event))));
    const head = nextLink(this.#head, body);
    const entry: AuditEntry = { writer: this.#writer, sequence: head.sequence, hash: head.hash, body };
    const takes = batch.flatMap(({ rates }) =>
      rates.map(({ bucket, requests, perSeconds }, index) => {
        return { bucket: keys.word('rate', bucket), requests, perSeconds, withPrevious: index > 0 };
      }),
    );
    const verdicts = await this.#inTime(store.append(keys.space, [entry], takes));
    if (verdicts.length !== takes.length) throw new Error('the store answered for other rates than were asked');
    this.#head = head;
    return verdicts;
  }

  #fail(batch: readonly PendingEvent[], error: AlterError): void {
    // Nobody knows whether these entries were written, or still will be: an answer can be lost on its way back. To go on
    // from the old head could write a sequence twice, and to skip it would leave a gap; both look like a forgery to whoever
    // verifies. So the chain ends here, wherever that is, and a new one begins under a new name.
    this.#startEpoch();
    this.#of.onError(error);
    const kept: PendingEvent[] = [];
    let given = 0;
    for (const pending of batch) {
      if (pending.settle === null && this.#closing === null) {
        kept.push(pending); // should the lost append have worked after all, the event stands there twice, with one id
      } else {
        given++;
        pending.settle?.reject(error);
      }
    }
    if (kept.length > 0) this.#queue = [...kept, ...this.#queue];
    this.#of.onSettled(given);
  }

  #startEpoch(): void {
    this.#writer = `${this.#of.writer}.${randomBytes(6).toString('hex')}`;
    this.#head = startChain({ space: this.#of.keys.space, writer: this.#writer });
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the store did not answer in time')), this.#of.appendTimeoutMs);
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}
