import { type AppliedPolicy, type Policy, type PolicyLevel, parsePolicy, policyFields } from './policy.ts';

/** A policy as it was written: what is stored and shown. It was found valid by the release that stored it. */
export type PolicyDocument = Readonly<Record<string, unknown>>;

/** What carries a policy; null where nothing is restricted. */
export interface Restricted {
  readonly id: string;
  readonly policy: PolicyDocument | null;
}

/**
 * A document as it is to be stored: its rules in one order, without those that are null; null where there is no rule.
 * Throws `validation_failed` with every problem.
 */
export function parsePolicyDocument(
  document: unknown,
  of: { readonly level: PolicyLevel; readonly field: string },
): PolicyDocument | null {
  parsePolicy(document, of);
  const rules = policyFields.flatMap((name) => {
    const value = (document as PolicyDocument)[name];
    return value === undefined || value === null ? [] : [[name, value] as const];
  });
  return rules.length === 0 ? null : Object.fromEntries(rules);
}

/** Those of the objects that have a policy, as `evaluatePolicies` takes them. */
export function appliedPolicies(at: Readonly<Record<PolicyLevel, Restricted | null>>): AppliedPolicy[] {
  const applied: AppliedPolicy[] = [];
  for (const level of levels) {
    const object = at[level];
    if (object !== null && object.policy !== null) applied.push(findApplied(object.id, object.policy, level));
  }
  return applied;
}

const levels: readonly PolicyLevel[] = ['app', 'secret', 'agent', 'grant'];

/**
 * Parsed policies by the document that they were read from, so by the record in memory: they go when it goes. Reading one
 * costs up to 100 times as much as asking it.
 */
const applieds = new WeakMap<PolicyDocument, AppliedPolicy>();

/** Its policy is null where this release can't read the document: a rule that it does not know could be the one that refuses. */
function findApplied(id: string, document: PolicyDocument, level: PolicyLevel): AppliedPolicy {
  const known = applieds.get(document);
  if (known !== undefined && known.level === level && known.id === id) return known;
  const applied = { level, id, policy: findPolicy(document, level) };
  applieds.set(document, applied);
  return applied;
}

/** Null as in {@link findApplied}. */
export function findPolicy(document: PolicyDocument, level: PolicyLevel): Policy | null {
  try {
    return parsePolicy(document, { level, field: 'policy' });
  } catch {
    return null;
  }
}
