import { AddressSet, findAddressRange } from '../core/address.ts';
import { AlterError } from '../core/errors.ts';
import { type Grant, grantStatus } from '../core/grant.ts';
import { matchesHost, parseHostPattern, patternsThatAllow } from '../core/host-pattern.ts';
import { formatAuthority, type Origin } from '../core/origin.ts';
import type { Caller, RuntimeKey } from '../core/runtime-key.ts';
import type { Secret } from '../core/secret.ts';
import { grantKind, liveGrantTag } from './grant-repository.ts';
import { keyKind, keyOwnerKind } from './key-repository.ts';
import { systemSpace } from './keyring.ts';
import { Lru } from './lru.ts';
import { hostTag, secretKind } from './secret-repository.ts';
import type { SecretValue } from './secret-value.ts';
import { openVersion, secretVersionKind, versionId } from './secret-version.ts';
import { type Reading, type ReadMemory, SpaceView } from './space-view.ts';
import { asked } from './store-failure.ts';
import type { Vault } from './vault.ts';

/** A record that was refused: changed outside the service, swapped, or rolled back. */
export interface InvalidRecord {
  readonly appId: string;
  readonly type: string;
  readonly id: string;
  readonly detail: string;
}

/**
 * `type` is `secret`, `grant`, `key`, …; `'*'` (with id `'*'`) says that anything of this app may have changed. `appId` is
 * `system` for what belongs to none.
 */
export type ChangeListener = (appId: string, type: string, id: string) => void;

export interface ReadModelOptions {
  readonly vault: Vault;
  readonly maxStalenessMs: number;
  /** Over all apps. */
  readonly maxEntries?: number;
  /** Called for a security event, at most once a minute per record. */
  readonly onInvalid?: (record: InvalidRecord) => void;
}

/** An answer made from several records. `changes` are the counts of the types that it was made from, as they stood before. */
interface HostAnswer<T> {
  readonly changes: string;
  readonly value: T;
}

const keyReading: Reading<RuntimeKey, Caller> = { kind: keyKind, keep: toCaller };
const ownerReading = asStored(keyOwnerKind);
const secretReading = asStored(secretKind);
const versionReading = asStored(secretVersionKind);
const grantReading = asStored(grantKind);

/** How many records an index may offer for one host. More than one live grant is ambiguous anyway. */
const maxSecretsPerHost = 100;
const maxGrantsPerHost = 500;
const invalidPauseMs = 60_000;

/**
 * What the data plane reads. An answer is sync when it is in memory, so that a warm request never leaves its tick.
 *
 * Every look-up rejects or throws `state_invalid` for a record that can't be trusted and `state_unavailable` where the
 * store has to be asked and can't be.
 */
export class ReadModel {
  readonly #vault: Vault;
  readonly #maxStalenessMs: number;
  readonly #onInvalid: (record: InvalidRecord) => void;
  readonly #memory: ReadMemory;
  readonly #hostAnswers: Lru<HostAnswer<boolean> | HostAnswer<readonly Grant[]>>;
  readonly #hostFlights = new Map<string, Promise<boolean | readonly Grant[]>>();
  readonly #reportedAt = new Lru<number>(1_000);
  readonly #listeners = new Set<ChangeListener>();
  /** One for each app that was asked for. Apps are made by operators, so that no client makes this grow. */
  readonly #views = new Map<string, SpaceView | Promise<SpaceView | null>>();
  #closed = false;

  constructor(options: ReadModelOptions) {
    const { maxEntries = 50_000 } = options;
    this.#vault = options.vault;
    this.#maxStalenessMs = options.maxStalenessMs;
    this.#onInvalid = options.onInvalid ?? (() => {});
    this.#memory = {
      records: new Lru(Math.ceil(maxEntries * 0.7)),
      absences: new Lru(Math.ceil(maxEntries * 0.1)),
      floors: new Lru(maxEntries * 2), // a number each, and worth keeping longer than the record
    };
    this.#hostAnswers = new Lru(Math.ceil(maxEntries * 0.2));
  }

  findKey(keyId: string): Caller | null | Promise<Caller | null> {
    const owner = this.#find(systemSpace, ownerReading, keyId);
    const findIn = (of: { appId: string } | null) => (of === null ? null : this.#find(of.appId, keyReading, keyId));
    return owner instanceof Promise ? owner.then(findIn) : findIn(owner);
  }

  findGrant(appId: string, grantId: string): Grant | null | Promise<Grant | null> {
    return this.#find(appId, grantReading, grantId);
  }

  findSecret(appId: string, secretId: string): Secret | null | Promise<Secret | null> {
    return this.#find(appId, secretReading, secretId);
  }

  /**
   * The value of the version that `secret` names. Opens sealed bytes on every call: no plaintext is kept. Also throws
   * `grant_revoked` where the secret was deleted meanwhile, and `state_unavailable` where it was rotated twice meanwhile.
   */
  openSecret(appId: string, secret: Secret): SecretValue | Promise<SecretValue> {
    const version = this.#find(appId, versionReading, versionId(secret.id, secret.version));
    if (version instanceof Promise) {
      return version.then((found) => (found === null ? this.#explainMissing(appId, secret) : this.#open(appId, found)));
    }
    return version === null ? this.#explainMissing(appId, secret) : this.#open(appId, version);
  }

  /** Is this an allowed host of some live secret of the app? */
  someSecretAllows(appId: string, origin: Origin): boolean | Promise<boolean> {
    return this.#answer(appId, origin, { about: 'allowed', from: ['secret'] }, async (view) => {
      for (const id of await this.#findCandidates(view, origin)) {
        const secret = await this.#find(appId, secretReading, id);
        if (secret !== null && allows(secret, origin)) return true;
      }
      return false;
    });
  }

  /** For `auto`: the live system grants of the caller's app whose secret allows this origin. None for an agent key. */
  findGrantsFor(caller: Caller, origin: Origin): readonly Grant[] | Promise<readonly Grant[]> {
    const { appId, keyType } = caller.key;
    if (keyType === 'agent') return []; // system grants are invisible to agent keys
    const answer = this.#answer<readonly Grant[]>(
      appId,
      origin,
      { about: 'grants', from: ['secret', 'grant'] },
      (view) => this.#findSystemGrants(view, origin),
    );
    // Grants expire without a change in the store.
    const now = this.#vault.clock();
    const live = (grants: readonly Grant[]) => grants.filter((grant) => grantStatus(grant, now) === 'active');
    return answer instanceof Promise ? answer.then(live) : live(answer);
  }

  /** Throws `state_unavailable` where the store was not heard of for longer than the bound. Ask after the look-ups. */
  requireFresh(appId: string): void {
    const view = this.#views.get(appId);
    const fresh = view instanceof SpaceView && performance.now() - view.contactAt <= this.#maxStalenessMs;
    if (!fresh) throw new AlterError('state_unavailable');
  }

  /** Tells of every change, after the old state was forgotten. Returns the way to stop listening. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    for (const view of this.#views.values()) if (view instanceof SpaceView) view.close();
    this.#views.clear();
  }

  #find<T extends object, V extends object>(
    space: string,
    reading: Reading<T, V>,
    id: string,
  ): V | null | Promise<V | null> {
    const view = this.#view(space);
    if (!(view instanceof SpaceView)) {
      return view.then((opened) => (opened === null ? null : this.#findIn(opened, reading, id)));
    }
    return this.#findIn(view, reading, id);
  }

  #findIn<T extends object, V extends object>(
    view: SpaceView,
    reading: Reading<T, V>,
    id: string,
  ): V | null | Promise<V | null> {
    const found = view.find(reading, id);
    if (!(found instanceof Promise)) return found;
    return found.catch((error: unknown) => {
      throw this.#report(view.keys.space, reading.kind.type, id, error);
    });
  }

  /** Null where there is no such app. */
  #view(space: string): SpaceView | Promise<SpaceView | null> {
    let view = this.#views.get(space);
    if (view === undefined) {
      view = this.#openView(space);
      this.#views.set(space, view);
    }
    return view;
  }

  async #openView(space: string): Promise<SpaceView | null> {
    try {
      if (this.#closed) throw new AlterError('state_unavailable', { detail: 'The read model is closed.' });
      const keys = await this.#vault.keyring.of(space);
      const view = await SpaceView.open({
        store: this.#vault.store,
        keys,
        memory: this.#memory,
        onChange: ({ type, id }) => this.#tell(space, type, id),
        onReset: () => this.#tell(space, '*', '*'),
      });
      if (this.#closed) {
        view.close();
        throw new AlterError('state_unavailable', { detail: 'The read model is closed.' });
      }
      this.#views.set(space, view);
      return view;
    } catch (error) {
      this.#views.delete(space); // the next one who asks tries again
      if (error instanceof AlterError && error.code === 'not_found') return null;
      throw this.#report(space, 'app-key', space, error);
    }
  }

  #tell(space: string, type: string, id: string): void {
    for (const listener of this.#listeners) listener(space, type, id);
  }

  /** Sync when it was asked before and nothing changed since. */
  #answer<T extends boolean | readonly Grant[]>(
    appId: string,
    origin: Origin,
    of: { readonly about: string; readonly from: readonly string[] },
    make: (view: SpaceView) => Promise<T>,
  ): T | Promise<T> {
    const view = this.#view(appId);
    const answerIn = (opened: SpaceView): T | Promise<T> => {
      const key = `${appId} ${of.about} ${formatAuthority(origin)}`;
      const changes = of.from.map((type) => opened.changesOf(type)).join();
      const known = this.#hostAnswers.get(key) as HostAnswer<T> | undefined;
      if (known?.changes === changes) return known.value;

      const flightKey = `${key} ${changes}`;
      let flight = this.#hostFlights.get(flightKey) as Promise<T> | undefined;
      if (flight === undefined) {
        flight = make(opened)
          .then((value) => {
            this.#hostAnswers.set(key, { changes, value } as HostAnswer<boolean> | HostAnswer<readonly Grant[]>);
            return value;
          })
          .finally(() => this.#hostFlights.delete(flightKey));
        this.#hostFlights.set(flightKey, flight);
      }
      return flight;
    };
    if (view instanceof SpaceView) return answerIn(view);
    return view.then((opened) => {
      if (opened === null) throw new AlterError('not_found', { detail: 'There is no such app.' });
      return answerIn(opened);
    });
  }

  /** Ids of secrets that the store's index offers for this host: to be looked at, not to be believed. */
  async #findCandidates(view: SpaceView, origin: Origin): Promise<string[]> {
    const tags = patternsThatAllow(origin).map((pattern) => hostTag(view.keys, pattern));
    const keys = await asked(this.#vault.store.findByTags(view.keys.space, tags, maxSecretsPerHost));
    return keys.filter((key) => key.type === secretKind.type).map((key) => key.id);
  }

  async #findSystemGrants(view: SpaceView, origin: Origin): Promise<readonly Grant[]> {
    const { keys } = view;
    const candidates = await this.#findCandidates(view, origin);
    const secrets = await Promise.all(candidates.map(async (id) => this.#findIn(view, secretReading, id)));
    const allowed = secrets.filter((secret) => secret !== null && allows(secret, origin)).map((secret) => secret!.id);
    if (allowed.length === 0) return [];
    const tags = allowed.map((id) => liveGrantTag(keys, id, { type: 'system' }));
    const found = await asked(this.#vault.store.findByTags(keys.space, tags, maxGrantsPerHost));
    const ids = found.filter((key) => key.type === grantKind.type).map((key) => key.id);
    const grants = await Promise.all(ids.map(async (id) => this.#findIn(view, grantReading, id)));
    return grants.filter(
      (grant): grant is Grant =>
        grant !== null &&
        grant.revokedAt === null &&
        grant.principal.type === 'system' &&
        allowed.includes(grant.secretId),
    );
  }

  #open(appId: string, version: Parameters<typeof openVersion>[1]): SecretValue {
    const view = this.#views.get(appId);
    if (!(view instanceof SpaceView))
      throw new AlterError('state_unavailable', { detail: 'The read model is closed.' });
    try {
      return openVersion(view.keys, version);
    } catch (error) {
      throw this.#report(appId, secretVersionKind.type, versionId(version.secretId, version.version), error);
    }
  }

  async #explainMissing(appId: string, secret: Secret): Promise<SecretValue> {
    const now = await this.#find(appId, secretReading, secret.id);
    if (now === null) throw new AlterError('grant_revoked');
    if (now.version !== secret.version) {
      throw new AlterError('state_unavailable', {
        detail: 'The secret was rotated while the request was under way.',
        hint: 'Repeat the request.',
      });
    }
    const id = versionId(secret.id, secret.version);
    const error = new AlterError('state_invalid', { detail: `The value ${id} is missing from the store.` });
    throw this.#report(appId, secretVersionKind.type, id, error);
  }

  /** The error itself, after it was told of if it says that a record is bad. */
  #report(appId: string, type: string, id: string, error: unknown): unknown {
    if (!(error instanceof AlterError && error.code === 'state_invalid')) return error;
    const key = `${appId} ${type} ${id}`;
    const now = performance.now();
    const last = this.#reportedAt.get(key);
    if (last === undefined || now - last >= invalidPauseMs) {
      this.#reportedAt.set(key, now);
      this.#onInvalid({ appId, type, id, detail: error.detail });
    }
    return error;
  }
}

function asStored<T extends object>(kind: Reading<T, T>['kind']): Reading<T, T> {
  return { kind, keep: (value) => value };
}

/** A range that can't be read would otherwise be one that nobody checks. */
function toCaller(key: RuntimeKey): Caller {
  if (key.cidr.length === 0) return { key, addresses: null };
  const ranges = key.cidr.map((text) => findAddressRange(text));
  if (ranges.some((range) => range === null)) {
    throw new AlterError('state_invalid', { detail: `The key ${key.id} is bound to addresses that can't be read.` });
  }
  return { key, addresses: new AddressSet(ranges.filter((range) => range !== null)) };
}

function allows(secret: Secret, origin: Origin): boolean {
  return secret.allowedHosts.some((pattern) => {
    try {
      return matchesHost(parseHostPattern(pattern), origin);
    } catch {
      return false; // a pattern that can't be read allows nothing
    }
  });
}
