import type { Grant } from '../core/grant.ts';
import type { Page, PageQuery, Versioned } from './record.ts';

/** What an operator says of a new grant. The vault adds id and times. */
export type GrantDraft = Pick<Grant, 'secretId' | 'principal' | 'label' | 'description' | 'expiresAt'>;

export class GrantRepository {
  /** Throws `not_found` where the app has no such secret. */
  create(_draft: GrantDraft): Promise<Versioned<Grant>> {
    throw new Error('not built yet');
  }

  /** Throws `not_found`. */
  get(_id: string): Promise<Versioned<Grant>> {
    throw new Error('not built yet');
  }

  /** As {@link SecretRepository.update}: label, description and expiry can change, and nothing else. */
  update(_id: string, _change: (grant: Grant) => Grant, _expectedRevision?: number): Promise<Versioned<Grant>> {
    throw new Error('not built yet');
  }

  /** Idempotent: a revoked grant keeps the time of its first revocation. Throws `not_found`. */
  revoke(_id: string): Promise<Versioned<Grant>> {
    throw new Error('not built yet');
  }

  /** Revoked grants stay in the list. */
  list(_query: PageQuery & { readonly secretId?: string }): Promise<Page<Grant>> {
    throw new Error('not built yet');
  }
}
