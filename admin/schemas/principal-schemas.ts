import { z } from 'zod';
import { agentStatuses, agentTypes } from '../../core/agent.ts';
import { tokenAlgorithms } from '../../core/identity-provider.ts';
import { isKubernetesName } from '../../core/kubernetes-name.ts';
import { maxExternalIdLength } from '../../core/user.ts';
import { delegationPolicyFields, grant, line, listOf, mintKeyFields, paging, time } from './schemas.ts';

/** The shapes of agents, identity providers, users, groups, delegations and of who can reach a secret. */

const id = line(64);
const agentName = z
  .string()
  .refine(
    (text) => /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/.test(text),
    'must be 1 to 64 of a-z, 0-9, dot, dash and underscore, with a letter or digit at both ends',
  );
const metadata = z
  .record(z.string(), z.string().max(1024))
  .refine((map) => Object.keys(map).length <= 64, 'must have at most 64 entries')
  .refine(
    (map) => Object.keys(map).every((key) => /^[\x21-\x7e]{1,128}$/.test(key)),
    'has a name that is not plain text',
  );
const httpsUrl = z
  .string()
  .max(2048)
  .refine((text) => isPlainHttps(text), 'must be an https:// URL without user name and fragment');
const claimName = z
  .string()
  .max(256)
  .refine((text) => /^[\x21-\x7e]+$/.test(text), 'must be the name of a claim');
const claims = z.strictObject({
  user: claimName.optional(),
  email: claimName.optional(),
  name: claimName.optional(),
  groups: claimName.optional(),
});
const singleUse = z.boolean().meta({
  description: 'Each token is good for one request; it then needs jti and iat, and may live for a day at most',
});
const algorithms = z.array(z.enum(tokenAlgorithms)).min(1).max(tokenAlgorithms.length);
const kubernetesName = z.string().refine(isKubernetesName, 'must be the name of a Kubernetes object');
const search = z.string().min(1).max(128).optional();
const externalId = line(maxExternalIdLength);

function isPlainHttps(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.protocol === 'https:' && url.username === '' && url.password === '' && !text.includes('#');
}

export const principalRequests = {
  createAgent: z.strictObject({
    name: agentName,
    display_name: line(128).nullish(),
    type: z.enum(agentTypes).default('agent'),
    metadata: metadata.default({}),
  }),
  updateAgent: z.strictObject({ display_name: line(128).nullish(), metadata: metadata.optional() }),
  listAgents: z.strictObject({ ...paging, status: z.enum(agentStatuses).optional() }),
  mintAgentKey: z.strictObject(mintKeyFields),
  createProvider: z.strictObject({
    name: line(128),
    issuer: line(2048).meta({ description: 'Compared with the claim iss byte for byte' }),
    audience: line(512),
    jwks_url: httpsUrl.optional().meta({ description: 'Absent: taken from the discovery document of the issuer' }),
    claims: claims.default({}),
    algorithms: algorithms.default(['RS256', 'ES256']),
    single_use: singleUse.default(false),
  }),
  updateProvider: z.strictObject({
    name: line(128).optional(),
    issuer: line(2048).optional(),
    audience: line(512).optional(),
    jwks_url: httpsUrl.optional(),
    claims: claims.optional(),
    algorithms: algorithms.optional(),
    single_use: singleUse.optional(),
  }),
  createWorkloadIdentity: z.strictObject({
    name: line(128).optional().meta({ description: 'Absent: NAMESPACE/SERVICE_ACCOUNT' }),
    issuer: line(2048).meta({ description: 'Compared with the claim iss byte for byte' }),
    jwks_url: httpsUrl.optional().meta({ description: 'Absent: taken from the discovery document of the issuer' }),
    algorithms: algorithms.default(['RS256', 'ES256']),
    namespace: kubernetesName,
    service_account: kubernetesName,
    agent_id: line(256).nullish().meta({ description: 'Id or name of the agent that it is; absent: a runtime key' }),
    cidr: mintKeyFields.cidr,
    rate_limit_rpm: mintKeyFields.rate_limit_rpm,
  }),
  createUser: z.strictObject({
    idp_id: id,
    external_id: externalId,
    email: line(254).optional(),
    name: line(256).optional(),
  }),
  listUsers: z.strictObject({ ...paging, idp: id.optional(), search }),
  createGroup: z.strictObject({ idp_id: id, external_group_id: externalId, name: line(256).optional() }),
  listGroups: z.strictObject({ ...paging, idp: id.optional(), search }),
  showGroup: z.strictObject({
    member_limit: paging.limit,
    member_offset: paging.offset,
    grant_limit: paging.limit,
    grant_offset: paging.offset,
  }),
  listDelegations: z.strictObject({
    ...paging,
    agent: line(256).optional().meta({ description: 'Id or name' }),
    user: id.optional(),
    grant: id.optional().meta({ description: 'The grant that is lent' }),
  }),
  delegationPolicy: z.strictObject(delegationPolicyFields),
} as const;

const agent = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    display_name: z.string().nullable(),
    type: z.enum(agentTypes),
    status: z.enum(agentStatuses),
    metadata: z.record(z.string(), z.string()),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'Agent' });

const provider = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    issuer: z.string(),
    audience: z.string(),
    jwks_url: z.string(),
    claims: z.strictObject({ user: z.string(), email: z.string(), name: z.string(), groups: z.string() }),
    algorithms: z.array(z.enum(tokenAlgorithms)),
    single_use: singleUse,
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'IdentityProvider' });

const workloadIdentity = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    issuer: z.string(),
    audience: z.string().meta({ description: 'What the token must be for, and for nothing besides' }),
    jwks_url: z.string(),
    algorithms: z.array(z.enum(tokenAlgorithms)),
    namespace: z.string(),
    service_account: z.string(),
    agent_id: z.string().nullable(),
    cidr: z.array(z.string()),
    rate_limit_rpm: z.number().int().nullable(),
    created_at: time,
  })
  .meta({ id: 'WorkloadIdentity' });

const user = z
  .strictObject({
    id: z.string(),
    idp_id: z.string(),
    external_id: z.string(),
    email: z.string().nullable(),
    name: z.string().nullable(),
    groups: z.array(z.string()).meta({ description: 'As the newest token said, with those of added_groups' }),
    added_groups: z.array(z.string()).meta({ description: 'Into which an operator put the user' }),
    created_at: time,
    last_seen_at: time.nullable(),
  })
  .meta({ id: 'User' });

const groupFields = {
  id: z.string(),
  idp_id: z.string(),
  external_group_id: z.string(),
  name: z.string(),
  member_count: z
    .number()
    .int()
    .meta({ description: 'Users whose newest token named the group, or whom an operator put into it' }),
  grant_count: z.number().int().meta({ description: 'Grants to the group, revoked ones too' }),
  created_at: time,
};
const group = z.strictObject(groupFields).meta({ id: 'Group' });

const delegation = z
  .strictObject({
    id: z.string(),
    agent_id: z.string(),
    source_grant_id: z.string(),
    user_id: z.string(),
    managed_secret_id: z.string(),
    managed_secret_slug: z.string().nullable(),
    status: z.enum(['active', 'expired', 'revoked']),
    created_at: time,
    expires_at: time,
    revoked_at: time.nullable(),
  })
  .meta({ id: 'Delegation' });

export const pathKinds = ['direct', 'group', 'system', 'agent', 'delegation'] as const;

const access = z
  .strictObject({
    secret: z.strictObject({ id: z.string(), slug: z.string(), name: z.string() }),
    entries: z.array(
      z.strictObject({
        principal: z.strictObject({
          type: z.enum(['user', 'group', 'system', 'agent']),
          id: z.string().nullable(),
          display: z.string(),
        }),
        paths: z.array(
          z.strictObject({
            kind: z.enum(pathKinds),
            grant_id: z.string(),
            label: z.string(),
            expires_at: time.nullable(),
            idp_id: z.string().optional(),
            external_group_id: z.string().optional(),
            delegation_id: z.string().optional(),
            user_id: z.string().optional(),
          }),
        ),
        path_count: z.number().int(),
      }),
    ),
    counts: z.strictObject({
      direct: z.number().int(),
      group: z.number().int(),
      system: z.number().int(),
      agent: z.number().int(),
      delegation: z.number().int(),
    }),
    truncated: z.boolean().meta({ description: 'There are more members or delegations than are listed' }),
  })
  .meta({ id: 'Access' });

export const principalResponses = {
  agent,
  agents: listOf(agent),
  provider,
  providers: listOf(provider),
  workloadIdentity,
  workloadIdentities: listOf(workloadIdentity),
  user,
  users: listOf(user),
  group,
  groups: listOf(group),
  shownGroup: z
    .strictObject({ ...groupFields, members: listOf(user), grants: listOf(grant) })
    .meta({ id: 'ShownGroup' }),
  delegation,
  delegations: listOf(delegation),
  access,
} as const;
