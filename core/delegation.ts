import type { ErrorCode } from './errors.ts';
import { type Grant, grantStatus } from './grant.ts';
import type { Secret } from './secret.ts';
import { groupsOf, type User } from './user.ts';

/** A user lends an agent the use of a grant of theirs. Its id is used wherever the id of a grant is. */
export interface Delegation {
  readonly id: string;
  readonly appId: string;
  readonly agentId: string;
  readonly sourceGrantId: string;
  /** Who lends. */
  readonly userId: string;
  readonly createdAt: number;
  /** A delegation always ends: see {@link delegationEndsAt}. */
  readonly expiresAt: number;
  readonly revokedAt: number | null;
}

export type DelegationStatus = 'active' | 'expired' | 'revoked';

export function delegationStatus(delegation: Delegation, now: number): DelegationStatus {
  if (delegation.revokedAt !== null) return 'revoked';
  return now >= delegation.expiresAt ? 'expired' : 'active';
}

/** A delegation with the one who lends; null where the user, or the identity provider that vouches for them, is gone. */
export interface DelegationChain {
  readonly delegation: Delegation;
  readonly user: User | null;
}

export const minDelegationTtlDays = 1;
export const maxDelegationTtlDays = 1_825;
export const defaultDelegationTtlDays = 90;
const dayMs = 86_400_000;

/** When a delegation ends at the latest: a limit that was lowered later counts for those that exist, too. */
export function delegationEndsAt(delegation: Delegation, secret: Secret): number {
  return Math.min(delegation.expiresAt, delegation.createdAt + secret.maxDelegationTtlDays * dayMs);
}

export interface ChainBreak {
  readonly code: Extract<ErrorCode, 'grant_not_found' | 'grant_revoked' | 'grant_expired' | 'principal_mismatch'>;
  readonly rule: string;
  readonly detail?: string;
}

/**
 * The first link that does not hold, from the delegation to the user who lends; null where all of them do. `grant` is the
 * source grant, `agentId` the agent who asks, null for a caller that is none. Pure: asked again on each request.
 */
export function findChainBreak(
  { delegation, user }: DelegationChain,
  of: { readonly grant: Grant | null; readonly secret: Secret | null; readonly agentId: string | null },
  now: number,
): ChainBreak | null {
  const { grant, secret, agentId } = of;
  const status = delegationStatus(delegation, now);
  if (status === 'revoked') return { code: 'grant_revoked', rule: 'delegation.live', detail: 'It was revoked.' };
  if (status === 'expired')
    return { code: 'grant_expired', rule: 'delegation.live', detail: 'The delegation has ended.' };
  if (grant === null || grant.id !== delegation.sourceGrantId || grant.appId !== delegation.appId)
    return { code: 'grant_revoked', rule: 'delegation.source' };
  const source = grantStatus(grant, now);
  if (source !== 'active') {
    return {
      code: source === 'revoked' ? 'grant_revoked' : 'grant_expired',
      rule: 'delegation.source',
      detail: `The grant that this delegation lends ${source === 'revoked' ? 'was revoked' : 'has expired'}.`,
    };
  }
  if (secret === null || secret.id !== grant.secretId || secret.appId !== delegation.appId)
    return { code: 'grant_revoked', rule: 'secret.live' };
  if (now >= delegationEndsAt(delegation, secret)) {
    return {
      code: 'grant_expired',
      rule: 'secret.max_delegation_ttl_days',
      detail: `The secret may be lent for ${secret.maxDelegationTtlDays} days at most, and they are over.`,
    };
  }
  if (agentId === null || agentId !== delegation.agentId)
    return {
      code: 'principal_mismatch',
      rule: 'delegation.agent',
      detail: 'The delegation is for an agent, with its own key.',
    };
  if (user === null || user.id !== delegation.userId || user.appId !== delegation.appId)
    return { code: 'principal_mismatch', rule: 'delegation.user', detail: 'The user who lent the grant is gone.' };
  return findSourceBreak(grant, secret, user);
}

/** Whether the grant is one that this user may lend. Also asked when a delegation is made. */
export function findSourceBreak(grant: Grant, secret: Secret, user: User): ChainBreak | null {
  const { principal } = grant;
  switch (principal.type) {
    case 'user':
      if (principal.appUserId === user.id) return null;
      return { code: 'principal_mismatch', rule: 'delegation.user', detail: 'The grant is not one of this user.' };
    case 'group':
      if (!secret.allowGroupDelegation) {
        return {
          code: 'principal_mismatch',
          rule: 'secret.allow_group_delegation',
          detail: `Grants of the secret ${secret.slug} to groups may not be delegated.`,
        };
      }
      if (principal.idpId === user.idpId && groupsOf(user).includes(principal.externalGroupId)) return null;
      return { code: 'principal_mismatch', rule: 'delegation.membership', detail: 'The user is not in the group.' };
    case 'system':
    case 'agent':
      return {
        code: 'principal_mismatch',
        rule: 'delegation.source',
        detail: 'Only the grants of users and groups can be delegated.',
      };
  }
}
