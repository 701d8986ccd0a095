import { type AccessToken, accessTokenStatus } from '../../core/access-token.ts';
import type { Agent } from '../../core/agent.ts';
import type { App } from '../../core/app.ts';
import { type Delegation, delegationStatus } from '../../core/delegation.ts';
import { type Grant, grantStatus } from '../../core/grant.ts';
import type { IdentityProvider } from '../../core/identity-provider.ts';
import type { InjectionRule } from '../../core/injection.ts';
import { keyStatus, type RuntimeKey } from '../../core/runtime-key.ts';
import type { Secret } from '../../core/secret.ts';
import { tokenPrefix } from '../../core/token.ts';
import { groupsOf, type User } from '../../core/user.ts';
import { type WorkloadIdentity, workloadAudience } from '../../core/workload-identity.ts';

/**
 * The domain as JSON on the wire. Field by field and never by spreading a record, so that nothing (a digest, a name of a
 * credential's field) is shown because it happened to be there.
 */

export function formatTime(at: number): string {
  return new Date(at).toISOString();
}

function formatTimeOrNull(at: number | null): string | null {
  return at === null ? null : formatTime(at);
}

export function representApp(app: App) {
  return {
    id: app.id,
    name: app.name,
    policy: app.policy,
    egress_mode: app.egressMode,
    status: app.archivedAt === null ? 'active' : 'archived',
    archived_at: formatTimeOrNull(app.archivedAt),
    created_at: formatTime(app.createdAt),
    updated_at: formatTime(app.updatedAt),
  };
}

export function representAccessToken(token: AccessToken, now: number) {
  return {
    id: token.id,
    name: token.name,
    token_prefix: tokenPrefix('pat', token.id),
    scopes: token.scopes,
    app_id: token.appId,
    expires_at: formatTimeOrNull(token.expiresAt),
    status: accessTokenStatus(token, now),
    created_at: formatTime(token.createdAt),
    revoked_at: formatTimeOrNull(token.revokedAt),
  };
}

export function representRules(rules: readonly InjectionRule[]) {
  return rules.map(({ target, name, format }) => ({ target, name, format }));
}

export function representSecret(secret: Secret) {
  return {
    id: secret.id,
    slug: secret.slug,
    name: secret.name,
    description: secret.description,
    template: secret.template,
    credential_type: secret.credentialType,
    injection_header: secret.injectionHeader,
    injection_format: secret.injectionFormat,
    injection_rules: representRules(secret.injectionRules),
    account_identifier: secret.accountIdentifier,
    account_display_name: secret.accountDisplayName,
    allowed_hosts: secret.allowedHosts,
    policy: secret.policy,
    allow_group_delegation: secret.allowGroupDelegation,
    max_delegation_ttl_days: secret.maxDelegationTtlDays,
    version: secret.version,
    created_at: formatTime(secret.createdAt),
    updated_at: formatTime(secret.updatedAt),
    rotated_at: formatTimeOrNull(secret.rotatedAt),
  };
}

/** `secret` is null where it was deleted after the grant was made. */
export function representGrant(grant: Grant, of: { secret: Secret | null; lastUsedAt: number | null }, now: number) {
  const { secret } = of;
  return {
    grant_id: grant.id,
    managed_secret_id: grant.secretId,
    managed_secret_slug: secret?.slug ?? null,
    managed_secret_name: secret?.name ?? null,
    principal_type: grant.principal.type,
    app_user_id: grant.principal.type === 'user' ? grant.principal.appUserId : null,
    idp_id: grant.principal.type === 'group' ? grant.principal.idpId : null,
    external_group_id: grant.principal.type === 'group' ? grant.principal.externalGroupId : null,
    agent_id: grant.principal.type === 'agent' ? grant.principal.agentId : null,
    label: grant.label,
    description: grant.description,
    status: grantStatus(grant, now),
    grant_policy: grant.policy,
    expires_at: formatTimeOrNull(grant.expiresAt),
    created_at: formatTime(grant.createdAt),
    last_used_at: formatTimeOrNull(of.lastUsedAt),
    revoked_at: formatTimeOrNull(grant.revokedAt),
  };
}

/** `lastUsedAt` is null for a key that was never used. */
export function representKey(key: RuntimeKey, lastUsedAt: number | null, now: number) {
  return {
    id: key.id,
    name: key.name,
    key_type: key.keyType,
    key_prefix: tokenPrefix(key.keyType, key.id),
    agent_id: key.agentId,
    parent_id: key.parentId,
    scopes: key.scopes,
    cidr: key.cidr,
    rate_limit_rpm: key.rateLimitRpm,
    expires_at: formatTimeOrNull(key.expiresAt),
    status: keyStatus(key, now),
    rotated_from: key.rotatedFrom,
    created_at: formatTime(key.createdAt),
    last_used_at: formatTimeOrNull(lastUsedAt),
    revoked_at: formatTimeOrNull(key.revokedAt),
  };
}

export function representAgent(agent: Agent) {
  return {
    id: agent.id,
    name: agent.name,
    display_name: agent.displayName,
    type: agent.type,
    status: agent.status,
    metadata: agent.metadata,
    created_at: formatTime(agent.createdAt),
    updated_at: formatTime(agent.updatedAt),
  };
}

export function representWorkloadIdentity(identity: WorkloadIdentity) {
  return {
    id: identity.id,
    name: identity.name,
    issuer: identity.issuer,
    audience: workloadAudience(identity.appId),
    jwks_url: identity.jwksUrl,
    algorithms: identity.algorithms,
    namespace: identity.namespace,
    service_account: identity.serviceAccount,
    agent_id: identity.agentId,
    cidr: identity.cidr,
    rate_limit_rpm: identity.rateLimitRpm,
    created_at: formatTime(identity.createdAt),
  };
}

export function representProvider(provider: IdentityProvider) {
  const { user, email, name, groups } = provider.claims;
  return {
    id: provider.id,
    name: provider.name,
    issuer: provider.issuer,
    audience: provider.audience,
    jwks_url: provider.jwksUrl,
    claims: { user, email, name, groups },
    algorithms: provider.algorithms,
    single_use: provider.singleUse,
    created_at: formatTime(provider.createdAt),
    updated_at: formatTime(provider.updatedAt),
  };
}

export function representUser(user: User) {
  return {
    id: user.id,
    idp_id: user.idpId,
    external_id: user.externalId,
    email: user.email,
    name: user.name,
    groups: groupsOf(user),
    added_groups: user.addedGroups,
    created_at: formatTime(user.createdAt),
    last_seen_at: formatTimeOrNull(user.lastSeenAt),
  };
}

/** `secret` is null where it was deleted meanwhile. */
export function representDelegation(
  delegation: Delegation,
  of: { readonly secretId: string; readonly secret: Secret | null },
  now: number,
) {
  return {
    id: delegation.id,
    agent_id: delegation.agentId,
    source_grant_id: delegation.sourceGrantId,
    user_id: delegation.userId,
    managed_secret_id: of.secretId,
    managed_secret_slug: of.secret?.slug ?? null,
    status: delegationStatus(delegation, now),
    created_at: formatTime(delegation.createdAt),
    expires_at: formatTime(delegation.expiresAt),
    revoked_at: formatTimeOrNull(delegation.revokedAt),
  };
}

export function representPage<Item>(items: readonly Item[], of: { total: number; limit: number; offset: number }) {
  const { total, limit, offset } = of;
  return { items, total, limit, offset, has_more: offset + items.length < total };
}
