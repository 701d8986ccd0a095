import type { AddressSet } from './address.ts';
import type { Agent } from './agent.ts';

export const runtimeScopes = [
  ...(['grants', 'agents', 'keys', 'secrets', 'users', 'audit'] as const).flatMap((resource) =>
    (['read', 'write', 'admin'] as const).map((verb) => `${resource}:${verb}` as const),
  ),
  'proxy:execute',
  'keys:derive',
  'delegations:create',
] as const;
export type RuntimeScope = (typeof runtimeScopes)[number];

/** `write` implies `read`, and `admin` both; scopes of other verbs stand for themselves. */
export function hasRuntimeScope(scopes: readonly RuntimeScope[], wanted: RuntimeScope): boolean {
  const [resource, verb] = wanted.split(':') as [string, string];
  const order = ['read', 'write', 'admin'];
  const least = order.indexOf(verb);
  if (least === -1) return scopes.includes(wanted);
  return order.slice(least).some((held) => scopes.includes(`${resource}:${held}` as RuntimeScope));
}

/** Authenticates application code to the proxy. The plaintext is shown once; here is only its digest. */
export interface RuntimeKey {
  /** The visible id part of the key. */
  readonly id: string;
  readonly appId: string;
  readonly keyType: 'runtime' | 'agent' | 'derived';
  /** Whose key it is, of an agent key; else null. */
  readonly agentId: string | null;
  /** The runtime key that a derived key was made from, and lives no longer than; else null. */
  readonly parentId: string | null;
  /** The key that this one takes the place of; else null. */
  readonly rotatedFrom: string | null;
  readonly name: string;
  readonly scopes: readonly RuntimeScope[];
  /** CIDRs that the client's address must be in; empty: any. */
  readonly cidr: readonly string[];
  readonly rateLimitRpm: number | null;
  readonly expiresAt: number | null;
  /** SHA-256 of the whole key, hexadecimal. */
  readonly digest: string;
  readonly createdAt: number;
  /** When another key took its place; it works on until it is revoked. */
  readonly rotatedAt: number | null;
  readonly revokedAt: number | null;
}

export const keyStatuses = ['active', 'rotated_in_grace', 'expired', 'revoked'] as const;
export type KeyStatus = (typeof keyStatuses)[number];

export function keyStatus(key: RuntimeKey, now: number): KeyStatus {
  if (key.revokedAt !== null) return 'revoked';
  if (key.expiresAt !== null && now >= key.expiresAt) return 'expired';
  return key.rotatedAt === null ? 'active' : 'rotated_in_grace';
}

/** Working keys of one app that were minted; derived ones, which end by themselves, are not counted. */
export const maxWorkingKeys = 1000;

/** What the proxy knows of a caller after it proved its key. `addresses` is the key's CIDR list, parsed; null: any. */
export interface Caller {
  readonly key: RuntimeKey;
  readonly addresses: AddressSet | null;
  /** Of an agent key; null where the agent is gone. */
  readonly agent: Agent | null;
  /** Of a derived key; null where the parent is gone. */
  readonly parent: Caller | null;
}
