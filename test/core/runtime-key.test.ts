import { describe, expect, it } from '@jest/globals';
import { type Grant, grantStatus } from '../../core/grant.ts';
import { keyStatus, type RuntimeKey, runtimeScopes } from '../../core/runtime-key.ts';

const now = 1_000_000;

describe('the life of a key and of a grant', () => {
  it.each([
    [{ expiresAt: null, revokedAt: null }, 'active'],
    [{ expiresAt: now + 1, revokedAt: null }, 'active'],
    [{ expiresAt: now, revokedAt: null }, 'expired'],
    [{ expiresAt: now - 1, revokedAt: null }, 'expired'],
    [{ expiresAt: 0, revokedAt: null }, 'expired'],
    [{ expiresAt: null, revokedAt: now }, 'revoked'],
    [{ expiresAt: null, revokedAt: 0 }, 'revoked'],
    [{ expiresAt: now - 1, revokedAt: now }, 'revoked'],
    [{ expiresAt: null, revokedAt: now + 1 }, 'revoked'],
  ] as const)('%j: %s', (times, status) => {
    expect(keyStatus({ rotatedAt: null, ...times } as RuntimeKey, now)).toBe(status);
    expect(grantStatus(times as Grant, now)).toBe(status);
  });

  it('goes on in grace after a rotation, until its end or its revocation', () => {
    const key = { rotatedAt: now - 5, expiresAt: now + 1, revokedAt: null } as RuntimeKey;
    expect(keyStatus(key, now)).toBe('rotated_in_grace');
    expect(keyStatus(key, now + 1)).toBe('expired');
    expect(keyStatus({ ...key, revokedAt: now }, now)).toBe('revoked');
  });

  it('has scopes of six resources with three verbs each, and three that stand alone', () => {
    expect(runtimeScopes).toHaveLength(21);
    expect(new Set(runtimeScopes).size).toBe(21);
    expect(runtimeScopes).toEqual(
      expect.arrayContaining(['proxy:execute', 'keys:derive', 'delegations:create', 'grants:read']),
    );
  });
});
