import type { App } from '../core/app.ts';
import { AlterError } from '../core/errors.ts';
import { isId, issueId } from '../core/id.ts';
import type { Keyring, SpaceKeys } from './keyring.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { document, maxPolicyBytes, oneOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';
import type { Store } from './store.ts';

const nameKind = 'app-name';

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
  absent: { policy: null, egressMode: null },
  idOf: (app) => app.id,
  namesOf: (app, keys) => [keys.word(nameKind, app.name)],
};

/** The apps, kept in the system space beside their wrapped keys. */
export class AppRepository {
  readonly #records: SealedRecords<App>;
  readonly #keyring: Keyring;
  readonly #clock: () => number;

  constructor(of: { store: Store; systemKeys: SpaceKeys; keyring: Keyring; clock: () => number }) {
    this.#records = new SealedRecords({ kind: appKind, keys: of.systemKeys, store: of.store });
    this.#keyring = of.keyring;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the name is taken. */
  async create(of: { readonly name: string }): Promise<Versioned<App>> {
    const now = this.#clock();
    const app = { id: issueId(now), name: of.name, policy: null, egressMode: null, createdAt: now, updatedAt: now };
    const { change } = await this.#keyring.issue(app.id);
    return this.#records.create(app, [change]);
  }

  /** Throws `not_found`. */
  async get(idOrName: string): Promise<Versioned<App>> {
    const byId = isId(idOrName) ? await this.#records.find(idOrName) : null;
    const found = byId ?? (await this.#findByName(idOrName));
    if (found === null) throw new AlterError('not_found', { detail: 'There is no such app.' });
    return found;
  }

  /** The policy and the egress mode can change, and nothing else. Throws `not_found`; as for secrets also `revision_conflict`. */
  update(id: string, change: (app: App) => App, expectedRevision?: number): Promise<Versioned<App>> {
    return this.#records.update(
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

  list(query: PageQuery): Promise<Page<App>> {
    return this.#records.list(query);
  }

  #findByName(name: string): Promise<Versioned<App> | null> {
    return this.#records.findByName(this.#records.keys.word(nameKind, name), (app) => app.name === name);
  }
}

function isIdValue(value: unknown): boolean {
  return typeof value === 'string' && isId(value);
}
