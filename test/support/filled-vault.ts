import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Origin } from '../../core/origin.ts';
import { parseAuthority } from '../../core/origin.ts';
import type { RuntimeKey } from '../../core/runtime-key.ts';
import { issueToken } from '../../core/token.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import type { SecretDraft } from '../../vault/records/secret-repository.ts';
import { SecretValue } from '../../vault/secret-value.ts';
import type { Store } from '../../vault/store/store.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { openVault, type Vault } from '../../vault/vault.ts';
import { HostileStore } from './hostile-store.ts';

export const startOfTime = Date.UTC(2026, 10, 21);

/** A vault on a real store of its own. `clock.now` can be moved. */
export interface FilledVault {
  readonly vault: Vault;
  readonly store: HostileStore;
  readonly rootKey: Buffer;
  readonly clock: { now: number };
  /** The folder of the SQLite file. */
  readonly folder: string;
  close(): Promise<void>;
}

export async function fillVault(real?: Store): Promise<FilledVault> {
  const folder = mkdtempSync(join(tmpdir(), 'alter-vault-'));
  const store = new HostileStore(real ?? (await openSqliteStore({ path: join(folder, 'alter.db') })));
  const rootKey = randomBytes(32);
  const clock = { now: startOfTime };
  const vault = await openVault({ store, kms: openLocalKms({ rootKey }), clock: () => clock.now });
  return {
    vault,
    store,
    rootKey,
    clock,
    folder,
    close: async () => {
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function draftSecret(over: Partial<SecretDraft> = {}): SecretDraft {
  return {
    name: 'Stripe Live',
    description: null,
    credentialType: 'bearer_token',
    injectionHeader: 'Authorization',
    injectionFormat: 'Bearer {token}',
    injectionRules: [],
    accountIdentifier: null,
    accountDisplayName: null,
    allowedHosts: ['api.stripe.com'],
    ...over,
  };
}

export function newKey(appId: string, over: Partial<RuntimeKey> = {}): RuntimeKey {
  const token = issueToken('runtime', Date.now());
  return {
    id: token.id,
    appId,
    keyType: 'runtime',
    agentId: null,
    parentId: null,
    rotatedFrom: null,
    rotatedAt: null,
    name: 'backend',
    scopes: ['proxy:execute'],
    cidr: [],
    rateLimitRpm: null,
    expiresAt: null,
    digest: createHash('sha256').update(token.plaintext).digest('hex'),
    createdAt: startOfTime,
    revokedAt: null,
    ...over,
  };
}

export function token(value: string): SecretValue {
  return SecretValue.of({ token: value });
}

export function originOf(authority: string): Origin {
  return parseAuthority(authority, 'https', 443);
}
