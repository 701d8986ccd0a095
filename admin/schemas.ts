import { z } from 'zod';
import { dashboardScopes } from '../core/access-token.ts';
import { auditEventNames } from '../core/audit-event.ts';
import { credentialTypes, maxCredentialBytes } from '../core/credential.ts';
import { maxInjectionRules } from '../core/injection.ts';
import { runtimeScopes } from '../core/runtime-key.ts';

/**
 * The shapes of what the admin API takes and gives. Requests are read field by field (`check-fields.ts`); responses are
 * strict, so that a test finds any field that was not meant to be shown.
 */

// C0, C1 and DEL, and the line and paragraph separators: they would forge lines in logs and on terminals.
const controls = /[\p{Cc}\u2028\u2029]/u;

/** A line of text that a person reads: 1 to `max` characters, none of them a control character. */
function line(max: number) {
  return z
    .string()
    .max(max)
    .refine((text) => !controls.test(text) && text.isWellFormed(), 'must not hold control characters')
    .refine((text) => text.trim() !== '', 'must not be empty');
}

const time = z.iso.datetime().meta({ description: 'ISO 8601, UTC' });

const futureTime = z
  .string()
  .refine(
    (text) =>
      /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/.test(text) &&
      !Number.isNaN(Date.parse(text)),
    'must be a time in ISO 8601 with a zone, such as 2027-01-31T00:00:00Z',
  )
  .meta({ description: 'ISO 8601 with a zone; in the future', format: 'date-time' });

const paging = {
  limit: z.coerce.number().int().min(1).max(1000).default(200),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
};

const injectionRule = z
  .strictObject({ target: z.enum(['header', 'query']), name: z.string().max(128), format: z.string().max(4096) })
  .meta({ id: 'InjectionRule' });

const injectionFields = {
  injection_header: z.string().max(128).optional(),
  injection_format: z.string().max(4096).optional(),
  injection_rules: z.array(injectionRule).max(maxInjectionRules).optional(),
};

const credentialFields = {
  credential_value: z.string().max(maxCredentialBytes).optional().meta({ description: 'Write-only', writeOnly: true }),
  credentials: z
    .record(z.string(), z.string().max(maxCredentialBytes))
    .optional()
    .meta({ description: 'Named fields of the credential. Write-only', writeOnly: true }),
};

const hostList = z.array(z.string().max(260)).max(100);

export const requests = {
  page: z.strictObject(paging),
  createApp: z.strictObject({ name: line(128) }),
  createSecret: z.strictObject({
    name: line(128),
    slug: z
      .unknown()
      .optional()
      .meta({ description: 'Ignored: the slug comes from the name', override: { type: 'string' } }),
    description: line(1024).nullish(),
    credential_type: z.enum(credentialTypes).default('bearer_token'),
    ...credentialFields,
    ...injectionFields,
    label: line(128).default('default').meta({ description: 'The label of the base grant' }),
    account_identifier: line(256).nullish(),
    account_display_name: line(256).nullish(),
    allowed_hosts: hostList.default([]),
  }),
  updateSecret: z.strictObject({
    name: line(128).optional(),
    description: line(1024).nullish(),
    ...injectionFields,
    account_identifier: line(256).nullish(),
    account_display_name: line(256).nullish(),
  }),
  rotateSecret: z.strictObject(credentialFields),
  setAllowedHosts: z.strictObject({ hosts: hostList }),
  createGrant: z.strictObject({
    principal_type: z
      .string()
      .refine((type) => type === 'system', 'must be system: no other kind of principal is supported yet')
      .meta({ override: { enum: ['system'] } }),
    label: line(128).default('default'),
    description: line(1024).nullish(),
    expires_at: futureTime.nullish(),
  }),
  updateGrant: z.strictObject({
    label: line(128).optional(),
    description: line(1024).nullish(),
    expires_at: futureTime.nullish(),
  }),
  mintKey: z.strictObject({
    name: line(128),
    key_type: z
      .string()
      .refine((type) => type === 'runtime', 'must be runtime: no other type of key is supported yet')
      .default('runtime')
      .meta({ override: { enum: ['runtime'] } }),
    scopes: z.array(z.enum(runtimeScopes)).min(1).max(runtimeScopes.length),
    cidr: z.array(z.string().max(64)).max(64).default([]),
    rate_limit_rpm: z.number().int().min(1).max(100_000).nullish(),
    expires_in: z
      .string()
      .refine((text) => /^[1-9]\d{0,5}[dhm]$/.test(text), 'must be a duration such as 30d, 12h or 5m')
      .optional(),
    expires_at: futureTime.nullish(),
  }),
  renameKey: z.strictObject({ name: line(128) }),
  listKeys: z.strictObject({ ...paging, status: z.enum(['active', 'expired', 'revoked']).optional() }),
  listAudit: z.strictObject({
    after: z.string().min(1).max(256).optional(),
    limit: paging.limit,
    order: z.enum(['asc', 'desc']).default('desc'),
    event: z.enum(auditEventNames).optional(),
    secret: z.string().max(128).optional().meta({ description: 'Id or slug' }),
    grant: z.string().max(128).optional(),
    key: z.string().max(128).optional().meta({ description: 'Id or prefix' }),
    host: z.string().max(260).optional(),
    decision: z.enum(['allow', 'deny']).optional(),
    code: z.string().max(64).optional().meta({ description: 'Outcome code, such as host_not_allowed' }),
  }),
} as const;

const listOf = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({
    items: z.array(item),
    total: z.number().int(),
    limit: z.number().int(),
    offset: z.number().int(),
    has_more: z.boolean(),
  });

const app = z
  .strictObject({ id: z.string(), name: z.string(), created_at: time, updated_at: time })
  .meta({ id: 'App' });

const secretFields = {
  id: z.string(),
  slug: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  credential_type: z.enum(credentialTypes),
  injection_header: z.string(),
  injection_format: z.string(),
  injection_rules: z.array(injectionRule),
  account_identifier: z.string().nullable(),
  account_display_name: z.string().nullable(),
  allowed_hosts: z.array(z.string()),
  version: z.number().int(),
  created_at: time,
  updated_at: time,
  rotated_at: time.nullable(),
};
const secret = z.strictObject(secretFields).meta({ id: 'ManagedSecret' });

const grant = z
  .strictObject({
    grant_id: z.string(),
    managed_secret_id: z.string(),
    managed_secret_slug: z.string().nullable().meta({ description: 'Null when the secret was deleted' }),
    managed_secret_name: z.string().nullable(),
    principal_type: z.enum(['system', 'user', 'group', 'agent']),
    label: z.string(),
    description: z.string().nullable(),
    status: z.enum(['active', 'expired', 'revoked']),
    expires_at: time.nullable(),
    created_at: time,
    revoked_at: time.nullable(),
  })
  .meta({ id: 'Grant' });

const keyFields = {
  id: z.string(),
  name: z.string(),
  key_type: z.enum(['runtime', 'agent', 'derived']),
  key_prefix: z.string(),
  scopes: z.array(z.enum(runtimeScopes)),
  cidr: z.array(z.string()),
  rate_limit_rpm: z.number().int().nullable(),
  expires_at: time.nullable(),
  status: z.enum(['active', 'expired', 'revoked']),
  created_at: time,
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

export const responses = {
  accessToken: z
    .strictObject({
      id: z.string(),
      name: z.string(),
      scopes: z.array(z.enum(dashboardScopes)),
      app_id: z.string().nullable().meta({ description: 'The only app that the token may see; null: all' }),
      expires_at: time.nullable(),
      created_at: time,
    })
    .meta({ id: 'AccessToken' }),
  app,
  apps: listOf(app),
  secret,
  secrets: listOf(secret),
  createdSecret: z
    .strictObject({ ...secretFields, grant_id: z.string().meta({ description: 'The base grant' }) })
    .meta({ id: 'CreatedManagedSecret' }),
  grant,
  grants: listOf(grant),
  key,
  keys: listOf(key),
  mintedKey: z
    .strictObject({ ...keyFields, key: z.string().meta({ description: 'The plaintext, shown this once' }) })
    .meta({ id: 'MintedKey' }),
  audit: z.strictObject({
    items: z.array(auditEvent),
    limit: z.number().int(),
    has_more: z.boolean(),
    next: z.string().nullable().meta({ description: 'To be given as `after` for the page that follows' }),
  }),
  authority: z
    .strictObject({ certificate: z.string(), not_after: time, fingerprint_sha256: z.string() })
    .meta({ id: 'Authority' }),
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
