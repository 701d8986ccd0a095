import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store, StoredAuditEntry } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import { type ChainBreak, type ChainHead, verifyChain } from './audit-chain.ts';
import { AuditCheckpoints, type Checkpoint, type CheckpointState, hexOf, type Trim } from './audit-checkpoints.ts';
import { openEntry } from './audit-entry.ts';

/** One link of the chain of a writer; `hash` in hex. */
export interface KnownLink {
  readonly writer: string;
  readonly sequence: number;
  readonly hash: string;
}

/** `entries`: how many were found whole, before the break where there is one. */
export type AuditVerdict =
  | {
      readonly kind: 'intact';
      readonly entries: number;
      readonly chains: readonly KnownLink[];
      /** What retention removed from the beginning; null: nothing. */
      readonly trim: Trim | null;
    }
  | {
      readonly kind: 'broken';
      readonly entries: number;
      readonly writer: string;
      readonly sequence: number;
      /** `seal`: it does not open. `writer`: nobody of that name ever began to write. `checkpoint`: one was changed or removed. */
      readonly problem: ChainBreak['problem'] | 'seal' | 'writer' | 'checkpoint';
    };

const entriesPerRead = 1_000;
/** Retention that works at the same time takes entries away under the walk. */
const maxAttempts = 3;

/**
 * Walks every chain of the space from its first link, or from where retention cut it, to its last checkpoint and beyond,
 * and opens every entry: who has the store but not the keys can compute the links anew, but seals nothing. `known` are
 * links that once existed, kept by somebody else: they also show a store that was wholly set back.
 */
export async function verifyAudit(
  of: { readonly store: Store; readonly keys: SpaceKeys },
  known: readonly KnownLink[],
): Promise<AuditVerdict> {
  const checkpoints = new AuditCheckpoints(of);
  for (let attempt = 1; ; attempt++) {
    const before = await loadState(checkpoints);
    if (before === null) return { kind: 'broken', entries: 0, writer: '', sequence: 0, problem: 'checkpoint' };
    const verdict = await new Walk(of, checkpoints, before).verify(known);
    if (verdict.kind === 'intact' || attempt === maxAttempts) return verdict;
    const now = await loadState(checkpoints);
    if (now?.ledger.revision === before.ledger.revision) return verdict;
  }
}

/** Null where a checkpoint was changed or is missing. */
async function loadState(checkpoints: AuditCheckpoints): Promise<CheckpointState | null> {
  try {
    return await checkpoints.load();
  } catch (error) {
    if (error instanceof AlterError && error.code === 'state_invalid') return null;
    throw error;
  }
}

class Walk {
  readonly #store: Store;
  readonly #keys: SpaceKeys;
  readonly #checkpoints: AuditCheckpoints;
  readonly #writers: Map<string, Checkpoint>;
  readonly #trim: Trim | null;
  /** Links that have to come, by writer and sequence. */
  readonly #awaited = new Map<string, KnownLink>();
  #heads = new Map<string, ChainHead>();
  #entries = 0;

  constructor(
    of: { readonly store: Store; readonly keys: SpaceKeys },
    checkpoints: AuditCheckpoints,
    state: CheckpointState,
  ) {
    this.#store = of.store;
    this.#keys = of.keys;
    this.#checkpoints = checkpoints;
    this.#writers = new Map([...state.checkpoints].map(([writer, { value }]) => [writer, value]));
    this.#trim = state.ledger.value.trim;
    for (const checkpoint of this.#writers.values()) {
      const { writer, sequence, hash, cutSequence } = checkpoint;
      if (sequence > cutSequence) this.#await({ writer, sequence, hash });
      if (cutSequence > 0) this.#heads.set(writer, cutHead(checkpoint));
    }
  }

  async verify(known: readonly KnownLink[]): Promise<AuditVerdict> {
    for (const link of known) {
      const checkpoint = this.#writers.get(link.writer);
      // What retention removed, whole chains included, is what the checkpoints say that it was.
      const isTrimmed = checkpoint === undefined ? this.#trim !== null : link.sequence <= checkpoint.cutSequence;
      const other = this.#awaited.get(nameOf(link));
      if (other !== undefined && other.hash !== link.hash) return this.#broken(link, 'hash');
      if (!isTrimmed) this.#await(link);
    }
    const { space } = this.#keys;
    let after: string | undefined;
    for (;;) {
      const read = { space, order: 'ascending', limit: entriesPerRead } as const;
      const entries = await asked(this.#store.readAudit({ ...read, ...(after === undefined ? {} : { after }) }));
      const broken = await this.#look(entries);
      if (broken !== null) return broken;
      after = entries.at(-1)?.cursor;
      if (entries.length < entriesPerRead) break;
    }
    for (const link of this.#awaited.values()) return this.#broken(link, 'truncated');
    const chains = [...this.#heads].map(([writer, { sequence, hash }]) => ({ writer, sequence, hash: hexOf(hash) }));
    return { kind: 'intact', entries: this.#entries, chains, trim: this.#trim };
  }

  async #look(entries: readonly StoredAuditEntry[]): Promise<AuditVerdict | null> {
    const standing: StoredAuditEntry[] = [];
    let problem: AuditVerdict | null = null;
    for (const entry of entries) {
      const checkpoint = await this.#findWriter(entry.writer);
      if (checkpoint === null) {
        problem = this.#broken(entry, 'writer');
      } else if (entry.sequence > checkpoint.cutSequence) {
        standing.push(entry);
        continue;
      } else if (this.#trim?.isDone === false) {
        continue; // signed off and about to go
      } else {
        problem = this.#broken(entry, 'sequence'); // removed once, and put back
      }
      break;
    }
    const verdict = verifyChain(standing, { space: this.#keys.space, from: this.#heads });
    const intact = verdict.kind === 'intact' ? standing : standing.slice(0, verdict.index ?? 0);
    for (const entry of intact) {
      if (!this.#opens(entry)) return this.#broken(entry, 'seal');
      const wanted = this.#awaited.get(nameOf(entry));
      if (wanted !== undefined && wanted.hash !== hexOf(entry.hash)) return this.#broken(entry, 'hash');
      this.#awaited.delete(nameOf(entry));
      this.#entries++;
    }
    if (verdict.kind === 'broken') return this.#broken(verdict, verdict.problem);
    this.#heads = new Map(verdict.heads);
    return problem === null ? null : { ...problem, entries: this.#entries };
  }

  /** Also one that began to write after this walk began. */
  async #findWriter(writer: string): Promise<Checkpoint | null> {
    const known = this.#writers.get(writer);
    if (known !== undefined) return known;
    const found = await this.#checkpoints.find(writer).catch((error: unknown) => {
      if (error instanceof AlterError && error.code === 'state_invalid') return null;
      throw error;
    });
    if (found === null) return null;
    this.#writers.set(writer, found.value);
    return found.value;
  }

  #opens(entry: StoredAuditEntry): boolean {
    try {
      openEntry(this.#keys, entry);
      return true;
    } catch (error) {
      if (error instanceof AlterError && error.code === 'state_invalid') return false;
      throw error;
    }
  }

  #await(link: KnownLink): void {
    this.#awaited.set(nameOf(link), link);
  }

  #broken(
    { writer, sequence }: { readonly writer: string; readonly sequence: number },
    problem: Extract<AuditVerdict, { kind: 'broken' }>['problem'],
  ): AuditVerdict {
    return { kind: 'broken', entries: this.#entries, writer, sequence, problem };
  }
}

/** Where retention cut the chain. */
export function cutHead({ cutSequence, cutHash }: Checkpoint): ChainHead {
  return { sequence: cutSequence, hash: Buffer.from(cutHash, 'hex') };
}

function nameOf({ writer, sequence }: { readonly writer: string; readonly sequence: number }): string {
  return `${writer}/${sequence}`;
}
