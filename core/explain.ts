import type { Agent } from './agent.ts';
import type { Subject } from './entitle.ts';
import { errorTable, type PolicyError } from './errors.ts';
import { type Decision, type EgressRequest, evaluate } from './evaluate.ts';
import type { Grant } from './grant.ts';
import { formatAuthority } from './origin.ts';
import type { PolicyLevel } from './policy.ts';
import type { Caller, RuntimeKey } from './runtime-key.ts';
import type { VerifiedUser } from './user.ts';

/** What would become of a request that a grant is named for. */
export interface Explanation {
  readonly decision: 'allow' | 'deny';
  readonly code: string | null;
  readonly policyError: PolicyError | null;
  /** The rule that decides, such as `grant.policy.time_window`; null where nothing is against it. */
  readonly rule: string | null;
  /** What the rule stands on: `app`, `secret`, `agent`, `grant`, `key`, … */
  readonly level: string | null;
  readonly detail: string;
  readonly hint: string | null;
  readonly rates: readonly { readonly level: string; readonly requests: number; readonly perSeconds: number }[];
}

/** Who asks is not known: it is somebody whom the grant is for, with a key that is good for it. */
export type ExplainedRequest = Omit<EgressRequest, 'caller' | 'user'>;

/**
 * Asks {@link evaluate} as a request would, and says in words what it answered and what could be done about it. `agent` is
 * the one that the grant or the delegation is for, or null. Nothing is sent, and nothing is taken from a rate.
 */
export function explain(
  request: ExplainedRequest,
  subject: Subject & { readonly grant: Grant },
  of: { readonly agent: Agent | null; readonly now: number },
): Explanation {
  const { grant } = subject;
  const byAgent = (subject.delegation ?? null) !== null || grant.principal.type === 'agent';
  const caller = imagineCaller(grant.appId, byAgent ? of.agent : null, of.now);
  const user = byAgent ? null : imagineUser(grant);
  const decision = evaluate(
    { ...request, caller, user: user === null ? null : { kind: 'verified', user } },
    subject,
    of.now,
  );
  if (decision.kind === 'allow') {
    return {
      decision: 'allow',
      code: null,
      policyError: null,
      rule: null,
      level: null,
      detail: 'The request would be sent, with the credential.',
      hint: null,
      rates: decision.permit.rates.map(({ bucket, requests, perSeconds }) => ({
        level: bucket.split(':')[1] ?? bucket,
        requests,
        perSeconds,
      })),
    };
  }
  const { code, rule } = decision;
  return {
    decision: 'deny',
    code,
    policyError: decision.policyError ?? null,
    rule,
    level: rule.split('.', 1)[0]!,
    detail: decision.detail ?? errorTable[code].detail,
    hint: findWayOut(decision, request, { ...subject, agent: of.agent }),
    rates: [],
  };
}

function imagineCaller(appId: string, agent: Agent | null, now: number): Caller {
  const key: RuntimeKey = {
    id: '',
    appId,
    keyType: agent === null ? 'runtime' : 'agent',
    agentId: agent?.id ?? null,
    parentId: null,
    rotatedFrom: null,
    rotatedAt: null,
    name: '',
    scopes: ['proxy:execute'],
    cidr: [],
    rateLimitRpm: null,
    expiresAt: null,
    digest: '',
    createdAt: now,
    revokedAt: null,
  };
  return { key, addresses: null, agent, parent: null };
}

/** Whom a verified token would show; null where the grant asks for none. */
function imagineUser({ principal }: Grant): VerifiedUser | null {
  const nobody = { userId: null, idpId: '', externalId: '', email: null, name: null, groups: [], issuedAt: 0 };
  switch (principal.type) {
    case 'user':
      return { ...nobody, userId: principal.appUserId };
    case 'group':
      return { ...nobody, idpId: principal.idpId, groups: [principal.externalGroupId] };
    case 'system':
    case 'agent':
      return null;
  }
}

/** What an operator can do about a refusal, with the names that belong into the command. */
function findWayOut(
  { code, rule, policyError }: Extract<Decision, { kind: 'deny' }>,
  request: ExplainedRequest,
  { grant, secret, agent }: Subject & { readonly grant: Grant; readonly agent: Agent | null },
): string {
  const [level, kind] = rule.split('.') as [string, string];
  if (kind === 'policy') {
    const names = { app: '', secret: secret?.slug ?? grant.secretId, agent: agent?.name ?? '', grant: grant.id };
    const name = names[level as PolicyLevel];
    const target = name === '' ? '' : ` --${level} ${name}`;
    return `${adviceOf(policyError ?? null, request)} The rule stands in the policy of the ${level}: \`alter policy show${target}\`, \`alter policy set${target}\`.`;
  }
  switch (rule) {
    case 'grant.live':
      return code === 'grant_expired'
        ? `Give it a new end: \`alter managed-secrets grants update ${grant.id} --expires-at …\`.`
        : `Create a new one: \`alter managed-secrets grants create ${secret?.slug ?? '<secret>'}\`.`;
    case 'secret.allowed_hosts': {
      const hosts = [...(secret?.allowedHosts ?? []), formatAuthority(request.origin)];
      return `If the host is meant to receive it: \`alter managed-secrets set-allowed-hosts ${secret?.slug ?? '<secret>'} --host ${hosts.join(',')}\`.`;
    }
    default:
      return errorTable[code].hint;
  }
}

function adviceOf(policyError: PolicyError | null, request: ExplainedRequest): string {
  switch (policyError) {
    case 'time_outside_window':
    case 'time_wrong_weekday':
      return 'Send it at a time that the rule allows; `--at` asks about another one.';
    case 'ip_not_allowed':
      return request.clientAddress === ''
        ? 'The rule looks at the address of the client: name it with `--client-ip`.'
        : 'Send it from an address of the list, or add this one.';
    case 'method_not_allowed':
      return 'Use a method of the list, in capital letters, or add this one.';
    case 'path_not_allowed':
      return 'Use a path that the list covers, in its plain spelling, or add one.';
    case 'reason_required':
      return 'Say why in the header X-Alter-Reason (here: `--reason`).';
    case 'policy_unreadable':
      return 'Another release has written it: write it again with this one, or update this one.';
    case 'rate_limited':
    case null:
      return 'Write a policy that lasts longer.';
  }
}
