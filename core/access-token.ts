const resources = ['secrets', 'keys', 'agents', 'apps', 'policy', 'identity_providers', 'webhooks', 'tokens'] as const;

/** What a PAT may do. Verbs are separate: `write` implies `read`, `admin` implies both, and nothing implies `delete`. */
export const dashboardScopes = [
  ...resources.flatMap((resource) =>
    (['read', 'write', 'admin', 'delete'] as const).map((verb) => `dashboard_${resource}:${verb}` as const),
  ),
  'dashboard_audit:read',
  'dashboard_audit:write',
] as const;
export type DashboardScope = (typeof dashboardScopes)[number];

/** A personal access token: authenticates an operator or CI to the admin API. */
export interface AccessToken {
  /** The visible id part of the token. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly DashboardScope[];
  /** The only app it may see, or null for all. */
  readonly appId: string | null;
  readonly expiresAt: number | null;
  /** SHA-256 of the whole token, hexadecimal. */
  readonly digest: string;
  readonly createdAt: number;
  readonly revokedAt: number | null;
}

export const accessTokenStatuses = ['active', 'expired', 'revoked'] as const;
export type AccessTokenStatus = (typeof accessTokenStatuses)[number];

export function accessTokenStatus(token: AccessToken, now: number): AccessTokenStatus {
  if (token.revokedAt !== null) return 'revoked';
  return token.expiresAt !== null && now >= token.expiresAt ? 'expired' : 'active';
}

const implied: Record<string, readonly string[]> = {
  read: ['read', 'write', 'admin'],
  write: ['write', 'admin'],
  admin: ['admin'],
  delete: ['delete'],
};

export function hasDashboardScope(scopes: readonly DashboardScope[], wanted: DashboardScope): boolean {
  const [resource, verb] = wanted.split(':') as [string, string];
  return implied[verb]!.some((held) => scopes.includes(`${resource}:${held}` as DashboardScope));
}
