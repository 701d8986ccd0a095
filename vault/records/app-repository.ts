import type { App } from '../../core/app.ts';
import { AlterError } from '../../core/errors.ts';
import { isId, issueId } from '../../core/id.ts';
import { type Keyring, type SpaceKeys, systemSpace } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { document, maxPolicyBytes, oneOf, orNull, text, whole } from './record-shape.ts';
import { removeContents } from './remove-contents.ts';
import { type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';

const nameKind = 'app-name';

/** The app as the data plane reads it: in the app's own space, so that whoever has the app's key needs nothing else. */
export const appKind: RecordKind<App> = {
  type: 'app',
  shape: {
    id: isIdValue,
    name: text(256),
    policy: orNull(document(maxPolicyBytes)),
    egressMode: orNull(oneOf(['tunnel', 'deny'])),
    archivedAt: orNull(whole),
    createdAt: whole,
    updatedAt: whole,
  },
  absent: { archivedAt: null },
  idOf: (app) => app.id,
  spaceOf: (app) => app.id,
};

/** That there is such an app, in the system space beside its wrapped key: what apps are listed and named by. */
interface AppEntry {
  readonly appId: string;
  readonly name: string;
}

export const entryKind: RecordKind<AppEntry> = {
  type: 'app-entry',
  shape: { appId: isIdValue, name: text(256) },
  idOf: (entry) => entry.appId,
  namesOf: (entry, keys) => [keys.word(nameKind, entry.name)],
};

/** An app whose key was destroyed, as long as unreadable records of it are still in the store. */
export const remainsKind: RecordKind<{ readonly id: string }> = {
  type: 'app-remains',
  shape: { id: isIdValue },
  idOf: (remains) => remains.id,
};
const maxRemains = 1_000;

export class AppRepository {
  readonly #store: Store;
  readonly #contents: Store;
  readonly #remains: SealedRecords<{ readonly id: string }>;
  readonly #entries: SealedRecords<AppEntry>;
  readonly #keyring: Keyring;
  readonly #clock: () => number;

  /** `contents`: the store as it is, for what is left of an app whose key is gone. */
  constructor(of: {
    store: Store;
    contents: Store;
    systemKeys: SpaceKeys;
    keyring: Keyring;
    clock: () => number;
  }) {
    this.#store = of.store;
    this.#contents = of.contents;
    this.#entries = new SealedRecords({ kind: entryKind, keys: of.systemKeys, store: of.store });
    this.#remains = new SealedRecords({ kind: remainsKind, keys: of.systemKeys, store: of.store });
    this.#keyring = of.keyring;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the name is taken. */
  async create(of: { readonly name: string }): Promise<Versioned<App>> {
    const { name } = of;
    if ((await this.#findEntry(name)) !== null) throw new AlterError('conflict', { detail: 'The name is taken.' });
    const now = this.#clock();
    const id = issueId(now);
    const app: App = { id, name, policy: null, egressMode: null, archivedAt: null, createdAt: now, updatedAt: now };
    const { keys, change } = await this.#keyring.issue(app.id);
    this.#keyring.remember(keys);
    const own = this.#recordsIn(keys);
    // Two spaces can't change together. In this order an app that is known has a record, so that one without a record can
    // only mean that somebody took its policy away.
    const created = await own.create(app);
    try {
      await this.#entries.create({ appId: app.id, name }, [change]);
    } catch (error) {
      await own.delete(app.id).catch(() => undefined); // nobody can open it: its key was not kept
      this.#keyring.forget(app.id);
      throw error;
    }
    return created;
  }

  /** Throws `not_found`, and `state_invalid` where an app has lost its record. */
  async get(idOrName: string): Promise<Versioned<App>> {
    const entry = (isId(idOrName) ? await this.#entries.find(idOrName) : null) ?? (await this.#findEntry(idOrName));
    if (entry === null) throw new AlterError('not_found', { detail: 'There is no such app.' });
    return this.#open(entry.value);
  }

  /**
   * The policy and the egress mode can change, and the name where `name` gives another. Throws `not_found`, `conflict` where
   * the name is taken; as for secrets also `revision_conflict`.
   */
  async update(
    id: string,
    change: (app: App) => App,
    expectedRevision?: number,
    name?: string,
  ): Promise<Versioned<App>> {
    const { value: before } = await this.#entries.get(id);
    const own = this.#recordsIn(await this.#keyring.of(id));
    const isRenamed = name !== undefined && name !== before.name;
    // Two spaces again: what the entry says is the name, and the record follows.
    if (isRenamed) {
      const current = await this.#open(before);
      if (expectedRevision !== undefined && current.revision !== expectedRevision)
        throw new AlterError('revision_conflict');
      await this.#entries.update(id, (entry) => ({ ...entry, name }));
    }
    try {
      return await this.#updateIn(own, id, (app) => ({ ...change(app), name: name ?? before.name }), expectedRevision);
    } catch (error) {
      if (isRenamed)
        await this.#entries.update(id, (entry) => ({ ...entry, name: before.name })).catch(() => undefined);
      throw error;
    }
  }

  #updateIn(
    own: SealedRecords<App>,
    id: string,
    change: (app: App) => App,
    expectedRevision: number | undefined,
  ): Promise<Versioned<App>> {
    return own.update(
      id,
      (app) => {
        const changed = change(app);
        if (changed === app) return app;
        const { name, policy, egressMode } = changed;
        return { ...app, name, policy, egressMode, updatedAt: this.#clock() };
      },
      expectedRevision,
    );
  }

  /** Idempotent. Throws `not_found`. */
  async archive(id: string): Promise<Versioned<App>> {
    const now = this.#clock();
    return this.#recordsIn(await this.#keyring.of(id)).update(id, (app) =>
      app.archivedAt === null ? { ...app, archivedAt: now, updatedAt: now } : app,
    );
  }

  /** Idempotent. Throws `not_found`. */
  async unarchive(id: string): Promise<Versioned<App>> {
    return this.#recordsIn(await this.#keyring.of(id)).update(id, (app) =>
      app.archivedAt === null ? app : { ...app, archivedAt: null, updatedAt: this.#clock() },
    );
  }

  /**
   * Archives the app, so that no proxy uses it any more, then destroys its key and its entry in one step: from then on nothing
   * that was sealed in it opens. What is left of it is removed afterwards. Throws `not_found`, `revision_conflict`.
   */
  async delete(id: string, expectedRevision?: number): Promise<void> {
    const entry = await this.#entries.get(id);
    const { revision } = await this.#open(entry.value);
    if (expectedRevision !== undefined && revision !== expectedRevision) throw new AlterError('revision_conflict');
    await this.archive(id);
    const key = await this.#keyring.destroy(id);
    await asked(
      this.#store.commit(systemSpace, [
        { kind: 'delete', type: entryKind.type, id, expectedRevision: entry.revision },
        ...(key === null ? [] : [key]),
        sealRecord(remainsKind, this.#remains.keys, { id }, 0),
      ]),
    );
    this.#keyring.forget(id);
    await this.#clear(id);
  }

  /** Removes what a process that ended in the middle of a deletion left behind. Nothing of it can be opened. */
  async clearRemains(): Promise<void> {
    const { items } = await this.#remains.list({ limit: maxRemains, offset: 0 });
    for (const { value } of items) await this.#clear(value.id);
  }

  async #clear(id: string): Promise<void> {
    await removeContents({ system: this.#store, contents: this.#contents }, id);
    const found = await this.#remains.find(id);
    if (found === null) return; // another process was faster
    const change = { kind: 'delete', type: remainsKind.type, id, expectedRevision: found.revision } as const;
    try {
      await asked(this.#store.commit(systemSpace, [change]));
    } catch (error) {
      if (!(error instanceof AlterError && error.code === 'revision_conflict')) throw error; // else: as above
    }
  }

  async list(query: PageQuery): Promise<Page<App>> {
    const { items, total } = await this.#entries.list(query);
    return { items: await Promise.all(items.map(({ value }) => this.#open(value))), total };
  }

  async #open({ appId, name }: AppEntry): Promise<Versioned<App>> {
    const found = await this.#recordsIn(await this.#keyring.of(appId)).find(appId);
    if (found !== null) return { ...found, value: { ...found.value, name } };
    throw new AlterError('state_invalid', { detail: `The record of the app ${appId} is missing from the store.` });
  }

  #recordsIn(keys: SpaceKeys): SealedRecords<App> {
    return new SealedRecords({ kind: appKind, keys, store: this.#store });
  }

  #findEntry(name: string): Promise<Versioned<AppEntry> | null> {
    return this.#entries.findByName(this.#entries.keys.word(nameKind, name), (entry) => entry.name === name);
  }
}

function isIdValue(value: unknown): boolean {
  return typeof value === 'string' && isId(value);
}
