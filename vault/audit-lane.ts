import { randomBytes } from 'node:crypto';
import type { AuditEvent } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import type { RateDemand } from '../core/evaluate.ts';
import { type ChainHead, nextLink, startChain } from './audit-chain.ts';
import { auditContext } from './audit-reader.ts';
import { toRow } from './audit-row.ts';
import type { SpaceKeys } from './keyring.ts';
import { Lru } from './lru.ts';
import type { RateTake, RateVerdict, Store } from './store.ts';

/** What may be recorded: the app is that of the lane. */
export type LaneEvent = Omit<AuditEvent, 'app_id'>;

export interface LaneOptions {
  readonly store: Store;
  readonly keys: SpaceKeys;
  readonly writer: string;
  readonly appendTimeoutMs: number;
  /** `count` events have left the queue: they are durable, or given up. */
  readonly onSettled: (count: number) => void;
  readonly onError: (error: AlterError) => void;
}

const maxGroup = 512;
/** The most that an event which nobody waits for waits for others. */
const lingerMs = 100;
const retryMs = 250;
/** An append is worth its cost with this many requests in it; one with fewer waits this long for more, while more come. */
const company = 32;
const gatherMs = 2;
const noVerdicts: readonly RateVerdict[] = [];

/** Events that are sealed, chained and appended as one entry. */
class Group {
  readonly events: LaneEvent[] = [];
  /** Beside each event: whether somebody waits for it. */
  readonly awaited: boolean[] = [];
  readonly takes: RateTake[] = [];
  /** One promise for all who wait and take no rate, and one for all who do: each request would cost one of its own. */
  #durable: PromiseWithResolvers<readonly RateVerdict[]> | null = null;
  #taken: PromiseWithResolvers<readonly RateVerdict[]> | null = null;

  /** How many events somebody waits for. */
  waiting = 0;

  add(event: LaneEvent, isAwaited: boolean): void {
    this.events.push(event);
    this.awaited.push(isAwaited);
    if (isAwaited) this.waiting++;
  }

  /** Resolves with no verdicts. */
  durable(): Promise<readonly RateVerdict[]> {
    this.#durable ??= Promise.withResolvers();
    return this.#durable.promise;
  }

  /** Resolves with the verdicts of all takes of the group, in order. */
  taken(): Promise<readonly RateVerdict[]> {
    this.#taken ??= Promise.withResolvers();
    return this.#taken.promise;
  }

  resolve(verdicts: readonly RateVerdict[]): void {
    this.#durable?.resolve(noVerdicts);
    this.#taken?.resolve(verdicts);
  }

  reject(error: AlterError): void {
    this.#durable?.reject(error);
    this.#taken?.reject(error);
  }
}

/**
 * The way of one space's events into the store: one append under way at a time, and everything that arrives meanwhile
 * shares the next one, so that concurrent requests share a round trip or an fsync. What nobody waits for goes with the
 * next event that somebody waits for, or alone after 100 ms.
 */
export class AuditLane {
  readonly #of: LaneOptions;
  /** Their names in the store cost an HMAC each. */
  readonly #buckets = new Lru<string>(4_096);
  /** The last one is open. */
  #groups: Group[] = [];
  #flushing = false;
  #immediate: NodeJS.Immediate | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closing: (() => void) | null = null;
  /** When the first append failed of those that have failed since the last that worked, of `performance.now()`. */
  failingSince: number | null = null;
  #writer!: string;
  #head!: ChainHead;

  constructor(of: LaneOptions) {
    this.#of = of;
    this.#startEpoch();
  }

  /** Nobody waits for it: where it can't be written it is tried again. */
  note(event: LaneEvent): void {
    this.#openGroup().add(event, false);
    this.#schedule();
  }

  /** Resolves when the event is durable and its rates are taken, with their verdicts. Rejects with `audit_unavailable`. */
  settle(event: LaneEvent, rates: readonly RateDemand[]): Promise<readonly RateVerdict[]> {
    const group = this.#openGroup();
    group.add(event, true);
    if (rates.length === 0) {
      const durable = group.durable();
      this.#schedule();
      return durable;
    }
    const at = group.takes.length;
    for (const [index, { bucket, requests, perSeconds }] of rates.entries())
      group.takes.push({ bucket: this.#nameOf(bucket), requests, perSeconds, withPrevious: index > 0 });
    const taken = group.taken().then((verdicts) => verdicts.slice(at, at + rates.length));
    this.#schedule();
    return taken;
  }

  /** Resolves when the queue is empty. What can't be written now is given up. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closing = resolve;
      this.#schedule();
    });
  }

  #openGroup(): Group {
    const last = this.#groups.at(-1);
    if (last !== undefined && last.events.length < maxGroup) return last;
    const group = new Group();
    this.#groups.push(group);
    return group;
  }

  #nameOf(bucket: string): string {
    const known = this.#buckets.get(bucket);
    if (known !== undefined) return known;
    const name = this.#of.keys.word('rate', bucket);
    this.#buckets.set(bucket, name);
    return name;
  }

  #schedule(afterFailure = false): void {
    if (this.#flushing || this.#immediate !== null) return; // it looks again when it is done
    if (this.#groups.length === 0) {
      this.#closing?.();
      return;
    }
    const isFull = this.#groups.length > 1 || this.#groups[0]!.events.length >= maxGroup;
    if (this.#closing !== null || (isFull && !afterFailure) || this.#groups.some(({ waiting }) => waiting > 0)) {
      // Not in this very tick: whatever else the loop has to deliver now joins the same append, which costs a round trip
      // or an fsync, and so much more than the wait.
      this.#immediate = setImmediate(() => this.#gather(performance.now() + gatherMs, this.#waiting()));
    } else {
      this.#timer ??= setTimeout(() => this.#flush(), afterFailure ? retryMs : lingerMs);
    }
  }

  /** As long as every turn of the loop brings more, they join: a lone request finds the next turn empty, and goes at once. */
  #gather(until: number, before: number): void {
    const waiting = this.#waiting();
    if (waiting > before && waiting < company && performance.now() < until)
      this.#immediate = setImmediate(() => this.#gather(until, waiting));
    else this.#flush();
  }

  #waiting(): number {
    return this.#groups[0]?.waiting ?? 0;
  }

  #flush(): void {
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#immediate = null;
    this.#timer = null;
    const group = this.#groups.shift()!;
    this.#flushing = true;
    this.#append(group).then(
      (verdicts) => {
        this.failingSince = null;
        this.#of.onSettled(group.events.length);
        group.resolve(verdicts);
        this.#flushing = false;
        this.#schedule();
      },
      (cause: unknown) => {
        this.#fail(group, new AlterError('audit_unavailable', { cause }));
        this.#flushing = false;
        this.#schedule(true);
      },
    );
  }

  /** Resolves with the verdicts of all takes, in order. */
  async #append({ events, takes }: Group): Promise<RateVerdict[]> {
    const { store, keys } = this.#of;
    // One entry for the whole group: it is sealed and chained once, however many requests share it.
    const bound = auditContext({ writer: this.#writer, sequence: this.#head.sequence + 1 });
    const body = keys.sealAudit(bound, Buffer.from(JSON.stringify(events.map(toRow))));
    const head = nextLink(this.#head, body);
    const entry = { writer: this.#writer, sequence: head.sequence, hash: head.hash, body };
    const verdicts = await this.#inTime(store.append(keys.space, [entry], takes));
    if (verdicts.length !== takes.length) throw new Error('the store answered for other rates than were asked');
    this.#head = head;
    return verdicts;
  }

  #fail(group: Group, error: AlterError): void {
    // Nobody knows whether these entries were written, or still will be: an answer can be lost on its way back. To go on
    // from the old head could write a sequence twice, and to skip it would leave a gap; both look like a forgery to whoever
    // verifies. So the chain ends here, wherever that is, and a new one begins under a new name.
    this.#startEpoch();
    this.failingSince ??= performance.now();
    this.#of.onError(error);
    // Should the lost append have worked after all, what is kept stands there twice, with one id.
    const kept = this.#closing === null ? group.events.filter((_, index) => !group.awaited[index]) : [];
    if (kept.length > 0) this.#putBack(kept);
    this.#of.onSettled(group.events.length - kept.length);
    group.reject(error);
  }

  /** Before what came later. */
  #putBack(events: readonly LaneEvent[]): void {
    const [next] = this.#groups;
    const group = next !== undefined && next.events.length + events.length <= maxGroup ? next : new Group();
    group.events.unshift(...events);
    group.awaited.unshift(...events.map(() => false));
    if (group !== next) this.#groups.unshift(group);
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
