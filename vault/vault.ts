import type { AccessTokenRepository } from './access-token-repository.ts';
import type { AppRepository } from './app-repository.ts';
import type { AuditReader } from './audit-reader.ts';
import type { AuthorityRepository } from './authority-repository.ts';
import type { GrantRepository } from './grant-repository.ts';
import type { KeyRepository } from './key-repository.ts';
import type { Kms } from './kms.ts';
import type { SecretRepository } from './secret-repository.ts';
import type { Store } from './store.ts';

/** The sealed state of one app. */
export interface AppVault {
  readonly appId: string;
  readonly secrets: SecretRepository;
  readonly grants: GrantRepository;
  readonly keys: KeyRepository;
  readonly audit: AuditReader;
}

export interface VaultPorts {
  readonly store: Store;
  readonly kms: Kms;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Made by {@link openVault}. The owner of the store closes it. */
export interface Vault {
  readonly apps: AppRepository;
  readonly accessTokens: AccessTokenRepository;
  readonly authority: AuthorityRepository;
  /** Events that belong to no app. */
  readonly audit: AuditReader;
  /** Throws `not_found`. */
  app(appId: string): Promise<AppVault>;
}

/**
 * Creates the key of the system space on first use. Throws `state_invalid` where the store was written under another root
 * key, `state_unavailable` where it can't be reached.
 */
export function openVault(_ports: VaultPorts): Promise<Vault> {
  throw new Error('not built yet');
}
