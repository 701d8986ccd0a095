import type { Grant } from '../core/grant.ts';
import type { RuntimeKey } from '../core/runtime-key.ts';
import type { Secret } from '../core/secret.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { representGrant, representKey } from './schemas/representation.ts';

/** Keys and grants as they are shown, with the time of their last use. */

export async function showKeys(app: AppVault, keys: readonly Versioned<RuntimeKey>[], now: number) {
  const uses = await app.lastUses.find(
    'key',
    keys.map(({ value }) => value.id),
  );
  return keys.map(({ value }, index) => representKey(value, uses[index] ?? null, now));
}

export async function showGrants(
  app: AppVault,
  grants: readonly { readonly grant: Grant; readonly secret: Secret | null }[],
  now: number,
) {
  const uses = await app.lastUses.find(
    'grant',
    grants.map(({ grant }) => grant.id),
  );
  return grants.map(({ grant, secret }, index) =>
    representGrant(grant, { secret, lastUsedAt: uses[index] ?? null }, now),
  );
}
