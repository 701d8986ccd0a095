import { hostname } from 'node:os';
import { createAuthority } from '../certs/authority.ts';
import type { KeptAuthority } from '../core/authority.ts';
import type { Config } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';
import { issueId } from '../core/id.ts';
import { AuditFile } from '../telemetry/audit-file.ts';
import type { Log } from '../telemetry/log.ts';
import { AuditLog } from '../vault/audit/audit-log.ts';
import { isRolledBack } from '../vault/guard/guarded-store.ts';
import { StateMarks } from '../vault/guard/state-marks.ts';
import { systemSpace } from '../vault/keys/keyring.ts';
import { openOneAppVault } from '../vault/one-app-vault.ts';
import type { Store } from '../vault/store/store.ts';
import { type DataPlaneVault, openVault, Vault } from '../vault/vault.ts';
import { Authorities } from './authorities.ts';
import { openKms } from './kms.ts';

/** The opened state, as every process needs it: what is sealed, where decisions are recorded, and the authority. */
export interface State {
  readonly vault: DataPlaneVault;
  readonly auditLog: AuditLog;
  readonly auditFile: AuditFile | null;
  readonly authorities: Authorities;
  /** Writes the audit out, then lets go of everything, the store included. */
  close(): Promise<void>;
}

const auditTimeoutMs = 2_000;
const maxPendingRecords = 10_000;

/** Opens everything in `store`, which is closed with it, also where this fails. */
export async function openState(of: {
  readonly store: Store;
  readonly config: Config;
  /** Null where the process opens one app only, or a service wraps the keys. */
  readonly rootKey: Uint8Array | null;
  readonly log: Log;
  readonly clock: () => number;
}): Promise<State> {
  const { store, config, log, clock } = of;
  try {
    const vault = await openSealed(of);
    const authorities = await Authorities.open({ load: () => findAuthority(config, vault, clock), now: clock(), log });
    const auditLog = new AuditLog({
      vault,
      writer: `${hostname()}:${process.pid}`,
      mode: config.audit,
      maxUnwrittenMs: config.maxStalenessMs,
      onError: (error) => log.error('An audit record could not be written.', { error }),
    });
    tellOfRollbacks({ vault, auditLog, log, clock });
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
      authorities,
      close: async () => {
        await auditFile?.close();
        await auditLog.close();
        await vault.store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openSealed({
  store,
  config,
  rootKey,
  clock,
  log,
}: Parameters<typeof openState>[0]): Promise<DataPlaneVault> {
  const marks = new StateMarks({
    path: config.stateMarksFile ?? (config.store.kind === 'sqlite' ? `${config.store.path}.marks` : null),
    onError: (error) => log.error('The state marks could not be written.', { error }),
  });
  if (config.appKey !== null) return openOneAppVault({ store, appKey: config.appKey, clock, marks });
  const { current, previous } = await openKms({ config, rootKey, clock });
  return openVault({ store, kms: current, previousKms: previous, clock, marks });
}

/** The CA as configured, or the one that the first start made and sealed into the store. */
async function findAuthority(config: Config, vault: DataPlaneVault, clock: () => number): Promise<KeptAuthority> {
  if (config.caCert !== null && config.caKey !== null)
    return { certificatePem: config.caCert, privateKeyPem: config.caKey, activeAt: 0, previous: [] };
  if (!(vault instanceof Vault)) throw new AlterError('config_invalid', { detail: 'There is no authority.' });
  const found = await vault.authority.find().catch((error: unknown) => {
    // The service has to run for an operator to accept the state; until then it serves nothing.
    if (isRolledBack(error)) return vault.unguarded.authority.find();
    throw error;
  });
  return found ?? (await vault.authority.create(await createAuthority({ now: clock() })));
}

function tellOfRollbacks(of: {
  readonly vault: DataPlaneVault;
  readonly auditLog: AuditLog;
  readonly log: Log;
  readonly clock: () => number;
}): void {
  const { vault, auditLog, log, clock } = of;
  vault.store.onRollback(({ space, error }) => {
    if (error === null) {
      log.info('A state that was refused is accepted again.', { app_id: space });
      return;
    }
    log.error('The store gives an older state: everything of this app is refused.', { app_id: space, error });
    const now = clock();
    const event = { id: issueId(now), time: new Date(now).toISOString(), event: 'state.rollback_found' } as const;
    const app_id = space === systemSpace ? null : space;
    auditLog.record({ ...event, app_id, decision: 'deny', code: error.code, reason: error.detail }).catch(() => {}); // and told of there
  });
}
