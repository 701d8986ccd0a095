import type { PolicyDocument } from './policy-document.ts';
import type { Principal } from './principal.ts';

/** Hands one secret to one principal. Survives rotation of the secret; revoked softly, so that the audit keeps its meaning. */
export interface Grant {
  readonly id: string;
  readonly appId: string;
  readonly secretId: string;
  readonly principal: Principal;
  readonly label: string;
  readonly description: string | null;
  readonly policy: PolicyDocument | null;
  readonly expiresAt: number | null;
  readonly createdAt: number;
  readonly revokedAt: number | null;
}

export type GrantStatus = 'active' | 'expired' | 'revoked';

/** An end is outside: at `expiresAt` itself the grant has expired. */
export function grantStatus(grant: Grant, now: number): GrantStatus {
  if (grant.revokedAt !== null) return 'revoked';
  return grant.expiresAt !== null && now >= grant.expiresAt ? 'expired' : 'active';
}
