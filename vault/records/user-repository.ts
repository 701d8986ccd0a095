import { AlterError } from '../../core/errors.ts';
import { isId, issueId } from '../../core/id.ts';
import { groupsOf, maxExternalIdLength, maxGroupsOfUser, type User, type VerifiedUser } from '../../core/user.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { RevisionConflict, type Store } from '../store/store.ts';
import { fromStoreFailure } from '../store/store-failure.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { listOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';

/** What an operator says of a user whom no token has shown yet. */
export type UserDraft = Pick<User, 'idpId' | 'externalId' | 'email' | 'name'>;

export const userKind: RecordKind<User> = {
  type: 'user',
  shape: {
    id: text(64),
    appId: text(64),
    idpId: text(64),
    externalId: text(maxExternalIdLength),
    email: orNull(text(1_024)),
    name: orNull(text(1_024)),
    groups: listOf(text(maxExternalIdLength), maxGroupsOfUser),
    addedGroups: listOf(text(maxExternalIdLength), maxGroupsOfUser),
    groupsAt: whole,
    createdAt: whole,
    lastSeenAt: orNull(whole),
  },
  absent: { addedGroups: [] },
  idOf: (user) => user.id,
  spaceOf: (user) => user.appId,
  tagsOf: (user, keys) => [
    providerTag(keys, user.idpId),
    ...groupsOf(user).map((group) => memberTag(keys, user.idpId, group)),
  ],
};

/** Leads from what a token says to the user; its id is a word, so that the data plane finds it as it finds everything. */
export interface UserSubject {
  readonly id: string;
  readonly appId: string;
  readonly idpId: string;
  readonly externalId: string;
  readonly userId: string;
}

export const userSubjectKind: RecordKind<UserSubject> = {
  type: 'user-subject',
  shape: { id: text(64), appId: text(64), idpId: text(64), externalId: text(maxExternalIdLength), userId: text(64) },
  idOf: (subject) => subject.id,
  spaceOf: (subject) => subject.appId,
};

export function userSubjectId(keys: SpaceKeys, of: { readonly idpId: string; readonly externalId: string }): string {
  return keys.word('user-subject', JSON.stringify([of.idpId, of.externalId]));
}

function providerTag(keys: SpaceKeys, idpId: string): string {
  return keys.word('user-of', idpId);
}

function memberTag(keys: SpaceKeys, idpId: string, group: string): string {
  return keys.word('user-in', JSON.stringify([idpId, group]));
}

export class UserRepository {
  readonly #records: SealedRecords<User>;
  readonly #subjects: SealedRecords<UserSubject>;
  readonly #keys: SpaceKeys;
  readonly #store: Store;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: userKind, keys: of.keys, store: of.store });
    this.#subjects = new SealedRecords({ kind: userSubjectKind, keys: of.keys, store: of.store });
    this.#keys = of.keys;
    this.#store = of.store;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the provider's user is known already. */
  async create(draft: UserDraft): Promise<Versioned<User>> {
    const { idpId, externalId, email, name } = draft;
    const created = await this.#create({
      idpId,
      externalId,
      email,
      name,
      groups: [],
      addedGroups: [],
      groupsAt: 0,
      lastSeenAt: null,
    });
    if (created === null)
      throw new AlterError('conflict', { detail: 'The app has this user of the provider already.' });
    return created;
  }

  /**
   * Keeps what a verified token says. Of two tokens, the one that was issued later says which groups the user is in, in
   * whatever order they are shown.
   */
  async see(verified: Omit<VerifiedUser, 'userId'>): Promise<Versioned<User>> {
    const { idpId, externalId, email, name, issuedAt } = verified;
    const groups = [...new Set(verified.groups)];
    for (let attempt = 1; ; attempt++) {
      const found = await this.findBySubject({ idpId, externalId });
      if (found === null) {
        const lastSeenAt = this.#clock();
        const said = { email, name, groups, groupsAt: issuedAt };
        const created = await this.#create({ idpId, externalId, ...said, addedGroups: [], lastSeenAt });
        if (created !== null) return created;
        if (attempt === 3) throw new AlterError('state_unavailable');
        continue; // another process saw the user at the same time
      }
      return this.#records.update(found.value.id, (user) => {
        const seen = { ...user, lastSeenAt: this.#clock() };
        return issuedAt < user.groupsAt
          ? seen
          : { ...seen, email: email ?? user.email, name: name ?? user.name, groups, groupsAt: issuedAt };
      });
    }
  }

  /**
   * Puts the user into a group of their provider, beside those that tokens name; a member stays one. Throws `not_found`,
   * and `conflict` where they are in as many as a user may be.
   */
  addTo(id: string, externalGroupId: string): Promise<Versioned<User>> {
    return this.#records.update(id, (user) => {
      if (user.addedGroups.includes(externalGroupId)) return user;
      if (user.addedGroups.length >= maxGroupsOfUser)
        throw new AlterError('conflict', { detail: `The user was added to ${maxGroupsOfUser} groups already.` });
      return { ...user, addedGroups: [...user.addedGroups, externalGroupId] };
    });
  }

  /** Takes back what {@link addTo} did; what a token says stays. Throws `not_found`. */
  removeFrom(id: string, externalGroupId: string): Promise<Versioned<User>> {
    return this.#records.update(id, (user) =>
      user.addedGroups.includes(externalGroupId)
        ? { ...user, addedGroups: user.addedGroups.filter((group) => group !== externalGroupId) }
        : user,
    );
  }

  /** Throws `not_found`. */
  async get(id: string): Promise<Versioned<User>> {
    const found = isId(id) ? await this.#records.find(id) : null;
    if (found === null) throw new AlterError('not_found', { detail: 'There is no such user in this app.' });
    return found;
  }

  async findBySubject(of: { readonly idpId: string; readonly externalId: string }): Promise<Versioned<User> | null> {
    const subject = await this.#subjects.find(userSubjectId(this.#keys, of));
    return subject === null ? null : this.#records.find(subject.value.userId);
  }

  /** With `group`: only those who are in it. With `idpId`: only those of that provider. */
  list(
    query: PageQuery & { readonly idpId?: string | undefined; readonly group?: string | undefined },
  ): Promise<Page<User>> {
    const { limit, offset, idpId, group } = query;
    if (idpId === undefined) return this.#records.list({ limit, offset });
    const says = (user: User) => user.idpId === idpId && (group === undefined || groupsOf(user).includes(group));
    const tag = group === undefined ? providerTag(this.#keys, idpId) : memberTag(this.#keys, idpId, group);
    return this.#records.list({ limit, offset, tag, says });
  }

  /** Null where the subject is taken. */
  async #create(of: Omit<User, 'id' | 'appId' | 'createdAt'>): Promise<Versioned<User> | null> {
    const now = this.#clock();
    const appId = this.#keys.space;
    const user: User = { id: issueId(now), appId, ...of, createdAt: now };
    const { idpId, externalId } = of;
    const subject = { id: userSubjectId(this.#keys, of), appId, idpId, externalId, userId: user.id };
    try {
      await this.#store.commit(appId, [
        sealRecord(userKind, this.#keys, user, 0),
        sealRecord(userSubjectKind, this.#keys, subject, 0),
      ]);
      return { value: user, revision: 1 };
    } catch (error) {
      if (error instanceof RevisionConflict) return null;
      throw fromStoreFailure(error);
    }
  }
}
