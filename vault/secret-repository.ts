import type { Grant } from '../core/grant.ts';
import type { Secret } from '../core/secret.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import type { SecretValue } from './secret-value.ts';

/** What an operator says of a new secret. The vault adds id, slug, version, field names and times. */
export type SecretDraft = Pick<
  Secret,
  | 'name'
  | 'description'
  | 'credentialType'
  | 'injectionHeader'
  | 'injectionFormat'
  | 'injectionRules'
  | 'accountIdentifier'
  | 'accountDisplayName'
  | 'allowedHosts'
>;

export class SecretRepository {
  /**
   * The secret, its first version and its base grant (to `system`), in one commit. The slug comes from the name, with -2,
   * -3… only where it is taken.
   */
  create(_of: {
    readonly draft: SecretDraft;
    readonly fields: SecretValue;
    readonly baseGrantLabel: string;
  }): Promise<{ readonly secret: Versioned<Secret>; readonly grant: Versioned<Grant> }> {
    throw new Error('not built yet');
  }

  /** Throws `not_found`. */
  get(_idOrSlug: string): Promise<Versioned<Secret>> {
    throw new Error('not built yet');
  }

  list(_query: PageQuery): Promise<Page<Secret>> {
    throw new Error('not built yet');
  }

  /**
   * `change` may be called again where somebody else was faster; with `expectedRevision` that is a `revision_conflict`
   * instead. It can't change the id, slug, version or times. Throws `not_found`, `validation_failed` (allowed hosts).
   */
  update(_id: string, _change: (secret: Secret) => Secret, _expectedRevision?: number): Promise<Versioned<Secret>> {
    throw new Error('not built yet');
  }

  /** Stores a new value as the next version; grants keep working. Throws `not_found`, `revision_conflict`. */
  rotate(_id: string, _fields: SecretValue, _expectedRevision?: number): Promise<Versioned<Secret>> {
    throw new Error('not built yet');
  }

  /** Revokes its grants, then removes the secret with all its versions. Throws `not_found`, `revision_conflict`. */
  delete(_id: string, _expectedRevision?: number): Promise<void> {
    throw new Error('not built yet');
  }
}
