import type { AuditEvent } from '../../core/audit-event.ts';
import { AlterError } from '../../core/errors.ts';
import type { RateDemand } from '../../core/evaluate.ts';
import { isId } from '../../core/id.ts';
import { type SpaceKeys, systemSpace } from '../keys/keyring.ts';
import type { RateVerdict } from '../store/store.ts';
import type { DataPlaneVault } from '../vault.ts';
import { AuditLane } from './audit-lane.ts';

export interface AuditLogOptions {
  readonly vault: DataPlaneVault;
  /** Names this process in the chain; a random part is added, so that a restart never continues another chain. */
  readonly writer: string;
  readonly mode: 'strict' | 'buffered';
  /** Told of every failed write; a request that waited for it was refused. */
  readonly onError?: (error: AlterError) => void;
  /** How many events may wait, over all apps, before more are refused. */
  readonly maxBacklog?: number;
  /** How long what nobody waits for may go on while the store takes no records, in `buffered` mode. */
  readonly maxUnwrittenMs?: number;
  /** A store that hangs is as good as none. */
  readonly appendTimeoutMs?: number;
}

/**
 * What may be recorded: an event of no known app has a null `app_id`, and is kept in the system space, or with the only app
 * that this process can open.
 */
export type RecordableEvent = Omit<AuditEvent, 'app_id'> & { readonly app_id: string | null };

const strictLingerMs = 10;
const bufferedLingerMs = 100;

export class AuditLog {
  readonly #vault: DataPlaneVault;
  readonly #writer: string;
  readonly #mode: AuditLogOptions['mode'];
  readonly #onError: (error: AlterError) => void;
  readonly #maxBacklog: number;
  readonly #maxUnwrittenMs: number;
  readonly #appendTimeoutMs: number;
  /** By space. */
  readonly #lanes = new Map<string, AuditLane>();
  readonly #admissions = new Set<Promise<unknown>>();
  #backlog = 0;
  /** Something that nobody waited for was lost, and that was reported. */
  #overflowing = false;
  #closed = false;

  constructor(options: AuditLogOptions) {
    this.#vault = options.vault;
    this.#writer = options.writer;
    this.#mode = options.mode;
    this.#onError = options.onError ?? (() => {});
    this.#maxBacklog = options.maxBacklog ?? 10_000;
    this.#maxUnwrittenMs = options.maxUnwrittenMs ?? 5_000;
    this.#appendTimeoutMs = options.appendTimeoutMs ?? 5_000;
  }

  /**
   * Takes the rates and makes the event durable in one step; the verdicts stand in the order of the rates. In `buffered`
   * mode it resolves at once where no rate is demanded. Rejects with `audit_unavailable`.
   */
  async record(event: RecordableEvent, rates: readonly RateDemand[] = []): Promise<readonly RateVerdict[]> {
    const lane = this.#enter(event);
    if (lane instanceof Promise)
      return this.#admit(lane.then(async (found) => (await this.#add(found, event, rates)) ?? []));
    return (await this.#add(lane, event, rates)) ?? [];
  }

  /**
   * The same for the way of a request: null where there is nothing to wait for. Throws `audit_unavailable`, or rejects with
   * it; for the use of a secret also `state_unavailable`, where the clock is behind the last record: windows of time and ends
   * of grants would be judged by a time that is over.
   */
  decide(event: RecordableEvent, rates: readonly RateDemand[]): Promise<readonly RateVerdict[]> | null {
    const lane = this.#enter(event);
    if (!(lane instanceof Promise) && lane.floor.isKnown) return this.#judge(lane, event, rates);
    const ready = (async () => {
      const found = await lane;
      try {
        await found.floor.find();
      } catch (cause) {
        this.#backlog--;
        throw new AlterError('audit_unavailable', { cause });
      }
      return (await this.#judge(found, event, rates)) ?? [];
    })();
    return this.#admit(ready);
  }

  /** Some app has records that are newer than this clock says it is. */
  isClockBehind(now: number): boolean {
    const time = new Date(now).toISOString();
    return [...this.#lanes.values()].some(({ floor }) => floor.isBehind(time));
  }

  /** Throws `audit_unavailable`. */
  #enter({ app_id: appId }: RecordableEvent): AuditLane | Promise<AuditLane> {
    const problem = this.#problem();
    if (problem !== null) throw problem;
    this.#backlog++;
    return this.#findLane(appId);
  }

  #judge(
    lane: AuditLane,
    event: RecordableEvent,
    rates: readonly RateDemand[],
  ): Promise<readonly RateVerdict[]> | null {
    const usesSecret = (event.managed_secret_id ?? null) !== null;
    if (!usesSecret || !lane.floor.isBehind(event.time)) return this.#add(lane, event, rates);
    this.#backlog--;
    throw lane.floor.refusal(event.time);
  }

  #add(lane: AuditLane, event: RecordableEvent, rates: readonly RateDemand[]): Promise<readonly RateVerdict[]> | null {
    if (this.#mode === 'strict' || rates.length > 0) return lane.settle(event, rates);
    if (lane.failingSince !== null && performance.now() - lane.failingSince > this.#maxUnwrittenMs) {
      this.#backlog--;
      throw new AlterError('audit_unavailable', { detail: 'The store has taken no audit records for too long.' });
    }
    lane.note(event);
    return null;
  }

  /**
   * Records what has happened already, for which nothing waits: with the next event that somebody waits for, or within
   * 100 ms, or as soon as the store is there again. What has no room is lost, and reported.
   */
  note(event: RecordableEvent): void {
    const problem = this.#problem();
    if (problem !== null) {
      // Once until there is room again: under a flood the log must not become the next one.
      if (!this.#overflowing) this.#onError(problem);
      this.#overflowing = true;
      return;
    }
    this.#overflowing = false;
    this.#backlog++;
    const lane = this.#findLane(event.app_id);
    // A refusal is the whole record of a request: whoever looks why it was refused finds it at once.
    const isUrgent = this.#mode === 'strict' && event.decision === 'deny';
    if (lane instanceof Promise) this.#admit(lane.then((found) => found.note(event, isUrgent))).catch(reported);
    else lane.note(event, isUrgent);
  }

  /** Waits until everything recorded before is durable or has failed. Records after it are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    const closing = () => [...this.#lanes.values()].map((lane) => lane.close());
    await Promise.all(closing());
    await Promise.allSettled(this.#admissions);
    await Promise.all(closing());
  }

  #problem(): AlterError | null {
    if (this.#closed) return new AlterError('audit_unavailable', { detail: 'The audit log is closed.' });
    if (this.#backlog < this.#maxBacklog) return null;
    return new AlterError('audit_unavailable', { detail: 'Too many audit records are waiting for the store.' });
  }

  /** Of an event whose lane had to be found first. */
  #admit<T>(added: Promise<T>): Promise<T> {
    this.#admissions.add(added);
    const settled = () => this.#admissions.delete(added);
    added.then(settled, settled);
    return added;
  }

  /** The lane of the app, or of where events without a known app belong. Rejects with `audit_unavailable`. */
  #findLane(appId: string | null): AuditLane | Promise<AuditLane> {
    const { keyring, onlyAppId } = this.#vault;
    const home = onlyAppId ?? systemSpace;
    const lane = this.#lanes.get(appId ?? home);
    if (lane !== undefined) return lane;
    const isApp = appId !== null && isId(appId);
    const keys = keyring.of(isApp ? appId : home);
    if (!(keys instanceof Promise)) return this.#laneOf(keys);
    return keys
      .catch((error: unknown) => {
        if (isApp && error instanceof AlterError && error.code === 'not_found') return keyring.of(home);
        throw error;
      })
      .then(
        (found) => this.#laneOf(found),
        (cause: unknown) => {
          this.#backlog--;
          const error = new AlterError('audit_unavailable', { cause });
          this.#onError(error);
          throw error;
        },
      );
  }

  #laneOf(keys: SpaceKeys): AuditLane {
    let lane = this.#lanes.get(keys.space);
    if (lane === undefined) {
      lane = new AuditLane({
        store: this.#vault.store,
        keys,
        writer: this.#writer,
        appendTimeoutMs: this.#appendTimeoutMs,
        lingerMs: this.#mode === 'strict' ? strictLingerMs : bufferedLingerMs,
        onSettled: (count) => {
          this.#backlog -= count;
        },
        onError: this.#onError,
      });
      this.#lanes.set(keys.space, lane);
    }
    return lane;
  }
}

/** It was told to `onError`. */
function reported(): void {}
