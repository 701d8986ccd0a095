import { describe, expect, it } from '@jest/globals';
import { type DashboardScope, dashboardScopes, hasDashboardScope } from '../../core/access-token.ts';

describe('a dashboard scope', () => {
  it.each([
    ['dashboard_secrets:read', 'dashboard_secrets:read', true],
    ['dashboard_secrets:write', 'dashboard_secrets:read', true],
    ['dashboard_secrets:admin', 'dashboard_secrets:read', true],
    ['dashboard_secrets:admin', 'dashboard_secrets:write', true],
    ['dashboard_secrets:admin', 'dashboard_secrets:admin', true],
    ['dashboard_secrets:delete', 'dashboard_secrets:delete', true],
    ['dashboard_secrets:read', 'dashboard_secrets:write', false],
    ['dashboard_secrets:read', 'dashboard_secrets:admin', false],
    ['dashboard_secrets:write', 'dashboard_secrets:admin', false],
    ['dashboard_secrets:read', 'dashboard_secrets:delete', false],
    ['dashboard_secrets:write', 'dashboard_secrets:delete', false],
    ['dashboard_secrets:admin', 'dashboard_secrets:delete', false],
    ['dashboard_secrets:delete', 'dashboard_secrets:read', false],
    ['dashboard_secrets:delete', 'dashboard_secrets:write', false],
    ['dashboard_secrets:delete', 'dashboard_secrets:admin', false],
    ['dashboard_keys:admin', 'dashboard_secrets:read', false],
    ['dashboard_audit:read', 'dashboard_audit:read', true],
    ['dashboard_secrets:admin', 'dashboard_audit:read', false],
  ] as const)('%s gives %s: %s', (held, wanted, expected) => {
    expect(hasDashboardScope([held], wanted)).toBe(expected);
  });

  it('is held by nobody with an empty list, and by everybody with the full one', () => {
    for (const wanted of dashboardScopes) {
      expect(hasDashboardScope([], wanted)).toBe(false);
      expect(hasDashboardScope(dashboardScopes, wanted)).toBe(true);
    }
  });

  it('never reaches into another resource', () => {
    for (const held of dashboardScopes)
      for (const wanted of dashboardScopes)
        if (held.split(':')[0] !== wanted.split(':')[0]) expect(hasDashboardScope([held], wanted)).toBe(false);
  });

  it('is in the list once, and of those about the audit none administers or deletes it', () => {
    expect(new Set(dashboardScopes).size).toBe(dashboardScopes.length);
    expect(dashboardScopes.filter((scope: DashboardScope) => scope.startsWith('dashboard_audit'))).toEqual([
      'dashboard_audit:read',
      'dashboard_audit:write',
    ]);
  });
});
