import type { AddressSet } from './address.ts';

export const runtimeScopes = [
  ...(['grants', 'agents', 'keys', 'secrets', 'users', 'audit'] as const).flatMap((resource) =>
    (['read', 'write', 'admin'] as const).map((verb) => `${resource}:${verb}` as const),
  ),
  'proxy:execute',
  'keys:derive',
  'delegations:create',
] as const;
export type RuntimeScope = (typeof runtimeScopes)[number];

/** Authenticates application code to the proxy. The plaintext is shown once; here is only its digest. */
export interface RuntimeKey {
  /** The visible id part of the key. */
  readonly id: string;
  readonly appId: string;
  readonly keyType: 'runtime' | 'agent' | 'derived';
  readonly name: string;
  readonly scopes: readonly RuntimeScope[];
  /** CIDRs that the client's address must be in; empty: any. */
  readonly cidr: readonly string[];
  readonly rateLimitRpm: number | null;
  readonly expiresAt: number | null;
  /** SHA-256 of the whole key, hexadecimal. */
  readonly digest: string;
  readonly createdAt: number;
  readonly revokedAt: number | null;
}

export type KeyStatus = 'active' | 'expired' | 'revoked';

export function keyStatus(key: RuntimeKey, now: number): KeyStatus {
  if (key.revokedAt !== null) return 'revoked';
  return key.expiresAt !== null && now >= key.expiresAt ? 'expired' : 'active';
}

/** What the proxy knows of a caller after it proved its key. `addresses` is the key's CIDR list, parsed; null: any. */
export interface Caller {
  readonly key: RuntimeKey;
  readonly addresses: AddressSet | null;
}
