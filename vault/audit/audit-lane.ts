import { randomBytes } from 'node:crypto';
import type { AuditEvent } from '../../core/audit-event.ts';
import { AlterError } from '../../core/errors.ts';
import type { RateDemand } from '../../core/evaluate.ts';
import { type GuardedStore, isRolledBack } from '../guard/guarded-store.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { Lru } from '../lru.ts';
import type { RateTake, RateVerdict } from '../store/store.ts';
import { type ChainHead, nextLink, startChain } from './audit-chain.ts';
import { AuditCheckpoints } from './audit-checkpoints.ts';
import { sealEntry } from './audit-entry.ts';
import { ClockFloor } from './clock-floor.ts';

/** What may be recorded: the app is that of the lane. */
export type LaneEvent = Omit<AuditEvent, 'app_id'>;

export interface LaneOptions {
  readonly store: GuardedStore;
  readonly keys: SpaceKeys;
  readonly writer: string;
  readonly appendTimeoutMs: number;
  /** The most that an event which nobody waits for waits for others. */
  readonly lingerMs: number;
  /** `count` events have left the queue: they are durable, or given up. */
  readonly onSettled: (count: number) => void;
  readonly onError: (error: AlterError) => void;
}

const maxGroup = 512;
const retryMs = 250;
/** An append is worth its cost with this many requests in it; one with fewer waits this long for more, where the loop is busy. */
const company = 32;
const gatherMs = 10;
/** A turn of the loop that takes less had nothing to do. */
const idleTurnMs = 0.05;
/** After this many entries, or this long after the first one that has none, a checkpoint is written: each moves the epoch of the space on. */
const entriesPerMark = 50_000;
const markEveryMs = 5 * 60_000;
const maxUnmarked = 20;
const longestSilenceMs = 24 * 3_600_000;
const noVerdicts: readonly RateVerdict[] = [];

/** One chain of this process, from its first entry to the first failure. */
interface Epoch {
  readonly writer: string;
  head: ChainHead;
  /** In the chain. */
  events: number;
  /** On the monotonic clock. */
  writtenAt: number;
  isRegistered: boolean;
  /** Nothing more will come. Never said of a chain whose last append has an unknown fate. */
  isClosed: boolean;
  /** The sequence of the last checkpoint. */
  marked: number;
}

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
  /** To be written without waiting for more. */
  isUrgent = false;

  add(event: LaneEvent, isAwaited: boolean): void {
    this.events.push(event);
    this.awaited.push(isAwaited);
    if (!isAwaited) return;
    this.waiting++;
    this.isUrgent = true;
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
  /** What the clock must not fall behind. */
  readonly floor: ClockFloor;
  /** When the first append failed of those that have failed since the last that worked, of `performance.now()`. */
  failingSince: number | null = null;
  readonly #checkpoints: AuditCheckpoints;
  #epoch: Epoch;
  /** Chains that have ended, or gone on, since their last checkpoint. */
  readonly #unmarked = new Set<Epoch>();
  #marking: Promise<void> = Promise.resolve();
  #markTimer: NodeJS.Timeout | null = null;

  constructor(of: LaneOptions) {
    this.#of = of;
    this.#checkpoints = new AuditCheckpoints(of);
    this.floor = new ClockFloor(of);
    this.#epoch = this.#startEpoch();
  }

  /** Nobody waits for it: where it can't be written it is tried again. `isUrgent`: nor does it wait for others. */
  note(event: LaneEvent, isUrgent = false): void {
    const group = this.#openGroup();
    group.add(event, false);
    group.isUrgent ||= isUrgent;
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

  /** Resolves when the queue is empty and its end is on record. What can't be written now is given up. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#closing = resolve;
      this.#schedule();
    });
    if (this.#markTimer !== null) clearTimeout(this.#markTimer);
    this.#markTimer = null;
    const epoch = this.#epoch;
    if (epoch.isRegistered && !epoch.isClosed) {
      epoch.isClosed = true;
      this.#unmarked.add(epoch);
    }
    this.#mark();
    await this.#marking;
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
    if (this.#closing !== null || (this.#isFull() && !afterFailure) || this.#groups.some(({ isUrgent }) => isUrgent)) {
      // Not in this very tick: whatever else the loop has to deliver now joins the same append, which costs a round trip
      // or an fsync, and so much more than the wait.
      this.#immediate = setImmediate(() => this.#gather(performance.now()));
    } else {
      this.#timer ??= setTimeout(() => this.#flush(), afterFailure ? retryMs : this.#of.lingerMs);
    }
  }

  /** As long as the loop has other work, whose requests may join: a lone one finds the next turn empty, and goes at once. */
  #gather(begunAt: number, turnAt = begunAt): void {
    this.#immediate = setImmediate(() => {
      const now = performance.now();
      const isIdle = now - turnAt < idleTurnMs;
      if (isIdle || now - begunAt >= gatherMs || this.#waiting() >= company || this.#isFull()) this.#flush();
      else this.#gather(begunAt, now);
    });
  }

  /** Nothing more fits. What nobody waits for would pile up behind it under full load, until there is no room for more. */
  #isFull(): boolean {
    return this.#groups.length > 1 || (this.#groups[0]?.events.length ?? 0) >= maxGroup;
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
    const epoch = await this.#openEpoch();
    const { writer } = epoch;
    // One entry for the whole group: it is sealed and chained once, however many requests share it.
    const body = sealEntry(keys, { writer, sequence: epoch.head.sequence + 1 }, events);
    const head = nextLink(epoch.head, body);
    const entry = { writer, sequence: head.sequence, hash: head.hash, body };
    const verdicts = await this.#inTime(store.append(keys.space, [entry], takes));
    if (verdicts.length !== takes.length) throw new Error('the store answered for other rates than were asked');
    epoch.head = head;
    epoch.events += events.length;
    this.floor.raise(events.at(-1)!.time);
    epoch.writtenAt = performance.now();
    this.#markSoon(epoch);
    return verdicts;
  }

  /** The chain that is written to now, known to the store before its first entry is. */
  async #openEpoch(): Promise<Epoch> {
    // Retention takes out writers who have been silent for longer: they must not go on under their old name.
    if (performance.now() - this.#epoch.writtenAt > longestSilenceMs) this.#epoch = this.#startEpoch();
    const epoch = this.#epoch;
    if (!epoch.isRegistered) {
      await this.#inTime(this.#register(epoch.writer));
      epoch.isRegistered = true;
    }
    return epoch;
  }

  async #register(writer: string): Promise<void> {
    try {
      await this.#checkpoints.register(writer);
    } catch (error) {
      if (!isRolledBack(error)) throw error;
      // That a state was rolled back, and who accepted it, must be on record too.
      await new AuditCheckpoints({ store: this.#of.store.unguarded, keys: this.#of.keys }).register(writer);
    }
  }

  #markSoon(epoch: Epoch): void {
    this.#unmarked.add(epoch);
    if (epoch.head.sequence - epoch.marked >= entriesPerMark) {
      epoch.marked = epoch.head.sequence; // asked for
      this.#mark();
    } else if (this.#markTimer === null && this.#closing === null) {
      this.#markTimer = setTimeout(() => this.#mark(), markEveryMs);
      this.#markTimer.unref();
    }
  }

  /** Writes the checkpoints that are due, one after the other. What fails is due again. */
  #mark(): void {
    this.#markTimer = null;
    const due = [...this.#unmarked];
    this.#unmarked.clear();
    this.#marking = this.#marking.then(async () => {
      for (const epoch of due) {
        const { writer, head, events, isClosed } = epoch;
        try {
          await this.#inTime(this.#checkpoints.advance({ writer, head, events, isClosed }));
          epoch.marked = Math.max(epoch.marked, head.sequence);
        } catch (error) {
          if (error instanceof AlterError && error.code === 'not_found') continue; // retention took all of it, and the writer out
          // A store that is away is reported by what has to be written, and what there is still stands.
          if (this.#closing !== null) return;
          if (this.#unmarked.size < maxUnmarked) this.#markSoon(epoch);
        }
      }
    });
  }

  #fail(group: Group, error: AlterError): void {
    // Nobody knows whether these entries were written, or still will be: an answer can be lost on its way back. To go on
    // from the old head could write a sequence twice, and to skip it would leave a gap; both look like a forgery to whoever
    // verifies. So the chain ends here, wherever that is, and a new one begins under a new name.
    this.#epoch = this.#startEpoch();
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

  #startEpoch(): Epoch {
    const writer = `${this.#of.writer}.${randomBytes(6).toString('hex')}`;
    const head = startChain({ space: this.#of.keys.space, writer });
    return { writer, head, events: 0, writtenAt: performance.now(), isRegistered: false, isClosed: false, marked: 0 };
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the store did not answer in time')), this.#of.appendTimeoutMs);
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}
