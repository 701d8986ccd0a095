import { checkpointKind, ledgerKind } from '../audit/audit-checkpoints.ts';
import { retentionKind } from '../audit/audit-retention.ts';
import { appKeyType } from '../keys/keyring.ts';
import { accessTokenKind } from './access-token-repository.ts';
import { agentKind } from './agent-repository.ts';
import { appKind, entryKind, remainsKind } from './app-repository.ts';
import { authorityKind } from './authority-repository.ts';
import { delegationKind } from './delegation-repository.ts';
import { grantKind } from './grant-repository.ts';
import { groupKind } from './group-repository.ts';
import { attemptKind } from './idempotency-repository.ts';
import { identityProviderKind } from './identity-provider-repository.ts';
import { keyKind, keyOwnerKind } from './key-repository.ts';
import { lastUseKind } from './last-use-repository.ts';
import { leaseKind } from './lease-repository.ts';
import type { RecordKind } from './sealed-records.ts';
import { secretKind } from './secret-repository.ts';
import { secretVersionKind } from './secret-version.ts';
import { userKind, userSubjectKind } from './user-repository.ts';
import { webhookKind, webhookOwnerKind, webhookProgressKind, webhookSecretKind } from './webhook-repository.ts';
import { workloadIdentityKind } from './workload-identity-repository.ts';

/**
 * Every kind of record that there is, in the order in which a backup holds them: what refers to another comes before it. A
 * test finds the one that is missing here.
 */
export const recordKinds = [
  ...[entryKind, remainsKind, accessTokenKind, authorityKind, keyOwnerKind],
  ...[appKind, attemptKind, lastUseKind],
  ...[webhookOwnerKind, webhookSecretKind, webhookProgressKind, webhookKind, leaseKind],
  ...[retentionKind, ledgerKind, checkpointKind],
  ...[delegationKind, grantKind, secretKind, secretVersionKind],
  ...[keyKind, workloadIdentityKind, agentKind, groupKind, userSubjectKind, userKind, identityProviderKind],
] as unknown as readonly RecordKind<object>[]; // each opens and seals what is of its own type only

const kindsByType = new Map(recordKinds.map((kind) => [kind.type, kind]));

export function findRecordKind(type: string): RecordKind<object> | null {
  return kindsByType.get(type) ?? null;
}

const transientTypes: readonly string[] = [
  ...[attemptKind, lastUseKind, remainsKind, leaseKind, webhookProgressKind].map(({ type }) => type),
];

/** Nothing is allowed by them and they change all the time: who puts an old one back gains nothing. */
export function isTransient({ type }: { readonly type: string }): boolean {
  return transientTypes.includes(type);
}

/** About the log of the audit, which no backup holds: beside another log they would call it broken. */
export function isAboutAudit({ type }: { readonly type: string }): boolean {
  return type === ledgerKind.type || type === checkpointKind.type;
}

/** With the wrapped key of a space, which is sealed by the Kms and so has no kind of its own. */
export const recordTypes: readonly string[] = [appKeyType, ...recordKinds.map(({ type }) => type)];
