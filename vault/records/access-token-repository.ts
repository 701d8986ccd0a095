import { type AccessToken, dashboardScopes } from '../../core/access-token.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { hexDigest, listOf, oneOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';

export const accessTokenKind: RecordKind<AccessToken> = {
  type: 'access-token',
  shape: {
    id: text(64),
    name: text(256),
    scopes: listOf(oneOf(dashboardScopes), dashboardScopes.length),
    appId: orNull(text(64)),
    expiresAt: orNull(whole),
    digest: hexDigest,
    createdAt: whole,
    revokedAt: orNull(whole),
  },
  idOf: (token) => token.id,
};

/** Personal access tokens, kept in the system space. Only the digest of a token is known here. */
export class AccessTokenRepository {
  readonly #records: SealedRecords<AccessToken>;
  readonly #clock: () => number;

  constructor(of: { store: Store; systemKeys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: accessTokenKind, keys: of.systemKeys, store: of.store });
    this.#clock = of.clock;
  }

  /** Throws `revision_conflict` where the id exists: ids are random. */
  create(token: AccessToken): Promise<Versioned<AccessToken>> {
    return this.#records.create(token);
  }

  /** Null where there is none of that id. */
  find(id: string): Promise<Versioned<AccessToken> | null> {
    return this.#records.find(id);
  }

  /** Throws `not_found`. */
  get(id: string): Promise<Versioned<AccessToken>> {
    return this.#records.get(id);
  }

  /** Idempotent: a revoked token keeps the time of its first revocation. Throws `not_found`. */
  revoke(id: string): Promise<Versioned<AccessToken>> {
    const now = this.#clock();
    return this.#records.update(id, (token) => (token.revokedAt === null ? { ...token, revokedAt: now } : token));
  }

  list(query: PageQuery): Promise<Page<AccessToken>> {
    return this.#records.list(query);
  }
}
