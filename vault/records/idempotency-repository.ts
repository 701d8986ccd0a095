import { AlterError } from '../../core/errors.ts';
import { issueId } from '../../core/id.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { type Change, NameTaken, RevisionConflict, type Store } from '../store/store.ts';
import { asked, fromStoreFailure } from '../store/store-failure.ts';
import type { Versioned } from './record.ts';
import { hexDigest, objectOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';

/** One request that is to take effect once, however often it is sent. */
export interface Attempt {
  readonly id: string;
  /** Who asks for what, under which Idempotency-Key: a SHA-256 in hexadecimal. */
  readonly subject: string;
  /** The opaque word that stands for what the request says. */
  readonly content: string;
  readonly startedAt: number;
  /** Null while it is under way. `body` is JSON; a revision of 0 means that the answer has none. */
  readonly answer: { readonly revision: number; readonly body: string } | null;
}

export const attemptKind: RecordKind<Attempt> = {
  type: 'idempotency',
  shape: {
    id: text(64),
    subject: hexDigest,
    content: text(64),
    startedAt: whole,
    answer: orNull(objectOf({ revision: whole, body: text(524_288) })),
  },
  idOf: (attempt) => attempt.id,
  namesOf: (attempt, keys) => [nameOf(keys, attempt.subject)],
};

function nameOf(keys: SpaceKeys, subject: string): string {
  return keys.word('idempotency', subject);
}

export const keptForMs = 24 * 3_600_000;
const maxKept = 10_000;
const swept = 50;

/** What requests with an Idempotency-Key came to, in the space where they made something. Kept for a day. */
export class IdempotencyRepository {
  readonly #records: SealedRecords<Attempt>;
  readonly #keys: SpaceKeys;
  readonly #store: Store;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: attemptKind, keys: of.keys, store: of.store });
    this.#keys = of.keys;
    this.#store = of.store;
    this.#clock = of.clock;
  }

  /** The word for what a request says, which may be a credential: without the key of the app it says nothing. */
  contentOf(said: string): string {
    return this.#keys.word('idempotency-content', said);
  }

  /**
   * Begins, or gives the attempt that began before. Of two that come at once exactly one begins. Throws `rate_limited` where
   * more are kept than fit.
   */
  async begin(
    of: Pick<Attempt, 'subject' | 'content'>,
  ): Promise<{ readonly isFirst: boolean; readonly attempt: Attempt }> {
    for (;;) {
      const found = await this.find(of.subject);
      if (found !== null) return { isFirst: false, attempt: found };
      const outdated = await this.#makeRoom();
      const now = this.#clock();
      const begun: Attempt = { id: issueId(now), ...of, startedAt: now, answer: null };
      try {
        await this.#store.commit(this.#keys.space, [...outdated, sealRecord(attemptKind, this.#keys, begun, 0)]);
        return { isFirst: true, attempt: begun };
      } catch (error) {
        // Another one with this key was faster, or swept the same that had had their time.
        if (!(error instanceof NameTaken || error instanceof RevisionConflict)) throw fromStoreFailure(error);
      }
    }
  }

  /** Null where there is none that still counts. */
  async find(subject: string): Promise<Attempt | null> {
    const found = await this.#records.findByName(nameOf(this.#keys, subject), (attempt) => attempt.subject === subject);
    if (found === null) return null;
    if (found.value.startedAt > this.#clock() - keptForMs) return found.value;
    await this.#remove(found);
    return null;
  }

  async finish(id: string, answer: NonNullable<Attempt['answer']>): Promise<void> {
    await this.#records.update(id, (attempt) => ({ ...attempt, answer }));
  }

  /** As if it had never begun. */
  async release(id: string): Promise<void> {
    await this.#records.delete(id);
  }

  async #remove({ value, revision }: Versioned<Attempt>): Promise<void> {
    try {
      await this.#records.delete(value.id, revision);
    } catch (error) {
      const isGone = error instanceof AlterError && ['not_found', 'revision_conflict'].includes(error.code);
      if (!isGone) throw error;
    }
  }

  /** Some of the oldest that had their time. */
  async #makeRoom(): Promise<Change[]> {
    const oldest = await asked(this.#store.list({ space: this.#keys.space, type: attemptKind.type, limit: swept }));
    // The time stands in the id, which the store could only make a mess of by removing what is ours anyway.
    const limit = issueId(this.#clock() - keptForMs).slice(0, 13);
    const outdated = oldest.records.filter(({ id }) => id.slice(0, 13) < limit);
    if (oldest.total - outdated.length >= maxKept)
      throw new AlterError('rate_limited', {
        detail: `More than ${maxKept} requests with an Idempotency-Key were sent within a day.`,
        hint: 'Leave the header out, or wait.',
      });
    return outdated.map(({ type, id, revision }) => ({ kind: 'delete', type, id, expectedRevision: revision }));
  }
}
