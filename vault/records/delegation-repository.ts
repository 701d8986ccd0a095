import type { Delegation } from '../../core/delegation.ts';
import { AlterError } from '../../core/errors.ts';
import { isId, issueId } from '../../core/id.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';

export type DelegationDraft = Pick<Delegation, 'agentId' | 'sourceGrantId' | 'userId' | 'expiresAt'>;

export const delegationKind: RecordKind<Delegation> = {
  type: 'delegation',
  shape: {
    id: text(64),
    appId: text(64),
    agentId: text(64),
    sourceGrantId: text(64),
    userId: text(64),
    createdAt: whole,
    expiresAt: whole,
    revokedAt: orNull(whole),
  },
  idOf: (delegation) => delegation.id,
  spaceOf: (delegation) => delegation.appId,
  tagsOf: (delegation, keys) => [
    agentTag(keys, delegation.agentId),
    sourceTag(keys, delegation.sourceGrantId),
    userTag(keys, delegation.userId),
    ...(delegation.revokedAt === null ? [liveDelegationTag(keys, delegation.agentId)] : []),
  ],
};

/** What the delegations are found by that an agent was given and that were not revoked. */
export function liveDelegationTag(keys: SpaceKeys, agentId: string): string {
  return keys.word('live-delegation-to', agentId);
}

function agentTag(keys: SpaceKeys, agentId: string): string {
  return keys.word('delegation-to', agentId);
}

function sourceTag(keys: SpaceKeys, grantId: string): string {
  return keys.word('delegation-of', grantId);
}

function userTag(keys: SpaceKeys, userId: string): string {
  return keys.word('delegation-by', userId);
}

export class DelegationRepository {
  readonly #records: SealedRecords<Delegation>;
  readonly #keys: SpaceKeys;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: delegationKind, keys: of.keys, store: of.store });
    this.#keys = of.keys;
    this.#clock = of.clock;
  }

  /** The caller has checked that this user may lend this grant: the data plane checks it again, on each request. */
  create(draft: DelegationDraft): Promise<Versioned<Delegation>> {
    const now = this.#clock();
    const { agentId, sourceGrantId, userId, expiresAt } = draft;
    return this.#records.create({
      id: issueId(now),
      appId: this.#keys.space,
      agentId,
      sourceGrantId,
      userId,
      createdAt: now,
      expiresAt,
      revokedAt: null,
    });
  }

  /** Throws `not_found`. */
  async get(id: string): Promise<Versioned<Delegation>> {
    const found = isId(id) ? await this.#records.find(id) : null;
    if (found === null) throw new AlterError('not_found', { detail: 'There is no such delegation in this app.' });
    return found;
  }

  /** Idempotent. Throws `not_found`. */
  revoke(id: string): Promise<Versioned<Delegation>> {
    return this.#records.update(id, (delegation) =>
      delegation.revokedAt === null ? { ...delegation, revokedAt: this.#clock() } : delegation,
    );
  }

  /** At most one of the three filters counts. Revoked ones stay in the list. */
  list(
    query: PageQuery & {
      readonly agentId?: string | undefined;
      readonly sourceGrantId?: string | undefined;
      readonly userId?: string | undefined;
    },
  ): Promise<Page<Delegation>> {
    const { limit, offset, agentId, sourceGrantId, userId } = query;
    const page = { limit, offset };
    if (agentId !== undefined) {
      const tag = agentTag(this.#keys, agentId);
      return this.#records.list({ ...page, tag, says: (delegation) => delegation.agentId === agentId });
    }
    if (sourceGrantId !== undefined) {
      const tag = sourceTag(this.#keys, sourceGrantId);
      return this.#records.list({ ...page, tag, says: (delegation) => delegation.sourceGrantId === sourceGrantId });
    }
    if (userId !== undefined) {
      const tag = userTag(this.#keys, userId);
      return this.#records.list({ ...page, tag, says: (delegation) => delegation.userId === userId });
    }
    return this.#records.list(page);
  }
}
