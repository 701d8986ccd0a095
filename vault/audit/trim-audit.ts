import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { RevisionConflict, type Store, type StoredAuditEntry } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import { type ChainHead, verifyChain } from './audit-chain.ts';
import { AuditCheckpoints, type Checkpoint, type CheckpointState, hexOf, type Trim } from './audit-checkpoints.ts';
import { openEntry } from './audit-entry.ts';
import { cutHead } from './verify-audit.ts';

export interface TrimLimits {
  /** Events before this moment go, in milliseconds; null: none for their age. */
  readonly before: number | null;
  /** As many stay, about; null: all. */
  readonly maxEvents: number | null;
  /** The cursor of the last event that was exported: what is behind it stays. Null: nothing was. Undefined: it does not matter. */
  readonly exported: string | null | undefined;
}

/** What is about to go. Of its own making, so that a trim is on record before it happens. */
export type TrimReason = 'age' | 'size';

export interface TrimTarget {
  readonly store: Store;
  readonly keys: SpaceKeys;
  readonly limits: TrimLimits;
  readonly now: number;
  /** Called once, before anything is removed; where it rejects nothing is. */
  readonly announce: (reason: TrimReason) => Promise<void>;
}

const entriesPerStep = 500;
const maxSteps = 400;
const maxAttempts = 5;
/** Who did not say that they were through, because they were killed, is taken to be after so long a silence. */
const endedAfterMs = 30 * 86_400_000;
/** An entry whose answer was lost may stand a little behind the last one that is known of. */
const strayMs = 86_400_000;

/**
 * Removes the oldest entries that the limits allow to go, in steps: the cut is sealed first, and then the entries go, so that
 * who verifies knows at every moment where each chain begins. Nothing is removed over a break of a chain: that would hide it.
 *
 * Resolves with how many events were removed. Throws `state_invalid` where the audit is broken, `state_unavailable`.
 */
export async function trimAudit(target: TrimTarget): Promise<number> {
  const { store, keys } = target;
  const checkpoints = new AuditCheckpoints(target);
  let removed = 0;
  let isAnnounced = false;
  for (let step = 0; step < maxSteps; step++) {
    const state = await finishLast(target, checkpoints);
    const plan = await planStep(target, state);
    if (plan === null) break;
    if (!isAnnounced) await target.announce(plan.reason);
    isAnnounced = true;
    try {
      await checkpoints.cut({ state, ...plan });
    } catch (error) {
      if (error instanceof RevisionConflict && step < maxSteps - 1) continue; // a checkpoint went on meanwhile
      throw error;
    }
    await asked(store.trimAudit(keys.space, plan.trim.upTo));
    removed += plan.trim.events - (state.ledger.value.trim?.events ?? 0);
  }
  await finishLast(target, checkpoints);
  return removed;
}

/** Removes what the last cut signed off, where that was not done to its end. */
async function finishLast({ store, keys }: TrimTarget, checkpoints: AuditCheckpoints): Promise<CheckpointState> {
  for (let attempt = 1; ; attempt++) {
    const state = await checkpoints.load();
    const { trim } = state.ledger.value;
    if (trim === null || trim.isDone) return state;
    await asked(store.trimAudit(keys.space, trim.upTo));
    try {
      await checkpoints.cut({ state, changed: [], ended: [], trim: { ...trim, isDone: true } });
    } catch (error) {
      if (!(error instanceof RevisionConflict) || attempt === maxAttempts) throw error;
    }
  }
}

interface Plan {
  readonly changed: readonly Checkpoint[];
  readonly ended: readonly string[];
  readonly trim: Trim;
  readonly reason: TrimReason;
}

/** Null where nothing may go. */
async function planStep(target: TrimTarget, state: CheckpointState): Promise<Plan | null> {
  const { store, keys, limits, now } = target;
  const { space } = keys;
  const entries = await asked(store.readAudit({ space, order: 'ascending', limit: entriesPerStep }));
  const known = new Map([...state.checkpoints].map(([writer, { value }]) => [writer, value]));
  let excess = limits.maxEvents === null ? 0 : countEvents(known) - limits.maxEvents;
  const going: { readonly entry: StoredAuditEntry; readonly events: number; readonly newestAt: number }[] = [];
  let reason: TrimReason | null = null;
  for (const entry of entries) {
    if (limits.exported !== undefined && !isBehind(entry.cursor, limits.exported)) break;
    const events = openEntry(keys, entry);
    const newestAt = Math.max(0, ...events.map(({ time }) => Date.parse(time)));
    const isOld = limits.before !== null && newestAt < limits.before;
    if (!isOld && excess <= 0) break;
    reason ??= isOld ? 'age' : 'size';
    excess -= events.length;
    going.push({ entry, events: events.length, newestAt });
  }
  const last = going.at(-1);
  if (last === undefined || reason === null) return null;

  const from = new Map<string, ChainHead>();
  for (const checkpoint of known.values())
    if (checkpoint.cutSequence > 0) from.set(checkpoint.writer, cutHead(checkpoint));
  const verdict = verifyChain(
    going.map(({ entry }) => entry),
    { space, from },
  );
  if (verdict.kind === 'broken') throw broken(verdict.writer, verdict.sequence);
  const touched = new Map<string, { checkpoint: Checkpoint; newestAt: number }>();
  for (const { entry, events, newestAt } of going) {
    const checkpoint = touched.get(entry.writer)?.checkpoint ?? known.get(entry.writer);
    if (checkpoint === undefined) throw broken(entry.writer, entry.sequence);
    touched.set(entry.writer, { checkpoint: withCut(checkpoint, entry, events), newestAt });
  }
  const before = state.ledger.value.trim;
  const trim: Trim = {
    upTo: last.entry.cursor,
    events: (before?.events ?? 0) + going.reduce((sum, { events }) => sum + events, 0),
    newestAt: Math.max(before?.newestAt ?? 0, ...going.map(({ newestAt }) => newestAt)),
    trimmedAt: now,
    isDone: false,
  };
  const isEnded = ({ checkpoint, newestAt }: { checkpoint: Checkpoint; newestAt: number }): boolean =>
    checkpoint.cutSequence === checkpoint.sequence &&
    (checkpoint.isClosed || (newestAt < now - endedAfterMs && newestAt < last.newestAt - strayMs));
  const ended = [...touched.values()].filter(isEnded).map(({ checkpoint }) => checkpoint.writer);
  const changed = [...touched.values()].filter((one) => !isEnded(one)).map(({ checkpoint }) => checkpoint);
  return { changed, ended, trim, reason };
}

/** The cut may be beyond the last checkpoint, and is one then. */
function withCut(checkpoint: Checkpoint, entry: StoredAuditEntry, events: number): Checkpoint {
  const hash = hexOf(entry.hash);
  const cutEvents = checkpoint.cutEvents + events;
  const cut = { ...checkpoint, cutSequence: entry.sequence, cutHash: hash, cutEvents };
  if (entry.sequence === checkpoint.sequence && hash !== checkpoint.hash) throw broken(entry.writer, entry.sequence);
  return entry.sequence > checkpoint.sequence ? { ...cut, sequence: entry.sequence, hash, events: cutEvents } : cut;
}

/** Those that the checkpoints know of. */
function countEvents(checkpoints: ReadonlyMap<string, Checkpoint>): number {
  let count = 0;
  for (const { events, cutEvents } of checkpoints.values()) count += events - cutEvents;
  return count;
}

/** Whether every event of the entry stands before the one at `cursor`. */
function isBehind(entry: string, cursor: string | null): boolean {
  if (cursor === null) return false;
  const [left, right] = [entry, cursor.replace(/\.\d+$/, '')].map((text) => text.split('-').map(Number));
  const [ms, count = 0] = left!;
  const [otherMs, otherCount = 0] = right!;
  return ms! < otherMs! || (ms === otherMs && count < otherCount);
}

function broken(writer: string, sequence: number): AlterError {
  return new AlterError('state_invalid', {
    detail: `The audit is broken at entry ${sequence} of ${writer}, so nothing was removed.`,
    hint: '`alter audit verify` says what it finds.',
  });
}
