import type { AccessToken } from '../core/access-token.ts';
import type { Page, PageQuery, Versioned } from './record.ts';

/** Personal access tokens, kept in the system space. Only the digest of a token is known here. */
export class AccessTokenRepository {
  /** Throws `conflict` where the id exists. */
  create(_token: AccessToken): Promise<Versioned<AccessToken>> {
    throw new Error('not built yet');
  }

  /** Null where there is none of that id. */
  find(_id: string): Promise<Versioned<AccessToken> | null> {
    throw new Error('not built yet');
  }

  /** Throws `not_found`. */
  get(_id: string): Promise<Versioned<AccessToken>> {
    throw new Error('not built yet');
  }

  /** Idempotent: a revoked token keeps the time of its first revocation. Throws `not_found`. */
  revoke(_id: string): Promise<Versioned<AccessToken>> {
    throw new Error('not built yet');
  }

  list(_query: PageQuery): Promise<Page<AccessToken>> {
    throw new Error('not built yet');
  }
}
