import type { AccessToken } from '../core/access-token.ts';
import type { App } from '../core/app.ts';
import { type Grant, grantStatus } from '../core/grant.ts';
import { keyStatus, type RuntimeKey } from '../core/runtime-key.ts';
import type { Secret } from '../core/secret.ts';
import { tokenPrefix } from '../core/token.ts';

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
  return { id: app.id, name: app.name, created_at: formatTime(app.createdAt), updated_at: formatTime(app.updatedAt) };
}

export function representAccessToken(token: AccessToken) {
  return {
    id: token.id,
    name: token.name,
    scopes: token.scopes,
    app_id: token.appId,
    expires_at: formatTimeOrNull(token.expiresAt),
    created_at: formatTime(token.createdAt),
  };
}

export function representSecret(secret: Secret) {
  return {
    id: secret.id,
    slug: secret.slug,
    name: secret.name,
    description: secret.description,
    credential_type: secret.credentialType,
    injection_header: secret.injectionHeader,
    injection_format: secret.injectionFormat,
    injection_rules: secret.injectionRules.map(({ target, name, format }) => ({ target, name, format })),
    account_identifier: secret.accountIdentifier,
    account_display_name: secret.accountDisplayName,
    allowed_hosts: secret.allowedHosts,
    version: secret.version,
    created_at: formatTime(secret.createdAt),
    updated_at: formatTime(secret.updatedAt),
    rotated_at: formatTimeOrNull(secret.rotatedAt),
  };
}

/** `secret` is null where it was deleted after the grant was made. */
export function representGrant(grant: Grant, secret: Secret | null, now: number) {
  return {
    grant_id: grant.id,
    managed_secret_id: grant.secretId,
    managed_secret_slug: secret?.slug ?? null,
    managed_secret_name: secret?.name ?? null,
    principal_type: grant.principal.type,
    label: grant.label,
    description: grant.description,
    status: grantStatus(grant, now),
    expires_at: formatTimeOrNull(grant.expiresAt),
    created_at: formatTime(grant.createdAt),
    revoked_at: formatTimeOrNull(grant.revokedAt),
  };
}

export function representKey(key: RuntimeKey, now: number) {
  return {
    id: key.id,
    name: key.name,
    key_type: key.keyType,
    key_prefix: tokenPrefix(key.keyType, key.id),
    scopes: key.scopes,
    cidr: key.cidr,
    rate_limit_rpm: key.rateLimitRpm,
    expires_at: formatTimeOrNull(key.expiresAt),
    status: keyStatus(key, now),
    created_at: formatTime(key.createdAt),
    revoked_at: formatTimeOrNull(key.revokedAt),
  };
}

export function representPage<Item>(items: readonly Item[], of: { total: number; limit: number; offset: number }) {
  const { total, limit, offset } = of;
  return { items, total, limit, offset, has_more: offset + items.length < total };
}
