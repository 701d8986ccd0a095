import type { App } from '../core/app.ts';
import type { AppKey } from '../core/app-key.ts';
import { AlterError } from '../core/errors.ts';
import { GuardedStore } from './guard/guarded-store.ts';
import { StateMarks } from './guard/state-marks.ts';
import { type SpaceKeyring, SpaceKeys } from './keys/keyring.ts';
import { appKind } from './records/app-repository.ts';
import { GroupRepository } from './records/group-repository.ts';
import { LastUseRepository } from './records/last-use-repository.ts';
import { SealedRecords } from './records/sealed-records.ts';
import { UserRepository } from './records/user-repository.ts';
import type { Store } from './store/store.ts';
import type { DataPlaneVault } from './vault.ts';

/**
 * The sealed state of one app, for a process that has the key of this app and nothing else. It neither reads nor writes
 * anything outside the app's space, so that a user of the store can be limited to it.
 *
 * Throws `config_invalid` where the store does not hold the app, `state_invalid` where the key does not open it, and
 * `state_unavailable`.
 */
export async function openOneAppVault(of: {
  readonly store: Store;
  readonly appKey: AppKey;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** As for {@link openVault}. */
  readonly marks?: StateMarks;
}): Promise<DataPlaneVault> {
  const { clock, marks = new StateMarks() } = of;
  const { appId, key } = of.appKey;
  const keys = new SpaceKeys(appId, key);
  await requireOpens(new SealedRecords({ kind: appKind, keys, store: of.store }), appId);
  const keyring: SpaceKeyring = { of: (space) => (space === appId ? keys : Promise.reject(unknownApp())) };
  const store = new GuardedStore({ store: of.store, marks, keysOf: (space) => keyring.of(space) });
  const deps = { store, keys, clock };
  const written = {
    users: new UserRepository(deps),
    groups: new GroupRepository(deps),
    lastUses: new LastUseRepository(deps),
  };
  return {
    store,
    onlyAppId: appId,
    keyring,
    app: (asked) => (asked === appId ? Promise.resolve(written) : Promise.reject(unknownApp())),
  };
}

async function requireOpens(records: SealedRecords<App>, appId: string): Promise<void> {
  const hint = 'Make the credentials again with `alter apps sidecar-credentials`, and check ALTER_STORE_URL.';
  let found: unknown;
  try {
    found = await records.find(appId);
  } catch (cause) {
    if (!(cause instanceof AlterError && cause.code === 'state_invalid')) throw cause;
    throw new AlterError('state_invalid', { detail: `ALTER_APP_KEY does not open the app ${appId}.`, hint, cause });
  }
  if (found !== null) return;
  const message = `is for the app ${appId}, which this store does not hold`;
  throw new AlterError('config_invalid', { hint, problems: [{ field: 'ALTER_APP_KEY', message }] });
}

function unknownApp(): AlterError {
  return new AlterError('not_found', { detail: 'There is no such app.' });
}
