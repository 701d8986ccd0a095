import { AlterError } from '../../core/errors.ts';
import type { Grant } from '../../core/grant.ts';
import { issueId } from '../../core/id.ts';
import type { Principal } from '../../core/principal.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { RevisionConflict, type Store } from '../store/store.ts';
import { asked, fromStoreFailure } from '../store/store-failure.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { document, either, maxPolicyBytes, objectOf, oneOf, orNull, text, whole } from './record-shape.ts';
import { openRecord, type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';

/** What an operator says of a new grant. The vault adds id and times. */
export type GrantDraft = Pick<Grant, 'secretId' | 'principal' | 'label' | 'description' | 'expiresAt'> &
  Partial<Pick<Grant, 'policy'>>;

export const grantKind: RecordKind<Grant> = {
  type: 'grant',
  shape: {
    id: text(64),
    appId: text(64),
    secretId: text(64),
    principal: either(
      objectOf({ type: oneOf(['system']) }),
      objectOf({ type: oneOf(['user']), appUserId: text(256) }),
      objectOf({ type: oneOf(['group']), idpId: text(256), externalGroupId: text(1_024) }),
      objectOf({ type: oneOf(['agent']), agentId: text(64) }),
    ),
    label: text(1_024),
    description: orNull(text(8_192)),
    policy: orNull(document(maxPolicyBytes)),
    expiresAt: orNull(whole),
    createdAt: whole,
    revokedAt: orNull(whole),
  },
  absent: { policy: null },
  idOf: (grant) => grant.id,
  spaceOf: (grant) => grant.appId,
  tagsOf: (grant, keys) => [
    secretTag(keys, grant.secretId),
    principalTag(keys, grant.principal),
    // A revoked grant can't be in the way of a live one when the data plane looks for grants by host.
    ...(grant.revokedAt === null ? [liveGrantTag(keys, grant.secretId, grant.principal)] : []),
  ],
};

/** What grants are found by that were not revoked, for one secret and one principal. */
export function liveGrantTag(keys: SpaceKeys, secretId: string, principal: Principal): string {
  return keys.word('live-grant', `${secretId} ${principalWords(principal)}`);
}

function secretTag(keys: SpaceKeys, secretId: string): string {
  return keys.word('grant-of', secretId);
}

function principalTag(keys: SpaceKeys, principal: Principal): string {
  return keys.word('grant-to', principalWords(principal));
}

/** One word for one principal. */
export function principalWords(principal: Principal): string {
  switch (principal.type) {
    case 'system':
      return 'system';
    case 'user':
      return `user ${principal.appUserId}`;
    case 'group':
      return `group ${JSON.stringify([principal.idpId, principal.externalGroupId])}`;
    case 'agent':
      return `agent ${principal.agentId}`;
  }
}

const revokePage = 100;

export class GrantRepository {
  readonly #records: SealedRecords<Grant>;
  readonly #store: Store;
  readonly #keys: SpaceKeys;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: grantKind, keys: of.keys, store: of.store });
    this.#store = of.store;
    this.#keys = of.keys;
    this.#clock = of.clock;
  }

  /** Throws `not_found` where the app has no such secret. */
  async create(draft: GrantDraft): Promise<Versioned<Grant>> {
    // That it exists is enough: the data plane opens it, and a grant of a secret that is gone is good for nothing.
    const [secret] = await asked(this.#store.get(this.#keys.space, [{ type: 'secret', id: draft.secretId }]));
    if (secret === null) throw new AlterError('not_found', { detail: 'There is no such secret in this app.' });
    const now = this.#clock();
    return this.#records.create({
      id: issueId(now),
      appId: this.#keys.space,
      secretId: draft.secretId,
      principal: draft.principal,
      label: draft.label,
      description: draft.description,
      policy: draft.policy ?? null,
      expiresAt: draft.expiresAt,
      createdAt: now,
      revokedAt: null,
    });
  }

  /** Throws `not_found`. */
  get(id: string): Promise<Versioned<Grant>> {
    return this.#records.get(id);
  }

  /** As for secrets: label, description, policy and expiry can change, and nothing else. */
  update(id: string, change: (grant: Grant) => Grant, expectedRevision?: number): Promise<Versioned<Grant>> {
    return this.#records.update(
      id,
      (grant) => {
        const changed = change(grant);
        if (changed === grant) return grant;
        return {
          ...grant,
          label: changed.label,
          description: changed.description,
          policy: changed.policy,
          expiresAt: changed.expiresAt,
        };
      },
      expectedRevision,
    );
  }

  /** Idempotent: a revoked grant keeps the time of its first revocation. Throws `not_found`. */
  revoke(id: string): Promise<Versioned<Grant>> {
    return this.#records.update(id, (grant) => this.#revoked(grant));
  }

  /** Of a secret, or else of a principal, or else all. Revoked grants stay in the list. */
  list(
    query: PageQuery & { readonly secretId?: string | undefined; readonly principal?: Principal | undefined },
  ): Promise<Page<Grant>> {
    const { limit, offset, secretId, principal } = query;
    if (secretId === undefined && principal !== undefined) {
      const words = principalWords(principal);
      const tag = principalTag(this.#keys, principal);
      return this.#records.list({ limit, offset, tag, says: (grant) => principalWords(grant.principal) === words });
    }
    if (secretId === undefined) return this.#records.list({ limit, offset });
    return this.#records.list({
      limit,
      offset,
      tag: secretTag(this.#keys, secretId),
      says: (grant) => grant.secretId === secretId,
    });
  }

  /** In pages, each in one commit: what a secret needs before it goes. */
  async revokeAllOf(secretId: string): Promise<void> {
    const tag = secretTag(this.#keys, secretId);
    let after: string | undefined;
    for (;;) {
      const query = { space: this.#keys.space, type: grantKind.type, tag, limit: revokePage };
      const page = await asked(this.#store.list(after === undefined ? query : { ...query, after }));
      const changes = page.records.flatMap((stored) => {
        const { value, revision } = openRecord(grantKind, this.#keys, stored.id, stored);
        // The tags are the store's word: a planted one must not revoke what belongs to another secret.
        if (value.secretId !== secretId) throw new AlterError('state_invalid');
        const revoked = this.#revoked(value);
        return revoked === value ? [] : [sealRecord(grantKind, this.#keys, revoked, revision)];
      });
      try {
        if (changes.length > 0) await this.#store.commit(this.#keys.space, changes);
      } catch (error) {
        if (error instanceof RevisionConflict) continue; // one of them was changed: look at the page again
        throw fromStoreFailure(error);
      }
      if (page.records.length < revokePage) return;
      after = page.records[page.records.length - 1]!.id;
    }
  }

  #revoked(grant: Grant): Grant {
    return grant.revokedAt === null ? { ...grant, revokedAt: this.#clock() } : grant;
  }
}
