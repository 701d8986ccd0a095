import { checkpointKind, ledgerKind } from '../audit/audit-checkpoints.ts';
import { retentionKind } from '../audit/audit-retention.ts';
import { systemSpace } from '../keys/keyring.ts';
import { RevisionConflict, type Store, type StoredRecord } from '../store/store.ts';
import { fromStoreFailure } from '../store/store-failure.ts';
import { agentKind } from './agent-repository.ts';
import { delegationKind } from './delegation-repository.ts';
import { grantKind } from './grant-repository.ts';
import { groupKind } from './group-repository.ts';
import { attemptKind } from './idempotency-repository.ts';
import { identityProviderKind } from './identity-provider-repository.ts';
import { keyKind, keyOwnerKind } from './key-repository.ts';
import { lastUseKind } from './last-use-repository.ts';
import { secretKind } from './secret-repository.ts';
import { secretVersionKind } from './secret-version.ts';
import { userKind, userSubjectKind } from './user-repository.ts';
import { webhookKind, webhookOwnerKind, webhookProgressKind, webhookSecretKind } from './webhook-repository.ts';
import { workloadIdentityKind } from './workload-identity-repository.ts';

/** Everything that is kept in the space of an app. By keys and webhooks, what stands in the system space is found. */
const types = [
  'app', // the record itself, named by what it is, as the repository of apps uses this file
  keyKind,
  secretVersionKind,
  secretKind,
  grantKind,
  delegationKind,
  agentKind,
  identityProviderKind,
  workloadIdentityKind,
  userKind,
  userSubjectKind,
  groupKind,
  attemptKind,
  lastUseKind,
  webhookKind,
  webhookSecretKind,
  webhookProgressKind,
  checkpointKind,
  ledgerKind,
  retentionKind,
].map((kind) => (typeof kind === 'string' ? kind : kind.type));

const batch = 200;

/**
 * Removes the records of an app whose key was destroyed, without opening any. Its audit entries stay, unreadable: the store
 * only ever appends to them. So does its epoch with the floors: who still follows the app must not think that it was rolled back. Rejects with `state_unavailable`; called again it goes on.
 */
export async function removeContents(
  { system, contents: store }: { readonly system: Store; readonly contents: Store },
  space: string,
): Promise<void> {
  try {
    for (const type of types) {
      for (;;) {
        const { records } = await store.list({ space, type, limit: batch });
        if (records.length === 0) break;
        if (type === keyKind.type) await removeOwners(system, keyOwnerKind.type, records);
        if (type === webhookKind.type) await removeOwners(system, webhookOwnerKind.type, records);
        await remove(store, space, records);
      }
    }
  } catch (error) {
    throw fromStoreFailure(error);
  }
}

async function removeOwners(store: Store, type: string, owned: readonly StoredRecord[]): Promise<void> {
  const owners = await store.get(
    systemSpace,
    owned.map(({ id }) => ({ type, id })),
  );
  await remove(
    store,
    systemSpace,
    owners.filter((owner) => owner !== null),
  );
}

async function remove(store: Store, space: string, records: readonly StoredRecord[]): Promise<void> {
  if (records.length === 0) return;
  const changes = records.map(({ type, id, revision }) => ({
    kind: 'delete' as const,
    type,
    id,
    expectedRevision: revision,
  }));
  try {
    await store.commit(space, changes);
  } catch (error) {
    if (!(error instanceof RevisionConflict)) throw error; // else: changed meanwhile, and found again by the next look
  }
}
