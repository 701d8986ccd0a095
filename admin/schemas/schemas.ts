import { z } from 'zod';
import { accessTokenStatuses, dashboardScopes } from '../../core/access-token.ts';
import { auditEventNames } from '../../core/audit-event.ts';
import { credentialTypes, maxCredentialBytes } from '../../core/credential.ts';
import { maxDelegationTtlDays, minDelegationTtlDays } from '../../core/delegation.ts';
import { maxInjectionRules } from '../../core/injection.ts';
import { keyStatuses, runtimeScopes } from '../../core/runtime-key.ts';
import { maxExternalIdLength } from '../../core/user.ts';
import { policyDocument, policyField } from './policy-schemas.ts';

/**
 * The shapes of what the admin API takes and gives. Requests are read field by field (`check-fields.ts`); responses are
 * strict, so that a test finds any field that was not meant to be shown.
 */

// C0, C1 and DEL, and the line and paragraph separators: they would forge lines in logs and on terminals.
const controls = /[\p{Cc}\u2028\u2029]/u;

/** A line of text that a person reads: 1 to `max` characters, none of them a control character. */
export function line(max: number) {
  return z
    .string()
    .max(max)
    .refine((text) => !controls.test(text) && text.isWellFormed(), 'must not hold control characters')
    .refine((text) => text.trim() !== '', 'must not be empty');
}

export const time = z.iso.datetime().meta({ description: 'ISO 8601, UTC' });

const auditTime = z
  .string()
  .refine(
    (text) => isZoned(text) || /^\d{1,6}[smhd]$/.test(text),
    'must be a time in ISO 8601 with a zone, or an age such as 30m or 7d',
  );

function isZoned(text: string): boolean {
  const isFormed = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/.test(text);
  return isFormed && !Number.isNaN(Date.parse(text));
}

export const futureTime = z
  .string()
  .refine(isZoned, 'must be a time in ISO 8601 with a zone, such as 2027-01-31T00:00:00Z')
  .meta({ description: 'ISO 8601 with a zone; in the future', format: 'date-time' });

export const paging = {
  limit: z.coerce.number().int().min(1).max(1000).default(200),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
};

const injectionRule = z
  .strictObject({ target: z.enum(['header', 'query']), name: z.string().max(128), format: z.string().max(4096) })
  .meta({ id: 'InjectionRule' });

const injectionFields = {
  injection_header: z
    .string()
    .max(128)
    .nullish()
    .meta({ description: 'Null, together with the format: everything goes in through the rules' }),
  injection_format: z.string().max(4096).nullish(),
  injection_rules: z.array(injectionRule).max(maxInjectionRules).optional(),
};

const credentialFields = {
  credential_value: z.string().max(maxCredentialBytes).optional().meta({ description: 'Write-only', writeOnly: true }),
  credentials: z
    .record(z.string(), z.string().max(maxCredentialBytes))
    .optional()
    .meta({ description: 'Named fields of the credential. Write-only', writeOnly: true }),
};

/** How the grants of a secret may be lent to agents. */
export const delegationPolicyFields = {
  allow_group_delegation: z.boolean().optional(),
  max_delegation_ttl_days: z.number().int().min(minDelegationTtlDays).max(maxDelegationTtlDays).optional(),
};

export const mintKeyFields = {
  name: line(128),
  scopes: z.array(z.enum(runtimeScopes)).min(1).max(runtimeScopes.length),
  cidr: z.array(z.string().max(64)).max(64).default([]),
  rate_limit_rpm: z.number().int().min(1).max(100_000).nullish(),
  expires_in: z
    .string()
    .refine((text) => /^[1-9]\d{0,5}[dhm]$/.test(text), 'must be a duration such as 30d, 12h or 5m')
    .optional(),
  expires_at: futureTime.nullish(),
};

const egressMode = z
  .enum(['tunnel', 'deny'])
  .nullish()
  .meta({ description: 'What traffic without a grant gets; null: what ALTER_EGRESS_MODE says' });

/** To whom a grant is. */
export const grantToFields = {
  principal_type: z.enum(['system', 'user', 'group', 'agent']),
  app_user_id: line(64).optional().meta({ description: 'Of a grant to a user' }),
  idp_id: line(64).optional().meta({ description: 'Of a grant to a group, with external_group_id' }),
  external_group_id: line(maxExternalIdLength).optional(),
  agent_id: line(256).optional().meta({ description: 'Of a grant to an agent: its id or name' }),
};

const hostList = z.array(z.string().max(260)).max(100);

export const requests = {
  page: z.strictObject(paging),
  listTemplates: z.strictObject({ ...paging, search: line(128).optional() }),
  createApp: z.strictObject({ name: line(128) }),
  updateApp: z.strictObject({ name: line(128).optional(), policy: policyField, egress_mode: egressMode }),
  deleteApp: z.strictObject({ confirm: line(128).meta({ description: 'The name of the app, as it is now' }) }),
  createSecret: z.strictObject({
    name: line(128),
    slug: z
      .unknown()
      .optional()
      .meta({ description: 'Ignored: the slug comes from the name', override: { type: 'string' } }),
    description: line(1024).nullish(),
    template: z
      .string()
      .max(64)
      .nullable()
      .default(null)
      .meta({ description: 'Fills in what the request does not say itself: type, injection, rules, allowed hosts' }),
    credential_type: z
      .enum(credentialTypes)
      .nullable()
      .default(null)
      .meta({ description: 'Null: that of the template, otherwise bearer_token' }),
    ...credentialFields,
    ...injectionFields,
    label: line(128).default('default').meta({ description: 'The label of the base grant' }),
    account_identifier: line(256).nullish(),
    account_display_name: line(256).nullish(),
    allowed_hosts: hostList.optional().meta({ description: 'Absent: those of the template, otherwise none' }),
    ...delegationPolicyFields,
    policy: policyField,
  }),
  updateSecret: z.strictObject({
    name: line(128).optional(),
    description: line(1024).nullish(),
    ...injectionFields,
    account_identifier: line(256).nullish(),
    account_display_name: line(256).nullish(),
    policy: policyField,
  }),
  rotateSecret: z.strictObject(credentialFields),
  setAllowedHosts: z.strictObject({ hosts: hostList }),
  createGrant: z.strictObject({
    ...grantToFields,
    label: line(128).default('default'),
    description: line(1024).nullish(),
    grant_policy: policyField,
    expires_at: futureTime.nullish(),
  }),
  updateGrant: z.strictObject({
    label: line(128).optional(),
    description: line(1024).nullish(),
    grant_policy: policyField,
    expires_at: futureTime.nullish(),
  }),
  cloneGrant: z.strictObject({
    label: line(128).optional().meta({ description: 'Absent: that of the grant' }),
    description: line(1024).nullish().meta({ description: 'Absent: that of the grant' }),
    ttl_seconds: z.number().int().min(1).max(315_360_000).optional(),
    expires_at: futureTime.optional().meta({ description: 'Of it and ttl_seconds at most one' }),
  }),
  mintKey: z.strictObject({
    ...mintKeyFields,
    key_type: z.enum(['runtime', 'agent']).default('runtime'),
    agent_id: line(256).optional().meta({ description: 'Of an agent key: the id or name of its agent' }),
  }),
  renameKey: z.strictObject({ name: line(128) }),
  rotateKey: z.strictObject({ scopes: mintKeyFields.scopes.optional().meta({ description: 'Absent: as they were' }) }),
  revokeKey: z.strictObject({
    force: z.boolean().default(false).meta({ description: 'Also the only active key of an agent' }),
  }),
  listKeys: z.strictObject({ ...paging, status: z.enum(keyStatuses).optional() }),
  listTokens: z.strictObject({ ...paging, status: z.enum(accessTokenStatuses).optional() }),
  createToken: z.strictObject({
    name: line(128),
    scopes: z.array(z.enum(dashboardScopes)).min(1).max(dashboardScopes.length),
    app_id: line(128).nullish().meta({
      description: 'Id or name of the only app that it may see; null: all. Absent: as the token that creates it',
    }),
    expires_in: mintKeyFields.expires_in,
    expires_at: futureTime.nullish().meta({ description: 'No later than the end of the token that creates it' }),
  }),
  revokeToken: z.strictObject({
    force: z.boolean().default(false).meta({ description: 'Also the token of this very request' }),
  }),
  listAudit: z.strictObject({
    after: z.string().min(1).max(256).optional(),
    limit: paging.limit,
    order: z.enum(['asc', 'desc']).default('desc'),
    since: auditTime.optional().meta({ description: 'Only events from this time on' }),
    until: auditTime.optional().meta({ description: 'Only events before this time' }),
    event: z.enum(auditEventNames).optional(),
    secret: z.string().max(128).optional().meta({ description: 'Id or slug' }),
    grant: z.string().max(128).optional(),
    key: z.string().max(128).optional().meta({ description: 'Id or prefix' }),
    agent: line(64).optional().meta({ description: 'Id of the agent' }),
    user: line(64).optional().meta({ description: 'Id of the user' }),
    host: z.string().max(260).optional(),
    outcome: z
      .enum(['succeeded', 'failed', 'denied'])
      .optional()
      .meta({ description: 'How it ended; a decision whose request still runs has none' }),
    decision: z.enum(['allow', 'deny']).optional(),
    code: z.string().max(64).optional().meta({ description: 'Outcome code, such as host_not_allowed' }),
  }),
} as const;

export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({
    items: z.array(item),
    total: z.number().int(),
    limit: z.number().int(),
    offset: z.number().int(),
    has_more: z.boolean(),
  });

const app = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    policy: policyDocument.nullable(),
    egress_mode: z.enum(['tunnel', 'deny']).nullable(),
    status: z.enum(['active', 'archived']),
    archived_at: time.nullable(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'App' });

const secretFields = {
  id: z.string(),
  slug: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  template: z.string().nullable(),
  credential_type: z.enum(credentialTypes),
  injection_header: z.string().nullable().meta({ description: 'Null: everything goes in through the rules' }),
  injection_format: z.string().nullable(),
  injection_rules: z.array(injectionRule),
  account_identifier: z.string().nullable(),
  account_display_name: z.string().nullable(),
  allowed_hosts: z.array(z.string()),
  policy: policyDocument.nullable(),
  allow_group_delegation: z.boolean(),
  max_delegation_ttl_days: z.number().int(),
  version: z.number().int(),
  created_at: time,
  updated_at: time,
  rotated_at: time.nullable(),
};
const secret = z.strictObject(secretFields).meta({ id: 'ManagedSecret' });

const template = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    credential_type: z.enum(credentialTypes),
    injection_header: z.string().nullable(),
    injection_format: z.string().nullable(),
    injection_rules: z.array(injectionRule),
    optional_rules: z.array(injectionRule).meta({ description: 'Added where the credential has the field they send' }),
    fields: z.array(z.strictObject({ name: z.string(), required: z.boolean() })),
    username: z.string().nullable().meta({ description: 'Of basic_auth: what the user name is there' }),
    password: z.string().nullable(),
    allowed_hosts: z.array(z.string()).meta({ description: 'Empty: the host is your own' }),
    docs: z.string(),
    auth_form_checked: z
      .boolean()
      .meta({ description: 'The form of authentication was compared with the documentation of the provider' }),
    note: z.string().nullable(),
  })
  .meta({ id: 'Template' });

const lastUsed = time.nullable().meta({ description: 'Written down within about a minute; null: never' });

export const grant = z
  .strictObject({
    grant_id: z.string(),
    managed_secret_id: z.string(),
    managed_secret_slug: z.string().nullable().meta({ description: 'Null when the secret was deleted' }),
    managed_secret_name: z.string().nullable(),
    principal_type: z.enum(['system', 'user', 'group', 'agent']),
    app_user_id: z.string().nullable(),
    idp_id: z.string().nullable(),
    external_group_id: z.string().nullable(),
    agent_id: z.string().nullable(),
    label: z.string(),
    description: z.string().nullable(),
    status: z.enum(['active', 'expired', 'revoked']),
    grant_policy: policyDocument.nullable(),
    expires_at: time.nullable(),
    created_at: time,
    last_used_at: lastUsed,
    revoked_at: time.nullable(),
  })
  .meta({ id: 'Grant' });

const keyFields = {
  id: z.string(),
  name: z.string(),
  key_type: z.enum(['runtime', 'agent', 'derived']),
  key_prefix: z.string(),
  agent_id: z.string().nullable().meta({ description: 'Of an agent key' }),
  parent_id: z.string().nullable().meta({ description: 'Of a derived key: the key that it was made from' }),
  scopes: z.array(z.enum(runtimeScopes)),
  cidr: z.array(z.string()),
  rate_limit_rpm: z.number().int().nullable(),
  expires_at: time.nullable(),
  status: z.enum(keyStatuses),
  rotated_from: z.string().nullable().meta({ description: 'The key that it takes the place of' }),
  created_at: time,
  last_used_at: lastUsed,
  revoked_at: time.nullable(),
};
const key = z.strictObject(keyFields).meta({ id: 'Key' });

const word = z.string().nullish();
const auditEvent = z
  .strictObject({
    id: z.string(),
    time,
    event: z.enum(auditEventNames),
    request_id: word,
    app_id: word,
    key_id: word,
    principal_type: word,
    principal_id: word,
    agent_id: word,
    user_id: word,
    grant_id: word,
    managed_secret_id: word,
    managed_secret_slug: word,
    secret_version: z.number().int().nullish(),
    method: word,
    host: word,
    path: word,
    status: z.number().int().nullish(),
    latency_ms: z.number().nullish(),
    decision: z.enum(['allow', 'deny']).nullish(),
    code: word,
    policy_error: word,
    reason: word,
    caller: word,
    context: word,
    client_ip: word,
  })
  .meta({ id: 'AuditEvent' });

const accessTokenFields = {
  id: z.string(),
  name: z.string(),
  token_prefix: z.string(),
  scopes: z.array(z.enum(dashboardScopes)),
  app_id: z.string().nullable().meta({ description: 'The only app that the token may see; null: all' }),
  expires_at: time.nullable(),
  status: z.enum(accessTokenStatuses),
  created_at: time,
  revoked_at: time.nullable(),
};
const accessToken = z.strictObject(accessTokenFields).meta({ id: 'AccessToken' });

export const responses = {
  accessToken,
  accessTokens: listOf(accessToken),
  createdAccessToken: z
    .strictObject({
      ...accessTokenFields,
      token: z
        .string()
        .nullable()
        .meta({ description: 'The plaintext, shown this once. Null where an answer is repeated' }),
    })
    .meta({ id: 'CreatedAccessToken' }),
  app,
  apps: listOf(app),
  secret,
  secrets: listOf(secret),
  templates: listOf(template),
  createdSecret: z
    .strictObject({ ...secretFields, grant_id: z.string().meta({ description: 'The base grant' }) })
    .meta({ id: 'CreatedManagedSecret' }),
  grant,
  grants: listOf(grant),
  key,
  keys: listOf(key),
  keyStatistics: z
    .strictObject({
      active: z.number().int(),
      rotated_in_grace: z.number().int(),
      total: z.number().int(),
      max_allowed: z.number().int().meta({ description: 'Of those that are active or in grace' }),
    })
    .meta({ id: 'KeyStatistics' }),
  mintedKey: z
    .strictObject({
      ...keyFields,
      key: z
        .string()
        .nullable()
        .meta({ description: 'The plaintext, shown this once. Null where an answer is repeated' }),
    })
    .meta({ id: 'MintedKey' }),
  auditEvent,
  audit: z.strictObject({
    items: z.array(auditEvent),
    limit: z.number().int(),
    has_more: z.boolean(),
    next: z.string().nullable().meta({ description: 'To be given as `after` for the page that follows' }),
    cursor: z
      .string()
      .nullable()
      .meta({ description: 'Of the last event that was looked at, to go on after when there are more' }),
  }),
  problem: z
    .strictObject({
      type: z.string(),
      title: z.string(),
      status: z.number().int(),
      code: z.string(),
      detail: z.string(),
      policy_error: z.string().optional(),
      hint: z.string(),
      problems: z.array(z.strictObject({ field: z.string(), message: z.string() })).optional(),
      request_id: z.string(),
    })
    .meta({ id: 'Problem' }),
} as const;
