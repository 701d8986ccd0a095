import type { Config } from '../core/config.ts';
import type { Log } from '../telemetry/log.ts';
import type { Vault } from '../vault/vault.ts';

/** Says how far a rotation of the root key has come, where the settings name a key of before. Nobody waits for it. */
export function tellOfRotation(config: Config, vault: Vault, log: Log): void {
  if (config.rootKeyPrevious === null && config.kmsPrevious === null) return;
  const tell = async (): Promise<void> => {
    const { total, others } = await vault.wrappedKeys.count();
    const old = others.reduce((sum, { count }) => sum + count, 0);
    if (old === 0)
      log.info(
        `All ${total} keys are wrapped by the current root key: ALTER_ROOT_KEY_PREVIOUS and ALTER_KMS_URL_PREVIOUS may be taken away.`,
        {},
      );
    else
      log.warn(`${old} of ${total} keys are still wrapped by a root key of before: run \`alter root-key rewrap\`.`, {});
  };
  tell().catch((error: unknown) => log.warn('How far the rotation of the root key has come is not known.', { error }));
}
