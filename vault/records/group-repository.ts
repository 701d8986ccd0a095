import { AlterError } from '../../core/errors.ts';
import type { Group } from '../../core/group.ts';
import { isId, issueId } from '../../core/id.ts';
import { maxExternalIdLength } from '../../core/user.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';

export type GroupDraft = Pick<Group, 'idpId' | 'externalGroupId' | 'name'>;
type GroupAddress = Pick<Group, 'idpId' | 'externalGroupId'>;

export const groupKind: RecordKind<Group> = {
  type: 'group',
  shape: {
    id: text(64),
    appId: text(64),
    idpId: text(64),
    externalGroupId: text(maxExternalIdLength),
    name: text(1_024),
    createdAt: whole,
  },
  idOf: (group) => group.id,
  spaceOf: (group) => group.appId,
  tagsOf: (group, keys) => [providerTag(keys, group.idpId)],
  namesOf: (group, keys) => [groupName(keys, group)],
};

function groupName(keys: SpaceKeys, of: GroupAddress): string {
  return keys.word('group', JSON.stringify([of.idpId, of.externalGroupId]));
}

function providerTag(keys: SpaceKeys, idpId: string): string {
  return keys.word('group-of', idpId);
}

export class GroupRepository {
  readonly #records: SealedRecords<Group>;
  readonly #keys: SpaceKeys;
  readonly #store: Store;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: groupKind, keys: of.keys, store: of.store });
    this.#keys = of.keys;
    this.#store = of.store;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the provider's group is known already. */
  create(draft: GroupDraft): Promise<Versioned<Group>> {
    const now = this.#clock();
    const { idpId, externalGroupId, name } = draft;
    return this.#records.create({
      id: issueId(now),
      appId: this.#keys.space,
      idpId,
      externalGroupId,
      name,
      createdAt: now,
    });
  }

  /** Creates those that are not known yet, under the name that the token gave them: their external id. */
  async see(idpId: string, externalGroupIds: readonly string[]): Promise<void> {
    const groups = [...new Set(externalGroupIds)].map((externalGroupId) => ({ idpId, externalGroupId }));
    if (groups.length === 0) return;
    const names = groups.map((group) => groupName(this.#keys, group));
    const holders = await asked(this.#store.findByName(this.#keys.space, names));
    for (const [index, group] of groups.entries()) {
      if (holders[index] !== null) continue;
      try {
        await this.create({ ...group, name: group.externalGroupId });
      } catch (error) {
        if (!(error instanceof AlterError && error.code === 'conflict')) throw error; // else: another process was faster
      }
    }
  }

  /** Throws `not_found`. */
  async get(id: string): Promise<Versioned<Group>> {
    const found = isId(id) ? await this.#records.find(id) : null;
    if (found === null) throw new AlterError('not_found', { detail: 'There is no such group in this app.' });
    return found;
  }

  find(of: GroupAddress): Promise<Versioned<Group> | null> {
    return this.#records.findByName(
      groupName(this.#keys, of),
      (group) => group.idpId === of.idpId && group.externalGroupId === of.externalGroupId,
    );
  }

  list(query: PageQuery & { readonly idpId?: string | undefined }): Promise<Page<Group>> {
    const { limit, offset, idpId } = query;
    if (idpId === undefined) return this.#records.list({ limit, offset });
    const tag = providerTag(this.#keys, idpId);
    return this.#records.list({ limit, offset, tag, says: (group) => group.idpId === idpId });
  }
}
