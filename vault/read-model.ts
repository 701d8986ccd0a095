import { createHash } from 'node:crypto';
import { AddressSet, findAddressRange } from '../core/address.ts';
import type { Agent } from '../core/agent.ts';
import type { App } from '../core/app.ts';
import { type Delegation, delegationStatus, findChainBreak } from '../core/delegation.ts';
import { AlterError } from '../core/errors.ts';
import { type Grant, grantStatus } from '../core/grant.ts';
import { patternsThatAllow, someAllows } from '../core/host-pattern.ts';
import type { IdentityProvider } from '../core/identity-provider.ts';
import { formatAuthority, type Origin } from '../core/origin.ts';
import type { Principal } from '../core/principal.ts';
import type { Caller, RuntimeKey } from '../core/runtime-key.ts';
import type { Secret, SecretVersion } from '../core/secret.ts';
import { groupsOf, type User, type VerifiedUser } from '../core/user.ts';
import { keyOfWorkload, type WorkloadIdentity } from '../core/workload-identity.ts';
import { systemSpace } from './keys/keyring.ts';
import { Lru, SharedCapacity } from './lru.ts';
import { agentKind } from './records/agent-repository.ts';
import { appKind } from './records/app-repository.ts';
import { delegationKind, liveDelegationTag } from './records/delegation-repository.ts';
import { grantKind, liveGrantTag, principalWords } from './records/grant-repository.ts';
import { identityProviderKind, maxIdentityProviders } from './records/identity-provider-repository.ts';
import { keyKind, keyOwnerKind } from './records/key-repository.ts';
import { hostTag, secretKind } from './records/secret-repository.ts';
import { openVersion, secretVersionKind, versionId } from './records/secret-version.ts';
import { userKind, userSubjectId, userSubjectKind } from './records/user-repository.ts';
import { maxWorkloadIdentities, workloadIdentityKind } from './records/workload-identity-repository.ts';
import type { SecretValue } from './secret-value.ts';
import { type Reading, type ReadMemory, SpaceView } from './space-view.ts';
import { asked } from './store/store-failure.ts';
import type { DataPlaneVault } from './vault.ts';

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
  readonly vault: DataPlaneVault;
  readonly maxStalenessMs: number;
  /** Over all apps. */
  readonly maxEntries?: number;
  /** How long an opened value stays in memory at most: 10 seconds, unless given. */
  readonly openedForMs?: number;
  /** Called for a security event, at most once a minute per record. */
  readonly onInvalid?: (record: InvalidRecord) => void;
}

/** Something that `auto` may choose: a grant, or a delegation with the label of its source. */
export interface Offer {
  readonly id: string;
  readonly label: string;
}

/** An answer made from several records. `changes` are the counts of the types that it was made from, as they stood before. */
interface MadeAnswer<T> {
  readonly changes: string;
  readonly value: T;
}

const keyReading: Reading<RuntimeKey, Caller> = { kind: keyKind, keep: toCaller };
const ownerReading = asStored(keyOwnerKind);
const secretReading = asStored(secretKind);
const versionReading = asStored(secretVersionKind);
const grantReading = asStored(grantKind);
const agentReading = asStored(agentKind);
const appReading = asStored(appKind);
const delegationReading = asStored(delegationKind);
const providerReading = asStored(identityProviderKind);
const workloadReading = asStored(workloadIdentityKind);
const userReading = asStored(userKind);
const subjectReading = asStored(userSubjectKind);

/** How many records an index may offer for one host. More than one live grant is ambiguous anyway. */
const maxSecretsPerHost = 100;
const maxGrantsPerHost = 500;
const maxDelegationsPerAgent = 500;
/** A user may be in hundreds of groups: as many words go into one question to the store. */
const tagBatch = 512;
const invalidPauseMs = 60_000;
const openedForMs = 10_000;
const maxOpened = 1_000;

/**
 * What the data plane reads. An answer is sync when it is in memory, so that a warm request never leaves its tick.
 *
 * Every look-up rejects or throws `state_invalid` for a record that can't be trusted and `state_unavailable` where the
 * store has to be asked and can't be.
 */
export class ReadModel {
  readonly #vault: DataPlaneVault;
  readonly #maxStalenessMs: number;
  readonly #onInvalid: (record: InvalidRecord) => void;
  readonly #memory: ReadMemory;
  readonly #answers: Lru<MadeAnswer<unknown>>;
  readonly #answerFlights = new Map<string, Promise<unknown>>();
  readonly #reportedAt = new Lru<number>(1_000);
  readonly #listeners = new Set<ChangeListener>();
  /** One for each app that was asked for. Apps are made by operators, so that no client makes this grow. */
  readonly #views = new Map<string, SpaceView | Promise<SpaceView | null>>();
  /** By the record itself, which every change replaces. Emptied every few seconds: what is not in use is not in memory. */
  readonly #opened = new Map<SecretVersion, SecretValue>();
  /** The same by the record of the secret, as long as nothing changes: nearly every request finds its value here. */
  readonly #openedNow = new Map<Secret, { readonly value: SecretValue; readonly changes: number }>();
  readonly #forgetting: NodeJS.Timeout;
  #changes = 0;
  #closed = false;

  constructor(options: ReadModelOptions) {
    const { maxEntries = 50_000 } = options;
    this.#vault = options.vault;
    this.#maxStalenessMs = options.maxStalenessMs;
    this.#onInvalid = options.onInvalid ?? (() => {});
    this.#memory = {
      records: new SharedCapacity(Math.ceil(maxEntries * 0.7)),
      absences: new SharedCapacity(Math.ceil(maxEntries * 0.1)),
      floors: new Lru(maxEntries * 2), // a number each, and worth keeping longer than the record
    };
    this.#answers = new Lru(Math.ceil(maxEntries * 0.2));
    this.#forgetting = setInterval(() => this.#closeOpened(), options.openedForMs ?? openedForMs);
    this.#forgetting.unref();
  }

  findKey(keyId: string): Caller | null | Promise<Caller | null> {
    const { onlyAppId } = this.#vault;
    if (onlyAppId !== null) return this.#findCaller(onlyAppId, keyId); // the key of another app is one that does not exist
    const owner = this.#find(systemSpace, ownerReading, keyId);
    if (owner instanceof Promise) return owner.then((of) => (of === null ? null : this.#findCaller(of.appId, keyId)));
    return owner === null ? null : this.#findCaller(owner.appId, keyId);
  }

  #findCaller(appId: string, keyId: string): Caller | null | Promise<Caller | null> {
    const found = this.#find(appId, keyReading, keyId);
    return found instanceof Promise
      ? found.then((caller) => this.#complete(appId, caller))
      : this.#complete(appId, found);
  }

  /** With the agent of an agent's key, and the parent of a derived one. */
  #complete(appId: string, caller: Caller | null): Caller | null | Promise<Caller | null> {
    if (caller === null || caller.key.keyType === 'runtime') return caller;
    if (caller.key.keyType === 'agent') {
      const agent = caller.key.agentId === null ? null : this.findAgent(appId, caller.key.agentId);
      return agent instanceof Promise ? agent.then((found) => ({ ...caller, agent: found })) : { ...caller, agent };
    }
    // As it is stored, without its own parent: a key that is itself derived has no children.
    const parent = caller.key.parentId === null ? null : this.#find(appId, keyReading, caller.key.parentId);
    return parent instanceof Promise ? parent.then((found) => ({ ...caller, parent: found })) : { ...caller, parent };
  }

  findApp(appId: string): App | null | Promise<App | null> {
    return this.#find(appId, appReading, appId);
  }

  findAgent(appId: string, agentId: string): Agent | null | Promise<Agent | null> {
    return this.#find(appId, agentReading, agentId);
  }

  findDelegation(appId: string, delegationId: string): Delegation | null | Promise<Delegation | null> {
    return this.#find(appId, delegationReading, delegationId);
  }

  findIdentityProvider(appId: string, idpId: string): IdentityProvider | null | Promise<IdentityProvider | null> {
    return this.#find(appId, providerReading, idpId);
  }

  /** Each is the same object as long as it was not changed. */
  findIdentityProviders(appId: string): readonly IdentityProvider[] | Promise<readonly IdentityProvider[]> {
    return this.#answer(appId, 'providers', [identityProviderKind.type], async ({ keys }) => {
      const query = { space: keys.space, type: identityProviderKind.type, limit: maxIdentityProviders };
      const { records } = await asked(this.#vault.store.list(query));
      const found = await Promise.all(records.map(async ({ id }) => this.#find(appId, providerReading, id)));
      return found.filter((provider) => provider !== null);
    });
  }

  /** Everyone whose tokens the app takes in the place of a key. */
  findWorkloads(appId: string): readonly WorkloadIdentity[] | Promise<readonly WorkloadIdentity[]> {
    return this.#answer(appId, 'workloads', [workloadIdentityKind.type], async ({ keys }) => {
      const query = { space: keys.space, type: workloadIdentityKind.type, limit: maxWorkloadIdentities };
      const { records } = await asked(this.#vault.store.list(query));
      const found = await Promise.all(records.map(async ({ id }) => this.#find(appId, workloadReading, id)));
      return found.filter((identity) => identity !== null);
    });
  }

  /** The caller that a proven token stands for; null where its identity is gone. */
  async findWorkloadCaller(of: {
    readonly appId: string;
    readonly identityId: string;
    readonly endsAt: number;
  }): Promise<Caller | null> {
    const identity = await this.#find(of.appId, workloadReading, of.identityId);
    if (identity === null) return null;
    const caller = toCaller(keyOfWorkload(identity, of.endsAt));
    return identity.agentId === null ? caller : { ...caller, agent: await this.findAgent(of.appId, identity.agentId) };
  }

  findUser(appId: string, userId: string): User | null | Promise<User | null> {
    return this.#find(appId, userReading, userId);
  }

  /** The id that the app has for a provider's user; null where it has not seen them. */
  findUserId(
    appId: string,
    of: { readonly idpId: string; readonly externalId: string },
  ): string | null | Promise<string | null> {
    const findIn = (view: SpaceView | null): string | null | Promise<string | null> => {
      if (view === null) return null;
      const subject = this.#findIn(view, subjectReading, userSubjectId(view.keys, of));
      return subject instanceof Promise ? subject.then((found) => found?.userId ?? null) : (subject?.userId ?? null);
    };
    const view = this.#view(appId);
    return view instanceof SpaceView ? findIn(view) : view.then(findIn);
  }

  findGrant(appId: string, grantId: string): Grant | null | Promise<Grant | null> {
    return this.#find(appId, grantReading, grantId);
  }

  findSecret(appId: string, secretId: string): Secret | null | Promise<Secret | null> {
    return this.#find(appId, secretReading, secretId);
  }

  /**
   * The value of the version that `secret` names. It stays open in memory for some seconds at most. Also throws
   * `grant_revoked` where the secret was deleted meanwhile, and `state_unavailable` where it was rotated twice meanwhile.
   */
  openSecret(appId: string, secret: Secret): SecretValue | Promise<SecretValue> {
    const known = this.#openedNow.get(secret);
    if (known !== undefined && known.changes === this.#changes) return known.value;
    const version = this.#find(appId, versionReading, versionId(secret.id, secret.version));
    if (version instanceof Promise) {
      return version.then((found) => (found === null ? this.#explainMissing(appId, secret) : this.#open(appId, found)));
    }
    if (version === null) return this.#explainMissing(appId, secret);
    const value = this.#open(appId, version);
    if (this.#openedNow.size >= maxOpened) this.#openedNow.clear();
    this.#openedNow.set(secret, { value, changes: this.#changes });
    return value;
  }

  /** Is this an allowed host of some live secret of the app? */
  someSecretAllows(appId: string, origin: Origin): boolean | Promise<boolean> {
    return this.#answer(appId, `allowed ${formatAuthority(origin)}`, ['secret'], async (view) => {
      for (const id of await this.#findCandidates(view, origin)) {
        const secret = await this.#find(appId, secretReading, id);
        if (secret !== null && someAllows(secret.allowedHosts, origin)) return true;
      }
      return false;
    });
  }

  /**
   * For `auto`: what this caller may use now for this origin. To runtime and derived keys the grants of the system and, with
   * a verified user, those of the user and of the user's groups; to an agent's key its grants and its delegations.
   */
  async findOffers(
    of: { readonly caller: Caller; readonly user: VerifiedUser | null },
    origin: Origin,
    now: number,
  ): Promise<readonly Offer[]> {
    const { appId, keyType, agentId } = of.caller.key;
    const principals = keyType === 'agent' ? agentPrincipals(agentId) : principalsOf(of.user);
    const offers: Offer[] = [];
    for (const grant of await this.#findGrantsTo(appId, principals, origin))
      if (grantStatus(grant, now) === 'active') offers.push({ id: grant.id, label: grant.label });
    if (keyType !== 'agent' || agentId === null) return offers;
    for (const delegation of await this.#findDelegationsTo(appId, agentId)) {
      if (delegationStatus(delegation, now) !== 'active') continue;
      const grant = await this.findGrant(appId, delegation.sourceGrantId);
      const secret = grant === null ? null : await this.findSecret(appId, grant.secretId);
      if (grant === null || secret === null || !someAllows(secret.allowedHosts, origin)) continue;
      const user = await this.findDelegator(delegation);
      if (findChainBreak({ delegation, user }, { grant, secret, agentId }, now) === null)
        offers.push({ id: delegation.id, label: grant.label });
    }
    return offers;
  }

  /** Who lends; null where the user is gone, or the identity provider that vouched for them. */
  async findDelegator(delegation: Delegation): Promise<User | null> {
    const { appId, userId } = delegation;
    const user = await this.findUser(appId, userId);
    if (user === null) return null;
    return (await this.findIdentityProvider(appId, user.idpId)) === null ? null : user;
  }

  /** Throws `state_unavailable` where the store was not heard of for longer than the bound. Ask after the look-ups. */
  requireFresh(appId: string): void {
    const since = performance.now() - this.#maxStalenessMs;
    const isFresh = (view: SpaceView | Promise<SpaceView | null> | undefined): boolean =>
      view instanceof SpaceView && view.contactAt >= since;
    // Which app a key belongs to stands in the system space.
    const systemView = this.#views.get(systemSpace);
    if (!isFresh(this.#views.get(appId)) || (systemView !== undefined && !isFresh(systemView)))
      throw new AlterError('state_unavailable');
  }

  /** Begins to follow what is always looked at, so that freshness is known before the first request. Rejects as a look-up does. */
  async follow(): Promise<void> {
    await this.#view(this.#vault.onlyAppId ?? systemSpace);
  }

  /** Whether the store was heard of in time, for every app that was asked for. */
  isFresh(): boolean {
    const since = performance.now() - this.#maxStalenessMs;
    return [...this.#views.values()].every((view) => view instanceof Promise || view.contactAt >= since);
  }

  /** Differs after every change: what was found in memory before, and is not looked up again, holds as long as it stands still. */
  get changes(): number {
    return this.#changes;
  }

  /** Tells of every change, after the old state was forgotten. Returns the way to stop listening. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#forgetting);
    this.#changes++;
    this.#closeOpened();
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
        era: () => this.#vault.store.eraOf(space),
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

  #closeOpened(): void {
    this.#opened.clear();
    this.#openedNow.clear();
  }

  #tell(space: string, type: string, id: string): void {
    this.#changes++;
    for (const listener of this.#listeners) listener(space, type, id);
  }

  /** Sync when it was asked before and no record of the types `from` changed since. */
  #answer<T>(
    appId: string,
    about: string,
    from: readonly string[],
    make: (view: SpaceView) => Promise<T>,
  ): T | Promise<T> {
    const view = this.#view(appId);
    const answerIn = (opened: SpaceView): T | Promise<T> => {
      const key = `${appId} ${about}`;
      const changes = from.map((type) => opened.changesOf(type)).join();
      const known = this.#answers.get(key) as MadeAnswer<T> | undefined;
      if (known?.changes === changes) return known.value;

      const flightKey = `${key} ${changes}`;
      let flight = this.#answerFlights.get(flightKey) as Promise<T> | undefined;
      if (flight === undefined) {
        flight = make(opened)
          .then((value) => {
            this.#answers.set(key, { changes, value });
            return value;
          })
          .finally(() => this.#answerFlights.delete(flightKey));
        this.#answerFlights.set(flightKey, flight);
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

  #findGrantsTo(
    appId: string,
    principals: readonly Principal[],
    origin: Origin,
  ): readonly Grant[] | Promise<readonly Grant[]> {
    const words = new Set(principals.map(principalWords));
    const about = createHash('sha256')
      .update(JSON.stringify([...words]))
      .digest('base64url');
    return this.#answer(appId, `grants ${formatAuthority(origin)} ${about}`, ['secret', 'grant'], async (view) => {
      const candidates = await this.#findCandidates(view, origin);
      const secrets = await Promise.all(candidates.map(async (id) => this.#findIn(view, secretReading, id)));
      const allowed = secrets
        .filter((secret) => secret !== null && someAllows(secret.allowedHosts, origin))
        .map((secret) => secret!.id);
      const tags = allowed.flatMap((id) => principals.map((principal) => liveGrantTag(view.keys, id, principal)));
      const ids = new Set<string>();
      for (let at = 0; at < tags.length; at += tagBatch) {
        const batch = tags.slice(at, at + tagBatch);
        for (const key of await asked(this.#vault.store.findByTags(view.keys.space, batch, maxGrantsPerHost)))
          if (key.type === grantKind.type) ids.add(key.id);
      }
      const grants = await Promise.all([...ids].map(async (id) => this.#findIn(view, grantReading, id)));
      return grants.filter(
        (grant): grant is Grant =>
          grant !== null &&
          grant.revokedAt === null &&
          words.has(principalWords(grant.principal)) &&
          allowed.includes(grant.secretId),
      );
    });
  }

  #findDelegationsTo(appId: string, agentId: string): readonly Delegation[] | Promise<readonly Delegation[]> {
    return this.#answer(appId, `delegations ${agentId}`, ['delegation'], async (view) => {
      const tags = [liveDelegationTag(view.keys, agentId)];
      const keys = await asked(this.#vault.store.findByTags(view.keys.space, tags, maxDelegationsPerAgent));
      const ids = keys.filter((key) => key.type === delegationKind.type).map((key) => key.id);
      const found = await Promise.all(ids.map(async (id) => this.#findIn(view, delegationReading, id)));
      return found.filter((delegation) => delegation !== null && delegation.agentId === agentId) as Delegation[];
    });
  }

  /** Two decryptions take 15 µs, so a value that is in use stays open for a few seconds. */
  #open(appId: string, version: SecretVersion): SecretValue {
    const opened = this.#opened.get(version);
    if (opened !== undefined) return opened;
    const value = this.#decrypt(appId, version);
    if (this.#opened.size >= maxOpened) this.#opened.clear();
    this.#opened.set(version, value);
    return value;
  }

  #decrypt(appId: string, version: SecretVersion): SecretValue {
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
    // Not as it is in memory: whoever deleted or rotated it did so before the feed tells of it.
    const view = await this.#view(appId);
    const anew = view === null ? null : view.findAnew(secretReading, secret.id);
    const now = await anew?.catch((error: unknown) => {
      throw this.#report(appId, secretReading.kind.type, secret.id, error);
    });
    if (now === null || now === undefined) throw new AlterError('grant_revoked');
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
    if (!(error instanceof AlterError && error.code === 'state_invalid')) return error; // the guard tells of rollbacks
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
  if (key.cidr.length === 0) return { key, addresses: null, agent: null, parent: null };
  const ranges = key.cidr.map((text) => findAddressRange(text));
  if (ranges.some((range) => range === null)) {
    throw new AlterError('state_invalid', { detail: `The key ${key.id} is bound to addresses that can't be read.` });
  }
  const addresses = new AddressSet(ranges.filter((range) => range !== null));
  return { key, addresses, agent: null, parent: null };
}

function principalsOf(user: VerifiedUser | null): Principal[] {
  if (user === null) return [{ type: 'system' }];
  const { userId, idpId } = user;
  return [
    { type: 'system' },
    ...(userId === null ? [] : [{ type: 'user', appUserId: userId } as const]),
    ...groupsOf(user).map((externalGroupId) => ({ type: 'group', idpId, externalGroupId }) as const),
  ];
}

function agentPrincipals(agentId: string | null): Principal[] {
  return agentId === null ? [] : [{ type: 'agent', agentId }];
}
