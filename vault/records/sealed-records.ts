import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { type Change, type Put, RevisionConflict, type Store, type StoredRecord } from '../store/store.ts';
import { asked, fromStoreFailure } from '../store/store-failure.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { fieldsOutOfShape, hasShape, readShape, type Shape } from './record-shape.ts';

/** How one type of record is kept. */
export interface RecordKind<T extends object> {
  readonly type: string;
  readonly shape: Shape<T>;
  /** Fields that records of an earlier release may lack, with what that means. */
  readonly absent?: Partial<T>;
  /** The id and space that the record must be stored under: checked when it is opened. */
  readonly idOf: (value: T) => string;
  readonly spaceOf?: (value: T) => string;
  /** Words to list by, and words that are unique in the space. */
  readonly tagsOf?: (value: T, keys: SpaceKeys) => string[];
  readonly namesOf?: (value: T, keys: SpaceKeys) => string[];
}

/** How often a change is tried again that somebody else was faster with. */
const maxAttempts = 10;

/** Throws `validation_failed` for a value that could not be read back. */
export function sealRecord<T extends object>(
  kind: RecordKind<T>,
  keys: SpaceKeys,
  value: T,
  expectedRevision: number,
): Put {
  if (!hasShape(kind.shape, value)) {
    const problems = fieldsOutOfShape(kind.shape, value).map((field) => ({ field, message: 'can not be stored' }));
    throw new AlterError('validation_failed', { problems });
  }
  const id = kind.idOf(value);
  return {
    kind: 'put',
    type: kind.type,
    id,
    expectedRevision,
    body: keys.seal({ type: kind.type, id, revision: expectedRevision + 1 }, Buffer.from(JSON.stringify(value))),
    tags: kind.tagsOf?.(value, keys) ?? [],
    names: kind.namesOf?.(value, keys) ?? [],
  };
}

/** `id` is the one that was asked for, not the one that the store says it gives. Throws `state_invalid`. */
export function openRecord<T extends object>(
  kind: RecordKind<T>,
  keys: SpaceKeys,
  id: string,
  stored: StoredRecord,
): Versioned<T> {
  const json = keys.open({ type: kind.type, id, revision: stored.revision }, stored.body);
  const value = readShape(kind.shape, json, kind.absent);
  json.fill(0);
  if (value === null || kind.idOf(value) !== id || (kind.spaceOf !== undefined && kind.spaceOf(value) !== keys.space)) {
    throw new AlterError('state_invalid', {
      detail: `The stored ${kind.type} ${id} has not the form of this version.`,
    });
  }
  return { value, revision: stored.revision };
}

/** The records of one type in one space, opened and sealed on the way. */
export class SealedRecords<T extends object> {
  readonly kind: RecordKind<T>;
  readonly keys: SpaceKeys;
  readonly #store: Store;

  constructor(of: { readonly kind: RecordKind<T>; readonly keys: SpaceKeys; readonly store: Store }) {
    this.kind = of.kind;
    this.keys = of.keys;
    this.#store = of.store;
  }

  async find(id: string): Promise<Versioned<T> | null> {
    return (await this.findAll([id]))[0] ?? null;
  }

  /** In one question, in the order of the ids. */
  async findAll(ids: readonly string[]): Promise<(Versioned<T> | null)[]> {
    const { kind, keys } = this;
    const places = ids.map((id) => ({ type: kind.type, id }));
    const stored = await asked(this.#store.get(keys.space, places));
    return ids.map((id, index) => {
      const record = stored[index] ?? null;
      return record === null ? null : openRecord(kind, keys, id, record);
    });
  }

  /** Throws `not_found`. */
  async get(id: string): Promise<Versioned<T>> {
    const found = await this.find(id);
    if (found === null) throw new AlterError('not_found');
    return found;
  }

  /** The record whose name is `word`. The store's index is not trusted: `says` looks at what the record itself says. */
  async findByName(word: string, says: (value: T) => boolean): Promise<Versioned<T> | null> {
    const [key] = await asked(this.#store.findByName(this.keys.space, [word]));
    if (key === null || key === undefined) return null;
    const found = key.type === this.kind.type ? await this.find(key.id) : null;
    if (found !== null && !says(found.value)) throw mislaid(this.kind.type, key.id);
    return found;
  }

  /** In order of id. */
  async list(query: PageQuery & { readonly tag?: string; readonly says?: (value: T) => boolean }): Promise<Page<T>> {
    const { limit, offset, tag, says } = query;
    const page = await asked(
      this.#store.list({
        space: this.keys.space,
        type: this.kind.type,
        limit,
        offset,
        ...(tag === undefined ? {} : { tag }),
      }),
    );
    const items = page.records.map((stored) => {
      const item = openRecord(this.kind, this.keys, stored.id, stored);
      if (says?.(item.value) === false) throw mislaid(this.kind.type, stored.id);
      return item;
    });
    return { items, total: page.total };
  }

  async create(value: T, alongside: readonly Change[] = []): Promise<Versioned<T>> {
    await asked(this.#store.commit(this.keys.space, [sealRecord(this.kind, this.keys, value, 0), ...alongside]));
    return { value, revision: 1 };
  }

  /**
   * Reads, changes and commits. Where somebody else was faster it starts over, except with `expectedRevision`: that is a
   * `revision_conflict`. A change that gives back the same object writes nothing. `alongside` are further changes for the
   * same commit. Throws `not_found`.
   */
  async update(
    id: string,
    change: (value: T) => T,
    expectedRevision?: number,
    alongside: (next: T) => Change[] | Promise<Change[]> = () => [],
  ): Promise<Versioned<T>> {
    for (let attempt = 1; ; attempt++) {
      const current = await this.get(id);
      if (expectedRevision !== undefined && current.revision !== expectedRevision)
        throw new AlterError('revision_conflict');
      const next = change(current.value);
      if (next === current.value) return current;
      const put = sealRecord(this.kind, this.keys, next, current.revision);
      try {
        await this.#store.commit(this.keys.space, [put, ...(await alongside(next))]);
        return { value: next, revision: current.revision + 1 };
      } catch (error) {
        const again = error instanceof RevisionConflict && expectedRevision === undefined && attempt < maxAttempts;
        if (!again) throw fromStoreFailure(error);
      }
    }
  }

  /** Throws `not_found`; with `expectedRevision` also `revision_conflict`. */
  async delete(id: string, expectedRevision?: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { revision } = await this.get(id);
      if (expectedRevision !== undefined && revision !== expectedRevision) throw new AlterError('revision_conflict');
      try {
        const change = { kind: 'delete', type: this.kind.type, id, expectedRevision: revision } as const;
        await this.#store.commit(this.keys.space, [change]);
        return;
      } catch (error) {
        const again = error instanceof RevisionConflict && expectedRevision === undefined && attempt < maxAttempts;
        if (!again) throw fromStoreFailure(error);
      }
    }
  }
}

function mislaid(type: string, id: string): AlterError {
  return new AlterError('state_invalid', {
    detail: `The store's index leads to the ${type} ${id}, which does not say what was asked for.`,
  });
}
