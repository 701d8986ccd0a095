import { AlterError } from '../core/errors.ts';
import { keyStatus, maxWorkingKeys } from '../core/runtime-key.ts';
import type { KeyRepository } from '../vault/records/key-repository.ts';
import type { AppVault } from '../vault/vault.ts';

const pageSize = 1000;

/** Throws `conflict`. All keys are read only where there are as many, dead ones among them. */
export async function requireRoom(app: AppVault, now: number): Promise<void> {
  const { total } = await app.keys.list({ limit: 1, offset: 0 });
  if (total < maxWorkingKeys) return;
  const { active, rotated_in_grace: inGrace } = await countKeys(app.keys, now);
  if (active + inGrace < maxWorkingKeys) return;
  throw new AlterError('conflict', {
    detail: `The app has ${maxWorkingKeys} working keys, which is as many as it may have.`,
    hint: 'Revoke keys that are not used; application code can derive short-lived keys, which are not counted.',
  });
}

/** Derived keys are left out: they are short-lived, and application code makes as many as it likes. */
export async function countKeys(
  keys: KeyRepository,
  now: number,
): Promise<{ active: number; rotated_in_grace: number; total: number }> {
  const counted = { active: 0, rotated_in_grace: 0, total: 0 };
  for (let offset = 0; ; offset += pageSize) {
    const page = await keys.list({ limit: pageSize, offset });
    for (const { value } of page.items) {
      if (value.keyType === 'derived') continue;
      counted.total += 1;
      const status = keyStatus(value, now);
      if (status === 'active' || status === 'rotated_in_grace') counted[status] += 1;
    }
    if (page.items.length === 0 || offset + pageSize >= page.total) return counted;
  }
}
