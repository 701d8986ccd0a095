import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type {
  AuditEntry,
  AuditQuery,
  Change,
  ListQuery,
  RateTake,
  RateVerdict,
  RecordKey,
  RecordPage,
  Store,
  StoredAuditEntry,
  StoredRecord,
  Watch,
  Watcher,
} from '../store/store.ts';
import { epochKey } from './epoch.ts';
import { floorsType } from './floors.ts';
import { SpaceGuard } from './space-guard.ts';
import type { StateMarks } from './state-marks.ts';

/** A space whose state was found to be older than one that was seen before, or is so no longer (`error` is null). */
export type RollbackListener = (event: { readonly space: string; readonly error: AlterError | null }) => void;

export function isRolledBack(error: unknown): boolean {
  return error instanceof AlterError && error.code === 'state_rollback';
}

export interface GuardedStoreOptions {
  /** Closed with this one. */
  readonly store: Store;
  readonly keysOf: (space: string) => SpaceKeys | Promise<SpaceKeys>;
  readonly marks: StateMarks;
}

/** Told of changes, a space is looked at so soon; what follows in this time shares the look. */
const lookAfterMs = 50;
const lookEveryMs = 1_000;

/**
 * A store that gives nothing older than what was seen of it before. Every commit moves the sealed epoch of its space on,
 * every answer is held to it, in the same round trip; what is older rejects with `state_rollback` for a whole space and
 * with `state_invalid` for a single record. A space that is followed is also looked at when nobody asks.
 *
 * The audit goes through untouched: that a state was rolled back must be recorded too.
 */
export class GuardedStore implements Store {
  /** The store itself, which believes what it is given: for the way out of a rollback, and nothing else. */
  readonly unguarded: Store;
  readonly #keysOf: GuardedStoreOptions['keysOf'];
  readonly #marks: StateMarks;
  readonly #guards = new Map<string, SpaceGuard>();
  readonly #listeners = new Set<RollbackListener>();
  readonly #timer: NodeJS.Timeout;

  constructor(of: GuardedStoreOptions) {
    this.unguarded = of.store;
    this.#keysOf = of.keysOf;
    this.#marks = of.marks;
    this.#timer = setInterval(() => this.#lookAtFollowed(), lookEveryMs);
    this.#timer.unref();
  }

  /** Tells of every rollback that is found, and of its end. */
  onRollback(listener: RollbackListener): void {
    this.#listeners.add(listener);
  }

  /** The spaces whose state is refused now. */
  rolledBack(): string[] {
    return [...this.#guards.values()].filter((guard) => guard.refusal !== null).map((guard) => guard.space);
  }

  /** 0 until the space was looked at, and as long as no operator has accepted a state of it. */
  eraOf(space: string): number {
    return this.#guards.get(space)?.era ?? 0;
  }

  /** Differs after every change of the space. As it was when the space was last looked at. */
  positionOf(space: string): string {
    return this.#guards.get(space)?.position ?? '';
  }

  /** Which of these were deleted in this store. */
  async areGone(space: string, keys: readonly RecordKey[]): Promise<boolean[]> {
    return (await this.#guardOf(space)).areGone(keys);
  }

  /** Looks at the space. Rejects with `state_rollback`, `state_invalid`, `state_unavailable`. */
  async look(space: string): Promise<void> {
    await (await this.#guardOf(space)).look();
  }

  /**
   * Accepts the state that the space has now, whatever was seen before: everybody who follows it does the same. Resolves
   * with the new era.
   */
  async reanchor(space: string, now: number): Promise<number> {
    return (await this.#guardOf(space)).reanchor(now);
  }

  async get(space: string, keys: readonly RecordKey[]): Promise<(StoredRecord | null)[]> {
    return keys.length === 0 ? [] : (await this.#guardOf(space)).get(keys);
  }

  async list(query: ListQuery): Promise<RecordPage> {
    return (await this.#guardOf(query.space)).list(query);
  }

  async commit(space: string, changes: readonly Change[]): Promise<void> {
    if (changes.length > 0) await (await this.#guardOf(space)).commit(changes);
  }

  async findByName(space: string, names: readonly string[]): Promise<(RecordKey | null)[]> {
    this.#requireAccepted(space);
    return this.unguarded.findByName(space, names);
  }

  async findByTags(space: string, tags: readonly string[], limit: number): Promise<RecordKey[]> {
    this.#requireAccepted(space);
    return this.unguarded.findByTags(space, tags, limit);
  }

  append(space: string, entries: readonly AuditEntry[], takes: readonly RateTake[]): Promise<RateVerdict[]> {
    return this.unguarded.append(space, entries, takes);
  }

  readAudit(query: AuditQuery): Promise<StoredAuditEntry[]> {
    return this.unguarded.readAudit(query);
  }

  trimAudit(space: string, upTo: string): Promise<void> {
    this.#requireAccepted(space);
    return this.unguarded.trimAudit(space, upTo);
  }

  async watch(space: string, watcher: Watcher): Promise<Watch> {
    const guard = await this.#guardOf(space);
    let soon: NodeJS.Timeout | null = null;
    const lookSoon = (): void => {
      soon ??= setTimeout(() => {
        soon = null;
        guard.look().catch(() => undefined);
      }, lookAfterMs).unref();
    };
    const watch = await this.unguarded.watch(space, {
      onChange: (key) => {
        if (key.type === epochKey.type) lookSoon();
        else if (key.type !== floorsType) watcher.onChange(key);
      },
      onReset: () => {
        watcher.onReset();
        lookSoon();
      },
      onContact: (at) => watcher.onContact(at),
    });
    guard.watchers.add(watcher);
    // So that the first question is one round trip too. What is wrong, every question tells.
    await guard.look().catch(() => undefined);
    return {
      stop: () => {
        if (soon !== null) clearTimeout(soon);
        guard.watchers.delete(watcher);
        watch.stop();
      },
    };
  }

  ping(): Promise<void> {
    return this.unguarded.ping();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#marks.close();
    await this.unguarded.close();
  }

  #guardOf(space: string): SpaceGuard | Promise<SpaceGuard> {
    const known = this.#guards.get(space);
    if (known !== undefined) return known;
    const keys = this.#keysOf(space);
    return keys instanceof Promise ? keys.then((loaded) => this.#addGuard(loaded)) : this.#addGuard(keys);
  }

  #addGuard(keys: SpaceKeys): SpaceGuard {
    const known = this.#guards.get(keys.space);
    if (known !== undefined) return known;
    const guard = new SpaceGuard({
      store: this.unguarded,
      keys,
      marks: this.#marks,
      onVerdict: (error) => {
        for (const listener of this.#listeners) listener({ space: keys.space, error });
      },
    });
    this.#guards.set(keys.space, guard);
    return guard;
  }

  #requireAccepted(space: string): void {
    const refusal = this.#guards.get(space)?.refusal ?? null;
    if (refusal !== null) throw refusal;
  }

  /** Somebody may put back what the change feed does not tell of. */
  #lookAtFollowed(): void {
    const since = performance.now() - lookEveryMs / 2;
    for (const guard of this.#guards.values())
      if (guard.watchers.size > 0 && guard.lookedAt < since) guard.look().catch(() => undefined);
  }
}
