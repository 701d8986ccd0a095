import type { SpaceKeys } from '../keys/keyring.ts';
import { RevisionConflict, type Store } from '../store/store.ts';
import { asked, fromStoreFailure } from '../store/store-failure.ts';
import { text, whole } from './record-shape.ts';
import { openRecord, type RecordKind, sealRecord } from './sealed-records.ts';

/** What is used. Its id is the one of the key or the grant. */
export interface Usable {
  readonly type: 'key' | 'grant';
  readonly id: string;
}

interface LastUse {
  readonly id: string;
  readonly appId: string;
  readonly at: number;
}

/** A record of its own: a use must neither make a new revision of the key or grant, nor make proxies forget it. */
export const lastUseKind: RecordKind<LastUse> = {
  type: 'last-use',
  shape: { id: text(128), appId: text(64), at: whole },
  idOf: (use) => use.id,
  spaceOf: (use) => use.appId,
};

/** As many processes as may write about one key in the same moment. */
const maxAttempts = 20;

/** When keys and grants of one app were last used. */
export class LastUseRepository {
  readonly #store: Store;
  readonly #keys: SpaceKeys;

  constructor(of: { readonly store: Store; readonly keys: SpaceKeys }) {
    this.#store = of.store;
    this.#keys = of.keys;
  }

  /** In one commit. What another process saw later stays. */
  async note(uses: readonly (Usable & { readonly at: number })[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#get(uses);
      const changes = uses.flatMap((use, index) => {
        const known = stored[index] ?? null;
        if (known !== null && known.at >= use.at) return [];
        const next = { id: idOf(use), appId: this.#keys.space, at: use.at };
        return [sealRecord(lastUseKind, this.#keys, next, known?.revision ?? 0)];
      });
      if (changes.length === 0) return;
      try {
        await this.#store.commit(this.#keys.space, changes);
        return;
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt === maxAttempts) throw fromStoreFailure(error);
      }
    }
  }

  /** In the order of what is asked for, milliseconds since the epoch; null where it was never used. */
  async find(type: Usable['type'], ids: readonly string[]): Promise<(number | null)[]> {
    if (ids.length === 0) return [];
    const found = await this.#get(ids.map((id) => ({ type, id })));
    return found.map((use) => use?.at ?? null);
  }

  async #get(of: readonly Usable[]): Promise<({ readonly at: number; readonly revision: number } | null)[]> {
    const ids = of.map(idOf);
    const stored = await asked(
      this.#store.get(
        this.#keys.space,
        ids.map((id) => ({ type: lastUseKind.type, id })),
      ),
    );
    return ids.map((id, index) => {
      const record = stored[index] ?? null;
      if (record === null) return null;
      const { value, revision } = openRecord(lastUseKind, this.#keys, id, record);
      return { at: value.at, revision };
    });
  }
}

function idOf({ type, id }: Usable): string {
  return `${type}.${id}`;
}
