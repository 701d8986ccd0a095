import type { App } from './app.ts';
import { type DelegationChain, findChainBreak } from './delegation.ts';
import type { ErrorCode } from './errors.ts';
import type { Grant } from './grant.ts';
import type { Caller } from './runtime-key.ts';
import type { Secret } from './secret.ts';
import { groupsOf, type UserProof } from './user.ts';

/** What a request names, as it stands now. `delegation` is null where it names a grant itself; else `grant` is its source. */
export interface Subject {
  readonly app: App | null;
  readonly grant: Grant | null;
  readonly secret: Secret | null;
  readonly delegation?: DelegationChain | null;
}

export interface Unentitled {
  readonly code: ErrorCode;
  readonly rule: string;
  readonly detail?: string;
}

/**
 * Whether the grant, or the delegation, is one of this caller's; null where it is. Says nothing about key scopes, hosts
 * or policies. To an agent key a system grant looks the same, in every state of it, as none at all.
 */
export function refuseCaller(
  subject: Omit<Subject, 'app'> & { readonly grant: Grant },
  of: { readonly caller: Caller; readonly user: UserProof | null },
  now: number,
): Unentitled | null {
  const { key } = of.caller;
  const { grant, secret, delegation = null } = subject;
  const agentId = key.keyType === 'agent' ? key.agentId : null;
  if (delegation !== null) return findChainBreak(delegation, { grant, secret, agentId }, now);
  const { principal } = grant;
  switch (principal.type) {
    case 'system':
      return key.keyType === 'agent' ? { code: 'grant_not_found', rule: 'grant.exists' } : null;
    case 'agent':
      if (agentId !== null && agentId === principal.agentId) return null;
      return mismatch('The grant is for an agent, with its own key.');
    case 'user': {
      const user = findUser(key.keyType, of.user);
      if ('code' in user) return user;
      return user.userId !== null && user.userId === principal.appUserId
        ? null
        : mismatch('The grant is for another user.');
    }
    case 'group': {
      const user = findUser(key.keyType, of.user);
      if ('code' in user) return user;
      return user.idpId === principal.idpId && groupsOf(user).includes(principal.externalGroupId)
        ? null
        : mismatch('The grant is for a group that the user is not in.');
    }
  }
}

/** The user whom the token proves. Agents act for users by delegation only. */
function findUser(keyType: Caller['key']['keyType'], proof: UserProof | null) {
  if (keyType === 'agent') return mismatch('An agent uses the grants of users by a delegation only.');
  if (proof?.kind === 'verified') return proof.user;
  const rule = 'grant.principal';
  if (proof?.kind === 'refused') return { code: 'user_token_invalid', rule, detail: proof.detail } as const;
  return {
    code: 'user_token_invalid',
    rule,
    detail: 'The grant is for users, and the request has no X-Alter-User-Token.',
  } as const;
}

function mismatch(detail: string): Unentitled {
  return { code: 'principal_mismatch', rule: 'grant.principal', detail };
}
