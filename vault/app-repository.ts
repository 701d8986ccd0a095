import type { App } from '../core/app.ts';
import { AlterError } from '../core/errors.ts';
import { isId, issueId } from '../core/id.ts';
import type { Keyring, SpaceKeys } from './keyring.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { document, maxPolicyBytes, oneOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';
import type { Store } from './store.ts';

const nameKind = 'app-name';

/** The app as the data plane reads it: in the app's own space, so that whoever has the app's key needs nothing else. */
export const appKind: RecordKind<App> = {
  type: 'app',
  shape: {
    id: isIdValue,
    name: text(256),
    policy: orNull(document(maxPolicyBytes)),
    egressMode: orNull(oneOf(['tunnel', 'deny'])),
    createdAt: whole,
    updatedAt: whole,
  },
  idOf: (app) => app.id,
  spaceOf: (app) => app.id,
};

/** That there is such an app, in the system space beside its wrapped key: what apps are listed and named by. */
interface AppEntry {
  readonly appId: string;
  readonly name: string;
}

const entryKind: RecordKind<AppEntry> = {
  type: 'app-entry',
  shape: { appId: isIdValue, name: text(256) },
  idOf: (entry) => entry.appId,
  namesOf: (entry, keys) => [keys.word(nameKind, entry.name)],
};

export class AppRepository {
  readonly #store: Store;
  readonly #entries: SealedRecords<AppEntry>;
  readonly #keyring: Keyring;
  readonly #clock: () => number;

  constructor(of: { store: Store; systemKeys: SpaceKeys; keyring: Keyring; clock: () => number }) {
    this.#store = of.store;
    this.#entries = new SealedRecords({ kind: entryKind, keys: of.systemKeys, store: of.store });
    this.#keyring = of.keyring;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the name is taken. */
  async create(of: { readonly name: string }): Promise<Versioned<App>> {
    const { name } = of;
    if ((await this.#findEntry(name)) !== null) throw new AlterError('conflict', { detail: 'The name is taken.' });
    const now = this.#clock();
    const app = { id: issueId(now), name, policy: null, egressMode: null, createdAt: now, updatedAt: now };
    const { keys, change } = await this.#keyring.issue(app.id);
    const own = this.#recordsIn(keys);
    // Two spaces can't change together. In this order an app that is known has a record, so that one without a record can
    // only mean that somebody took its policy away.
    const created = await own.create(app);
    try {
      await this.#entries.create({ appId: app.id, name }, [change]);
    } catch (error) {
      await own.delete(app.id).catch(() => undefined); // nobody can open it: its key was not kept
      throw error;
    }
    return created;
  }

  /** Throws `not_found`, and `state_invalid` where an app has lost its record. */
  async get(idOrName: string): Promise<Versioned<App>> {
    const entry = (isId(idOrName) ? await this.#entries.find(idOrName) : null) ?? (await this.#findEntry(idOrName));
    if (entry === null) throw new AlterError('not_found', { detail: 'There is no such app.' });
    return this.#open(entry.value.appId);
  }

  /** The policy and the egress mode can change, and nothing else. Throws `not_found`; as for secrets also `revision_conflict`. */
  async update(id: string, change: (app: App) => App, expectedRevision?: number): Promise<Versioned<App>> {
    const own = this.#recordsIn(await this.#keyring.of(id));
    return own.update(
      id,
      (app) => {
        const changed = change(app);
        if (changed === app) return app;
        const { policy, egressMode } = changed;
        return { ...app, policy, egressMode, updatedAt: this.#clock() };
      },
      expectedRevision,
    );
  }

  async list(query: PageQuery): Promise<Page<App>> {
    const { items, total } = await this.#entries.list(query);
    return { items: await Promise.all(items.map(({ value }) => this.#open(value.appId))), total };
  }

  async #open(id: string): Promise<Versioned<App>> {
    const found = await this.#recordsIn(await this.#keyring.of(id)).find(id);
    if (found !== null) return found;
    throw new AlterError('state_invalid', { detail: `The record of the app ${id} is missing from the store.` });
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
