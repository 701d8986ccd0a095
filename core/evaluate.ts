import type { Delegation } from './delegation.ts';
import { refuseCaller, type Subject, type Unentitled } from './entitle.ts';
import type { ErrorCode, PolicyError } from './errors.ts';
import { type Grant, grantStatus } from './grant.ts';
import { someAllows } from './host-pattern.ts';
import { formatAuthority, type Origin } from './origin.ts';
import { type AppliedPolicy, evaluatePolicies, type PolicyRefusal, refuseTunnelByPolicy } from './policy.ts';
import { appliedPolicies } from './policy-document.ts';
import type { RateDemand } from './rate.ts';
import type { Restatement } from './restatement.ts';
import { type Caller, keyStatus } from './runtime-key.ts';
import type { Secret } from './secret.ts';
import type { UserProof, VerifiedUser } from './user.ts';

export type { RateDemand } from './rate.ts';

/** What policy sees of a request. Nothing else of it may decide. */
export interface EgressRequest {
  readonly caller: Caller;
  readonly origin: Origin;
  readonly method: string;
  /** The path as sent, without the query. */
  readonly path: string;
  /** X-Alter-Reason; null where the request has none. */
  readonly reason: string | null;
  /** What else it asks to be taken for: see {@link Restatement}. */
  readonly restated: Restatement;
  readonly clientAddress: string;
  /** What X-Alter-User-Token shows; null where the request has none. */
  readonly user: UserProof | null;
}

class GrantedPermit {
  /** A private member makes the type nominal: no object literal and no cast-free code outside this file is a Permit. */
  readonly #evaluated = true;
  readonly caller: Caller;
  readonly grant: Grant;
  readonly secret: Secret;
  /** The delegation by which an agent uses the grant, or null. */
  readonly delegation: Delegation | null;
  /** Whom the request's token proved, or null. */
  readonly user: VerifiedUser | null;
  readonly origin: Origin;
  readonly rates: readonly RateDemand[];

  constructor(of: Pick<GrantedPermit, 'caller' | 'grant' | 'secret' | 'delegation' | 'user' | 'origin' | 'rates'>) {
    this.caller = of.caller;
    this.grant = of.grant;
    this.secret = of.secret;
    this.delegation = of.delegation;
    this.user = of.user;
    this.origin = of.origin;
    this.rates = of.rates;
  }

  static is(value: object): value is GrantedPermit {
    return #evaluated in value && value.#evaluated;
  }
}

/** Leave to send one secret to one origin for one caller. Only {@link evaluate} makes it; injecting and forwarding demand it. */
export type Permit = GrantedPermit;
export const isPermit = (value: object): value is Permit => GrantedPermit.is(value);

export type Decision =
  | { readonly kind: 'allow'; readonly permit: Permit }
  | {
      readonly kind: 'deny';
      readonly code: ErrorCode;
      readonly policyError?: PolicyError;
      readonly rule: string;
      readonly detail?: string;
    };

/** What policy sees of a CONNECT that names a grant: what is to go through the tunnel is not known yet. */
export type TunnelRequest = Omit<EgressRequest, 'method' | 'path' | 'reason' | 'restated'>;

type Denial = Extract<Decision, { kind: 'deny' }>;

/**
 * The one decision about a request that names a grant or a delegation. Pure: the same arguments give the same answer, and
 * `alter grants explain` asks the same function. What `subject` has not, the app has none of.
 */
export function evaluate(request: EgressRequest, subject: Subject, now: number): Decision {
  const judged = judge(request, subject, now);
  if (judged.kind === 'deny') return judged;
  const { caller, origin, user } = request;
  const { grant, secret, policies } = judged;
  const verdict = evaluatePolicies(policies, request, now);
  if (verdict.kind === 'refuse') return denyByPolicy(verdict);
  return {
    kind: 'allow',
    permit: new GrantedPermit({
      caller,
      grant,
      secret,
      delegation: subject.delegation?.delegation ?? null,
      user: user?.kind === 'verified' ? user.user : null,
      origin,
      // All together, or none: a request that is too fast does not use up the token that it shows.
      rates: joinRates(keyRates(caller), verdict.rates, tokenUse(user)),
    }),
  };
}

/**
 * Whether a tunnel may be opened for a grant, by what is known before anything went through it; null: it may. Gives no
 * Permit, since every request inside is decided about by itself.
 */
export function refuseTunnel(request: TunnelRequest, subject: Subject, now: number): Denial | null {
  const judged = judge(request, subject, now);
  if (judged.kind === 'deny') return judged;
  const refusal = refuseTunnelByPolicy(judged.policies, request, now);
  return refusal === null ? null : denyByPolicy(refusal);
}

interface Judged {
  readonly kind: 'entitled';
  readonly grant: Grant;
  readonly secret: Secret;
  /** Those that are still to be asked; all of them have to pass. */
  readonly policies: readonly AppliedPolicy[];
}

/** Everything but the policies: the key, the grant, whose it is, and the host. */
function judge(request: TunnelRequest, subject: Subject, now: number): Denial | Judged {
  const { caller, origin, user } = request;
  const { app, grant, secret, delegation = null } = subject;
  const key = caller.key;

  const keyStale = evaluateKeyLife(caller, now);
  if (keyStale !== null) return keyStale;

  // Whatever the grant is: a token that is shown and does not hold is no token to be quiet about.
  if (user?.kind === 'refused') return deny('user_token_invalid', 'user.token', user.detail);
  if (delegation !== null && delegation.delegation.appId !== key.appId) return deny('grant_not_found', 'grant.exists');
  if (grant === null || grant.appId !== key.appId) {
    return delegation === null ? deny('grant_not_found', 'grant.exists') : deny('grant_revoked', 'delegation.source');
  }
  if (app === null || app.id !== key.appId) return deny('grant_not_found', 'app.exists');
  if (app.archivedAt !== null) return deny('app_archived', 'app.live');
  const unentitled = refuseCaller({ grant, secret, delegation }, { caller, user }, now);
  // Before its life is looked at: to an agent key, a system grant must look the same in every state as none at all.
  if (unentitled?.code === 'grant_not_found' || (unentitled !== null && delegation !== null)) return denyAs(unentitled);
  const status = grantStatus(grant, now);
  if (status === 'revoked') return deny('grant_revoked', 'grant.live');
  if (status === 'expired') return deny('grant_expired', 'grant.live');
  if (secret === null || secret.appId !== key.appId || secret.id !== grant.secretId)
    return deny('grant_revoked', 'secret.live');
  if (unentitled !== null) return denyAs(unentitled);

  const keyRefusal = evaluateKey(caller, request.clientAddress, now);
  if (keyRefusal !== null) return keyRefusal;

  // Before the host: the hosts of a secret are on port 443, so that every http:// target would be `host_not_allowed`.
  if (origin.scheme !== 'https') return deny('plaintext_forbidden', 'secret.plaintext');
  if (secret.allowedHosts.length === 0) {
    return deny(
      'host_not_allowed',
      'secret.allowed_hosts',
      `The secret ${secret.slug} has no allowed hosts, so it goes nowhere.`,
    );
  }
  if (!someAllows(secret.allowedHosts, origin)) {
    return deny(
      'host_not_allowed',
      'secret.allowed_hosts',
      `The secret ${secret.slug} may not be sent to ${formatAuthority(origin)}.`,
    );
  }

  const policies = appliedPolicies({ app, secret, agent: caller.agent, grant });
  return { kind: 'entitled', grant, secret, policies };
}

function denyByPolicy({ code, policyError, rule, detail }: PolicyRefusal): Denial {
  return { ...deny(code, rule, detail), ...(policyError === null ? {} : { policyError }) };
}

class UntaggedPassage {
  readonly #evaluated = true;
  readonly caller: Caller;
  readonly origin: Origin;
  readonly rates: readonly RateDemand[];

  constructor(of: { caller: Caller; origin: Origin; rates: readonly RateDemand[] }) {
    this.caller = of.caller;
    this.origin = of.origin;
    this.rates = of.rates;
  }

  static is(value: object): value is UntaggedPassage {
    return #evaluated in value && value.#evaluated;
  }
}

/** Leave to send traffic on that names no grant, never with a credential. Only {@link evaluateUntagged} makes it. */
export type Passage = UntaggedPassage;

export type UntaggedDecision = { readonly kind: 'allow'; readonly passage: Passage } | Denial;

export type EgressMode = 'tunnel' | 'deny';

/** The one decision about traffic that names no grant: a blind tunnel, or a request without a credential. */
export function evaluateUntagged(
  request: Pick<EgressRequest, 'caller' | 'origin' | 'clientAddress'>,
  mode: EgressMode | 'archived',
  now: number,
): UntaggedDecision {
  const refusal = evaluateKey(request.caller, request.clientAddress, now);
  if (refusal !== null) return refusal;
  if (mode === 'archived') return deny('app_archived', 'app.live');
  if (mode !== 'tunnel') return deny('egress_denied', 'egress.mode');
  return {
    kind: 'allow',
    passage: new UntaggedPassage({ caller: request.caller, origin: request.origin, rates: keyRates(request.caller) }),
  };
}

/** Nearly every request takes none. */
const noRates: readonly RateDemand[] = [];

function joinRates(
  ofKey: readonly RateDemand[],
  ofPolicies: readonly RateDemand[],
  ofToken: readonly RateDemand[],
): readonly RateDemand[] {
  if (ofKey.length + ofPolicies.length + ofToken.length === 0) return noRates;
  return [...ofKey, ...ofPolicies, ...ofToken];
}

/** Whatever the grant is to: a token that is shown beside it is used. */
function tokenUse(user: EgressRequest['user']): readonly RateDemand[] {
  return user?.kind === 'verified' && user.user.use !== undefined ? [user.user.use] : noRates;
}

/** A derived key also uses up what its parent has. */
function keyRates({ key, parent }: Caller): readonly RateDemand[] {
  const own =
    key.rateLimitRpm === null ? noRates : [{ bucket: `key:${key.id}`, requests: key.rateLimitRpm, perSeconds: 60 }];
  return parent === null ? own : [...own, ...keyRates(parent)];
}

/** What a key must fulfil before it may do anything at the proxy, with a grant or without. Null: nothing against it. */
export function evaluateKey(caller: Caller, clientAddress: string, now: number): Denial | null {
  const stale = evaluateKeyLife(caller, now);
  if (stale !== null) return stale;
  if (!caller.key.scopes.includes('proxy:execute'))
    return deny('insufficient_scope', 'key.scopes', 'The key lacks the scope proxy:execute.');
  const elsewhere = evaluateKeyAddress(caller, clientAddress);
  if (elsewhere !== null) return elsewhere;
  return caller.parent === null ? null : evaluateKey(caller.parent, clientAddress, now);
}

/** A derived key is bound to the addresses of its parent as well. */
export function evaluateKeyAddress({ addresses, parent }: Caller, clientAddress: string): Denial | null {
  if (addresses === null || addresses.has(clientAddress))
    return parent === null ? null : evaluateKeyAddress(parent, clientAddress);
  return {
    ...deny('policy_violation', 'key.cidr', 'The key may not be used from this address.'),
    policyError: 'ip_not_allowed',
  };
}

/** A derived key dies with its parent, and an agent's key with the agent. */
export function evaluateKeyLife({ key, agent, parent }: Caller, now: number): Denial | null {
  const status = keyStatus(key, now);
  if (status === 'revoked') return deny('key_revoked', 'key.live');
  if (status === 'expired') return deny('key_expired', 'key.live');
  switch (key.keyType) {
    case 'runtime':
      return null;
    case 'agent':
      if (agent !== null && agent.id === key.agentId && agent.appId === key.appId && agent.status !== 'revoked')
        return null;
      return deny('key_revoked', 'agent.live', 'The agent of this key was revoked.');
    case 'derived':
      // Only a runtime key has children: what an agent's key could hand on would see the grants of the system.
      if (parent === null || parent.key.id !== key.parentId || parent.key.appId !== key.appId)
        return deny('key_revoked', 'key.parent', 'The key that this one was derived from is gone.');
      if (parent.key.keyType !== 'runtime') return deny('key_revoked', 'key.parent');
      return evaluateKeyLife(parent, now);
  }
}

function denyAs(of: Unentitled): Denial {
  return deny(of.code, of.rule, of.detail);
}

function deny(code: ErrorCode, rule: string, detail?: string): Denial {
  return { kind: 'deny', code, rule, ...(detail === undefined ? {} : { detail }) };
}
