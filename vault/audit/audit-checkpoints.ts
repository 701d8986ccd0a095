import { setTimeout as wait } from 'node:timers/promises';
import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Versioned } from '../records/record.ts';
import { hexDigest, objectOf, orNull, text, truth, whole } from '../records/record-shape.ts';
import { openRecord, type RecordKind, SealedRecords, sealRecord } from '../records/sealed-records.ts';
import { type Change, RevisionConflict, type Store } from '../store/store.ts';
import { asked, fromStoreFailure } from '../store/store-failure.ts';
import { type ChainHead, startChain } from './audit-chain.ts';

/**
 * How far the chain of a writer came, and where retention cut it. It is sealed under the key of the app, in a record apart
 * from the log: what is cut off at either end of the log is then missing.
 */
export interface Checkpoint {
  readonly writer: string;
  /** Of the last link that is known to be durable; 0 before the first. `hash` in hex. */
  readonly sequence: number;
  readonly hash: string;
  /** How many events the chain holds up to there. */
  readonly events: number;
  /** Of the last link that retention removed; 0 where it removed none. */
  readonly cutSequence: number;
  readonly cutHash: string;
  readonly cutEvents: number;
  /** The writer said that nothing more will come. */
  readonly isClosed: boolean;
}

/** What retention removed from the beginning of the log. */
export interface Trim {
  /** The cursor of the last entry that was removed. */
  readonly upTo: string;
  /** In all, over the life of the log. */
  readonly events: number;
  /** When the newest of them happened. */
  readonly newestAt: number;
  readonly trimmedAt: number;
  /** The entries are gone; before, they are about to be. */
  readonly isDone: boolean;
}

/** How far the log was taken out of the service, by the last who said so. */
export interface ExportMark {
  /** Of the last event. */
  readonly cursor: string;
  readonly acknowledgedAt: number;
}

/** Says which checkpoints there are: since none can be forged, their number is enough to miss one. */
export interface Ledger {
  readonly checkpoints: number;
  readonly trim: Trim | null;
  readonly exported: ExportMark | null;
}

const ledgerId = 'audit';

export const checkpointKind: RecordKind<Checkpoint> = {
  type: 'audit-checkpoint',
  shape: {
    writer: text(512),
    sequence: whole,
    hash: hexDigest,
    events: whole,
    cutSequence: whole,
    cutHash: hexDigest,
    cutEvents: whole,
    isClosed: truth,
  },
  idOf: ({ writer }) => writer,
};

export const ledgerKind: RecordKind<Ledger> = {
  type: 'audit-ledger',
  shape: {
    checkpoints: whole,
    exported: orNull(objectOf<ExportMark>({ cursor: text(64), acknowledgedAt: whole })),
    trim: orNull(objectOf<Trim>({ upTo: text(64), events: whole, newestAt: whole, trimmedAt: whole, isDone: truth })),
  },
  idOf: () => ledgerId,
};

const noLedger: Versioned<Ledger> = { value: { checkpoints: 0, trim: null, exported: null }, revision: 0 };
const perPage = 500;
/** Every proxy of an app that starts at one time wants to be next. */
const maxAttempts = 40;
const longestPauseMs = 100;

/** Every checkpoint of a space, as they stood at one moment. */
export interface CheckpointState {
  readonly ledger: Versioned<Ledger>;
  readonly checkpoints: Map<string, Versioned<Checkpoint>>;
}

export class AuditCheckpoints {
  readonly #store: Store;
  readonly #keys: SpaceKeys;
  readonly #records: SealedRecords<Checkpoint>;
  readonly #ledgers: SealedRecords<Ledger>;

  constructor({ store, keys }: { readonly store: Store; readonly keys: SpaceKeys }) {
    this.#store = store;
    this.#keys = keys;
    this.#records = new SealedRecords({ kind: checkpointKind, store, keys });
    this.#ledgers = new SealedRecords({ kind: ledgerKind, store, keys });
  }

  /** Before the first entry of a writer: an entry of one that is not known here is a forgery. */
  async register(writer: string): Promise<void> {
    const hash = hexOf(startChain({ space: this.#keys.space, writer }).hash);
    const cut = { cutSequence: 0, cutHash: hash, cutEvents: 0 };
    const first: Checkpoint = { writer, sequence: 0, hash, events: 0, ...cut, isClosed: false };
    await this.#changeLedger(
      (ledger) => ({ ...ledger, checkpoints: ledger.checkpoints + 1 }),
      [sealRecord(checkpointKind, this.#keys, first, 0)],
    );
  }

  /** What retention may wait for. */
  async acknowledge(exported: ExportMark): Promise<void> {
    await this.#changeLedger((ledger) => ({ ...ledger, exported }), []);
  }

  async #changeLedger(change: (ledger: Ledger) => Ledger, alongside: readonly Change[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const ledger = await this.findLedger();
      try {
        await this.commit([...alongside, this.#sealLedger(change(ledger.value), ledger.revision)]);
        return;
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt === maxAttempts) throw fromStoreFailure(error);
        await wait(Math.random() * Math.min(4 * attempt, longestPauseMs));
      }
    }
  }

  /** Never back: a slow answer may come after a later one. Throws `not_found` for a writer that was taken out. */
  async advance(of: {
    readonly writer: string;
    readonly head: ChainHead;
    readonly events: number;
    readonly isClosed: boolean;
  }): Promise<void> {
    const { writer, head, events, isClosed } = of;
    await this.#records.update(writer, (checkpoint) => {
      const isBehind = checkpoint.sequence < head.sequence;
      if (!isBehind && checkpoint.isClosed >= isClosed) return checkpoint;
      return {
        ...checkpoint,
        ...(isBehind ? { sequence: head.sequence, hash: hexOf(head.hash), events } : {}),
        isClosed: checkpoint.isClosed || isClosed,
      };
    });
  }

  find(writer: string): Promise<Versioned<Checkpoint> | null> {
    return this.#records.find(writer);
  }

  async findLedger(): Promise<Versioned<Ledger>> {
    return (await this.#ledgers.find(ledgerId)) ?? noLedger;
  }

  /** Throws `state_invalid` where a checkpoint was changed or is missing. */
  async load(): Promise<CheckpointState> {
    for (;;) {
      const ledger = await this.findLedger();
      const checkpoints = await this.#loadAll();
      const { revision } = await this.findLedger();
      if (revision !== ledger.revision) continue; // somebody began to write, or retention went on
      if (checkpoints.size === ledger.value.checkpoints) return { ledger, checkpoints };
      throw new AlterError('state_invalid', {
        detail: `Of ${ledger.value.checkpoints} checkpoints of the audit ${checkpoints.size} are there.`,
      });
    }
  }

  /** Commits in one step. Rejects with {@link RevisionConflict} where somebody was faster. */
  async cut(of: {
    readonly state: CheckpointState;
    readonly changed: readonly Checkpoint[];
    /** Whose entries are all gone, and who write no more. */
    readonly ended: readonly string[];
    readonly trim: Trim;
  }): Promise<void> {
    const { state, changed, ended, trim } = of;
    const changes: Change[] = changed.map((checkpoint) =>
      sealRecord(checkpointKind, this.#keys, checkpoint, state.checkpoints.get(checkpoint.writer)!.revision),
    );
    for (const writer of ended) {
      const expectedRevision = state.checkpoints.get(writer)!.revision;
      changes.push({ kind: 'delete', type: checkpointKind.type, id: writer, expectedRevision });
    }
    const { value, revision } = state.ledger;
    const ledger = { ...value, checkpoints: value.checkpoints - ended.length, trim };
    await this.commit([...changes, this.#sealLedger(ledger, revision)]);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    await this.#store.commit(this.#keys.space, changes);
  }

  #sealLedger(ledger: Ledger, revision: number): Change {
    return sealRecord(ledgerKind, this.#keys, ledger, revision);
  }

  async #loadAll(): Promise<Map<string, Versioned<Checkpoint>>> {
    const found = new Map<string, Versioned<Checkpoint>>();
    let after: string | undefined;
    for (;;) {
      const read = { space: this.#keys.space, type: checkpointKind.type, limit: perPage };
      const { records } = await asked(this.#store.list({ ...read, ...(after === undefined ? {} : { after }) }));
      for (const stored of records) found.set(stored.id, openRecord(checkpointKind, this.#keys, stored.id, stored));
      if (records.length < perPage) return found;
      after = records.at(-1)!.id;
    }
  }
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
