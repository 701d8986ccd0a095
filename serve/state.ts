import { hostname } from 'node:os';
import { type Authority, type AuthorityMaterial, createAuthority, openAuthority } from '../certs/authority.ts';
import type { Config } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';
import { AuditFile } from '../telemetry/audit-file.ts';
import type { Log } from '../telemetry/log.ts';
import { AuditLog } from '../vault/audit-log.ts';
import { openLocalKms } from '../vault/kms-local.ts';
import { openOneAppVault } from '../vault/one-app-vault.ts';
import type { Store } from '../vault/store.ts';
import { type DataPlaneVault, openVault, Vault } from '../vault/vault.ts';

/** The opened state, as every process needs it: what is sealed, where decisions are recorded, and the authority. */
export interface State {
  readonly vault: DataPlaneVault;
  readonly auditLog: AuditLog;
  readonly auditFile: AuditFile | null;
  readonly authority: Authority;
  /** Writes the audit out, then lets go of everything, the store included. */
  close(): Promise<void>;
}

const auditTimeoutMs = 2_000;
const maxPendingRecords = 10_000;

/** Opens everything in `store`, which is closed with it, also where this fails. */
export async function openState(of: {
  readonly store: Store;
  readonly config: Config;
  /** Null where the process opens one app only. */
  readonly rootKey: Uint8Array | null;
  readonly log: Log;
  readonly clock: () => number;
}): Promise<State> {
  const { store, config, log, clock } = of;
  try {
    const vault = await openSealed(of);
    const authority = openAuthority({ ...(await findAuthority(config, vault, clock)), now: clock() });
    const auditLog = new AuditLog({
      vault,
      writer: `${hostname()}:${process.pid}`,
      mode: config.audit,
      onError: (error) => log.error('An audit record could not be written.', { error }),
    });
    const auditFile =
      config.auditFile === null
        ? null
        : new AuditFile({
            path: config.auditFile,
            durability: config.audit,
            timeoutMs: auditTimeoutMs,
            maxPending: maxPendingRecords,
          });
    return {
      vault,
      auditLog,
      auditFile,
      authority,
      close: async () => {
        await auditFile?.close();
        await auditLog.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function openSealed({ store, config, rootKey, clock }: Parameters<typeof openState>[0]): Promise<DataPlaneVault> {
  if (config.appKey !== null) return openOneAppVault({ store, appKey: config.appKey, clock });
  if (rootKey === null) throw new AlterError('config_invalid', { detail: 'There is no root key.' });
  return openVault({ store, kms: openLocalKms({ rootKey }), clock });
}

/** The CA as configured, or the one that the first start made and sealed into the store. */
async function findAuthority(config: Config, vault: DataPlaneVault, clock: () => number): Promise<AuthorityMaterial> {
  if (config.caCert !== null && config.caKey !== null)
    return { certificatePem: config.caCert, privateKeyPem: config.caKey };
  if (!(vault instanceof Vault)) throw new AlterError('config_invalid', { detail: 'There is no authority.' });
  return (await vault.authority.find()) ?? (await vault.authority.create(await createAuthority({ now: clock() })));
}
