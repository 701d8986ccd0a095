import { type AccessToken, hasDashboardScope } from '../core/access-token.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import type { Grant } from '../core/grant.ts';
import { grantExpiry, type PolicyLevel } from '../core/policy.ts';
import { findPolicy, type PolicyDocument, parsePolicyDocument } from '../core/policy-document.ts';
import { checkEnd, endOf } from './parse-time.ts';

/** A document as it comes in, and every problem of it. Absent, null or without a rule: no policy. */
export function takePolicy(
  document: unknown,
  of: { readonly level: PolicyLevel; readonly field: string },
): { readonly policy: PolicyDocument | null; readonly problems: readonly Problem[] } {
  if (document === undefined || document === null) return { policy: null, problems: [] };
  return collect(() => ({ policy: parsePolicyDocument(document, of) }), { policy: null });
}

/** Policies have a scope of their own, also where they come with something else. Throws `insufficient_scope`. */
export function requirePolicyScope(token: AccessToken, document: unknown): void {
  if (document === undefined || hasDashboardScope(token.scopes, 'dashboard_policy:write')) return;
  throw new AlterError('insufficient_scope', {
    detail: 'The token lacks the scope dashboard_policy:write, which a change of a policy needs.',
  });
}

interface Terms {
  readonly policy: PolicyDocument | null;
  readonly expiresAt: number | null;
}

/**
 * The policy of a grant and its end, each as asked or else as they stand, and every problem. `default_ttl_seconds` and
 * `max_ttl_seconds` count from this moment. An end that was set before a shorter policy came is moved forward to it.
 */
export function takeGrantTerms(
  body: { readonly grant_policy?: unknown; readonly expires_at?: string | null | undefined },
  current: Grant | null,
  of: { readonly field: 'grant_policy' | ''; readonly now: number },
): Terms & { readonly problems: readonly Problem[] } {
  const { now } = of;
  const changesPolicy = body.grant_policy !== undefined;
  const standing = { policy: current?.policy ?? null, expiresAt: current?.expiresAt ?? null };
  if (!changesPolicy && body.expires_at === undefined && current !== null) return { ...standing, problems: [] };

  const taken = takePolicy(body.grant_policy, { level: 'grant', field: of.field });
  const wanted = endOf(body.expires_at);
  const problems = [...taken.problems, ...checkEnd(wanted, { field: 'expires_at', now })];
  if (problems.length > 0) return { ...standing, problems };

  const policy = changesPolicy ? taken.policy : standing.policy;
  const rules = policy === null ? null : findPolicy(policy, 'grant');
  if (rules === null)
    return { policy, expiresAt: body.expires_at === undefined ? standing.expiresAt : wanted, problems };
  if (body.expires_at === undefined && standing.expiresAt !== null) {
    const latest = grantExpiry({ ...rules, defaultTtlSeconds: null }, { wanted: null, now });
    return { policy, expiresAt: Math.min(standing.expiresAt, latest ?? standing.expiresAt), problems };
  }
  return collect<Terms>(() => ({ policy, expiresAt: grantExpiry(rules, { wanted, now }) }), standing);
}

function collect<T extends object>(take: () => T, otherwise: T): T & { readonly problems: readonly Problem[] } {
  try {
    return { ...take(), problems: [] };
  } catch (error) {
    if (!(error instanceof AlterError) || error.problems === undefined) throw error;
    return { ...otherwise, problems: error.problems };
  }
}
