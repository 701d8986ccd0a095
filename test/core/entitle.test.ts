import { describe, expect, it } from '@jest/globals';
import type { Agent } from '../../core/agent.ts';
import type { App } from '../../core/app.ts';
import type { Delegation, DelegationChain } from '../../core/delegation.ts';
import { evaluate } from '../../core/evaluate.ts';
import type { Grant } from '../../core/grant.ts';
import { parseAuthority } from '../../core/origin.ts';
import type { Principal } from '../../core/principal.ts';
import { nothingRestated } from '../../core/restatement.ts';
import type { Caller, RuntimeKey } from '../../core/runtime-key.ts';
import type { Secret } from '../../core/secret.ts';
import type { User, UserProof, VerifiedUser } from '../../core/user.ts';

const now = Date.UTC(2026, 5, 1, 12);
const dayMs = 86_400_000;
const times = { createdAt: now, updatedAt: now };

const app: App = { id: 'app-1', name: 'default', policy: null, egressMode: null, archivedAt: null, ...times };
const secret: Secret = {
  id: 's1',
  appId: 'app-1',
  slug: 'stripe',
  name: 'Stripe',
  description: null,
  template: null,
  credentialType: 'bearer_token',
  injectionHeader: 'Authorization',
  injectionFormat: 'Bearer {token}',
  injectionRules: [],
  fieldNames: ['token'],
  accountIdentifier: null,
  accountDisplayName: null,
  allowedHosts: ['api.stripe.com'],
  allowGroupDelegation: true,
  maxDelegationTtlDays: 90,
  policy: null,
  version: 1,
  ...times,
  rotatedAt: null,
};
const agent: Agent = {
  id: 'a1',
  appId: 'app-1',
  name: 'crawler',
  displayName: null,
  type: 'agent',
  status: 'active',
  metadata: {},
  policy: null,
  ...times,
};
const baseKey: RuntimeKey = {
  id: 'k1',
  appId: 'app-1',
  keyType: 'runtime',
  agentId: null,
  parentId: null,
  rotatedFrom: null,
  rotatedAt: null,
  name: 'test',
  scopes: ['proxy:execute'],
  cidr: [],
  rateLimitRpm: null,
  expiresAt: null,
  digest: '',
  createdAt: now,
  revokedAt: null,
};
const verified: VerifiedUser = {
  userId: 'u1',
  idpId: 'i1',
  externalId: 'ada',
  email: null,
  name: null,
  groups: ['support', 'ops'],
  issuedAt: now,
};
const knownUser: User = {
  id: 'u1',
  appId: 'app-1',
  idpId: 'i1',
  externalId: 'ada',
  email: null,
  name: null,
  groups: ['support', 'ops'],
  addedGroups: [],
  groupsAt: now,
  createdAt: now,
  lastSeenAt: now,
};

function caller(key: Partial<RuntimeKey>, of: Partial<Pick<Caller, 'agent' | 'parent'>> = {}): Caller {
  return { key: { ...baseKey, ...key }, addresses: null, agent: null, parent: null, ...of };
}

const callers = {
  runtime: caller({}),
  derived: caller({ id: 'k2', keyType: 'derived', parentId: 'k1' }, { parent: caller({}) }),
  'own agent': caller({ keyType: 'agent', agentId: 'a1' }, { agent }),
  'other agent': caller({ keyType: 'agent', agentId: 'a2' }, { agent: { ...agent, id: 'a2' } }),
} as const;
type CallerName = keyof typeof callers;

const proof = (over: Partial<VerifiedUser> = {}): UserProof => ({ kind: 'verified', user: { ...verified, ...over } });
const tokens = {
  none: null,
  refused: { kind: 'refused', detail: 'It has expired (exp).' },
  'the user': proof(),
  'a user who was not seen before': proof({ userId: null }),
  'another user, same groups': proof({ userId: 'u2', externalId: 'bob' }),
  'the user, out of the group': proof({ groups: ['ops'] }),
  "another provider's user, same groups": proof({ userId: 'u3', idpId: 'i2' }),
} as const satisfies Record<string, UserProof | null>;
type TokenName = keyof typeof tokens;

const principals = {
  system: { type: 'system' },
  user: { type: 'user', appUserId: 'u1' },
  group: { type: 'group', idpId: 'i1', externalGroupId: 'support' },
  agent: { type: 'agent', agentId: 'a1' },
} as const satisfies Record<string, Principal>;

interface Situation {
  readonly caller?: Caller;
  readonly user?: UserProof | null;
  readonly grant?: Partial<Grant> | null;
  readonly secret?: Partial<Secret> | null;
  readonly delegation?: Partial<Delegation>;
  readonly lender?: Partial<User> | null;
  readonly now?: number;
}

/** The code of the refusal, or `allow`. */
function decide(of: Situation): string {
  const grant: Grant = {
    id: 'g1',
    appId: 'app-1',
    secretId: 's1',
    principal: principals.system,
    label: 'default',
    description: null,
    policy: null,
    expiresAt: null,
    createdAt: now,
    revokedAt: null,
  };
  const chain: DelegationChain | null =
    of.delegation === undefined
      ? null
      : {
          delegation: {
            id: 'd1',
            appId: 'app-1',
            agentId: 'a1',
            sourceGrantId: 'g1',
            userId: 'u1',
            createdAt: now - dayMs,
            expiresAt: now + dayMs,
            revokedAt: null,
            ...of.delegation,
          },
          user: of.lender === null ? null : { ...knownUser, ...of.lender },
        };
  const decision = evaluate(
    {
      caller: of.caller ?? callers.runtime,
      origin: parseAuthority('api.stripe.com', 'https', 443),
      method: 'GET',
      path: '/',
      reason: null,
      restated: nothingRestated,
      clientAddress: '192.0.2.7',
      user: of.user ?? null,
    },
    {
      app,
      grant: of.grant === null ? null : { ...grant, ...of.grant },
      secret: of.secret === null ? null : { ...secret, ...of.secret },
      delegation: chain,
    },
    of.now ?? now,
  );
  return decision.kind === 'allow' ? 'allow' : decision.code;
}

/** What the product promises, written down once more in words of its own. */
function expected(principal: keyof typeof principals, who: CallerName, token: TokenName): string {
  const isAgent = who === 'own agent' || who === 'other agent';
  if (token === 'refused') return 'user_token_invalid';
  if (principal === 'system') return isAgent ? 'grant_not_found' : 'allow';
  if (principal === 'agent') return who === 'own agent' ? 'allow' : 'principal_mismatch';
  if (isAgent) return 'principal_mismatch';
  if (token === 'none') return 'user_token_invalid';
  if (principal === 'user')
    return token === 'the user' || token === 'the user, out of the group' ? 'allow' : 'principal_mismatch';
  return token === 'the user, out of the group' || token === "another provider's user, same groups"
    ? 'principal_mismatch'
    : 'allow';
}

const table = (Object.keys(principals) as (keyof typeof principals)[]).flatMap((principal) =>
  (Object.keys(callers) as CallerName[]).flatMap((who) =>
    (Object.keys(tokens) as TokenName[]).map((token) => [principal, who, token] as const),
  ),
);

describe('whose a grant is', () => {
  it.each(table)('a grant to a %s, asked for with a key of type %s and a token of: %s', (principal, who, token) => {
    const situation = { caller: callers[who], user: tokens[token], grant: { principal: principals[principal] } };
    expect(decide(situation)).toBe(expected(principal, who, token));
  });

  it('counts every principal, caller and token in that table', () => {
    expect(table).toHaveLength(4 * 4 * 7);
  });

  it('is no way around the life of the grant', () => {
    for (const [principal, who, token] of table) {
      if (expected(principal, who, token) !== 'allow') continue;
      const about = { caller: callers[who], user: tokens[token] };
      expect(decide({ ...about, grant: { principal: principals[principal], revokedAt: now } })).toBe('grant_revoked');
      expect(decide({ ...about, grant: { principal: principals[principal], expiresAt: now } })).toBe('grant_expired');
      expect(decide({ ...about, grant: { principal: principals[principal] }, secret: null })).toBe('grant_revoked');
    }
  });
});

describe('a key of an agent', () => {
  const grant = { principal: principals.agent };
  const of = (given: Agent | null) => caller({ keyType: 'agent', agentId: 'a1' }, { agent: given });

  it.each([
    ['goes on while the agent is deprecated', { ...agent, status: 'deprecated' }, 'allow'],
    ['is dead once the agent is revoked', { ...agent, status: 'revoked' }, 'key_revoked'],
    ['is dead where the agent is gone', null, 'key_revoked'],
    ['is dead where the agent is another', { ...agent, id: 'a2' }, 'key_revoked'],
    ["is dead where the agent is another app's", { ...agent, appId: 'app-2' }, 'key_revoked'],
  ] as const satisfies readonly (readonly [string, Agent | null, string])[])('%s', (_title, given, code) => {
    expect(decide({ caller: of(given), grant })).toBe(code);
  });
});

describe('a derived key', () => {
  const of = (parent: Caller | null, over: Partial<RuntimeKey> = {}) =>
    caller({ id: 'k2', keyType: 'derived', parentId: 'k1', ...over }, { parent });

  it.each([
    ['works while its parent does', of(caller({})), 'allow'],
    ['dies with its parent', of(caller({ revokedAt: now })), 'key_revoked'],
    ['ends with its parent', of(caller({ expiresAt: now })), 'key_expired'],
    ['is dead where its parent is gone', of(null), 'key_revoked'],
    ['is dead where its parent is another', of(caller({ id: 'k9' })), 'key_revoked'],
    ["is dead where its parent is another app's", of(caller({ appId: 'app-2' })), 'key_revoked'],
    ['is dead where its parent was derived itself', of(of(caller({}), { id: 'k1' })), 'key_revoked'],
    ['is dead where its parent is an agent', of(caller({ keyType: 'agent', agentId: 'a1' }, { agent })), 'key_revoked'],
    ['may do no more than its parent', of(caller({ scopes: ['grants:read'] })), 'insufficient_scope'],
    ['may do no more than it was given', of(caller({}), { scopes: ['grants:read'] }), 'insufficient_scope'],
  ] as const)('%s', (_title, given, code) => {
    expect(decide({ caller: given })).toBe(code);
  });
});

describe('a delegation', () => {
  const lent = (over: Situation = {}): Situation => ({
    caller: callers['own agent'],
    delegation: {},
    grant: { principal: principals.user },
    ...over,
  });
  const lentGroup = (over: Situation = {}) => lent({ grant: { principal: principals.group }, ...over });

  it.each([
    ['lends the grant of a user', lent(), 'allow'],
    ['lends the grant of a group', lentGroup(), 'allow'],
    ["is not another agent's", lent({ caller: callers['other agent'] }), 'principal_mismatch'],
    ["is not the application's", lent({ caller: callers.runtime, user: proof() }), 'principal_mismatch'],
    ["is not a derived key's", lent({ caller: callers.derived, user: proof() }), 'principal_mismatch'],
    ['ends when it is revoked', lent({ delegation: { revokedAt: now } }), 'grant_revoked'],
    ['ends at its end', lent({ delegation: { expiresAt: now } }), 'grant_expired'],
    ['lasts until the millisecond before', lent({ delegation: { expiresAt: now + 1 } }), 'allow'],
    [
      'ends when the limit of the secret is lowered',
      lent({ delegation: { createdAt: now - 8 * dayMs }, secret: { maxDelegationTtlDays: 7 } }),
      'grant_expired',
    ],
    ['ends with its source', lent({ grant: { principal: principals.user, revokedAt: now } }), 'grant_revoked'],
    ['expires with its source', lent({ grant: { principal: principals.user, expiresAt: now } }), 'grant_expired'],
    ['ends where its source is gone', lent({ grant: null }), 'grant_revoked'],
    ['ends where its source is another', lent({ delegation: { sourceGrantId: 'g2' } }), 'grant_revoked'],
    ['ends with the secret', lent({ secret: null }), 'grant_revoked'],
    ['is of one app', lent({ delegation: { appId: 'app-2' } }), 'grant_not_found'],
    ['ends where the user is gone', lent({ lender: null }), 'principal_mismatch'],
    ["lends nobody else's grant", lent({ delegation: { userId: 'u2' }, lender: { id: 'u2' } }), 'principal_mismatch'],
    ['is by the user that it names', lent({ lender: { id: 'u2' } }), 'principal_mismatch'],
    ['ends when the user leaves the group', lentGroup({ lender: { groups: ['ops'] } }), 'principal_mismatch'],
    [
      "does not take another provider's group of that name",
      lentGroup({ lender: { idpId: 'i2' } }),
      'principal_mismatch',
    ],
    [
      'of a group ends when the secret forbids it',
      lentGroup({ secret: { allowGroupDelegation: false } }),
      'principal_mismatch',
    ],
    ['of a user needs no leave for groups', lent({ secret: { allowGroupDelegation: false } }), 'allow'],
    ['lends no grant of the system', lent({ grant: { principal: principals.system } }), 'principal_mismatch'],
    ['lends no grant of an agent', lent({ grant: { principal: principals.agent } }), 'principal_mismatch'],
    ['does not outlive the agent', lent({ caller: deadAgent() }), 'key_revoked'],
    ['goes by no bad token', lent({ user: tokens.refused }), 'user_token_invalid'],
  ] as const)('%s', (_title, situation, code) => {
    expect(decide(situation)).toBe(code);
  });
});

function deadAgent(): Caller {
  return caller({ keyType: 'agent', agentId: 'a1' }, { agent: { ...agent, status: 'revoked' } });
}
