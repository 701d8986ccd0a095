import type { ErrorCode, PolicyError } from './errors.ts';
import { type Grant, grantStatus } from './grant.ts';
import { matchesHost, parseHostPattern } from './host-pattern.ts';
import { formatAuthority, type Origin } from './origin.ts';
import type { RateDemand } from './rate.ts';
import { type Caller, keyStatus } from './runtime-key.ts';
import type { Secret } from './secret.ts';

export type { RateDemand } from './rate.ts';

/** What policy sees of a request. Nothing else of it may decide. */
export interface EgressRequest {
  readonly caller: Caller;
  readonly origin: Origin;
  readonly method: string;
  /** The path as sent, without the query. */
  readonly path: string;
  readonly clientAddress: string;
}

class GrantedPermit {
  /** A private member makes the type nominal: no object literal and no cast-free code outside this file is a Permit. */
  readonly #evaluated = true;
  readonly caller: Caller;
  readonly grant: Grant;
  readonly secret: Secret;
  readonly origin: Origin;
  readonly rates: readonly RateDemand[];

  constructor(of: { caller: Caller; grant: Grant; secret: Secret; origin: Origin; rates: readonly RateDemand[] }) {
    this.caller = of.caller;
    this.grant = of.grant;
    this.secret = of.secret;
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

/**
 * The one decision about a request that names a grant. Pure: the same arguments give the same answer, and `alter grants
 * explain` asks the same function. `grant` and `secret` are null where the app has none of that id.
 */
export function evaluate(
  request: EgressRequest,
  subject: { readonly grant: Grant | null; readonly secret: Secret | null },
  now: number,
): Decision {
  const { caller, origin } = request;
  const { grant, secret } = subject;
  const key = caller.key;

  const keyStale = evaluateKeyLife(caller, now);
  if (keyStale !== null) return keyStale;

  if (grant === null || grant.appId !== key.appId) return deny('grant_not_found', 'grant.exists');
  // Before its life is looked at: to an agent key, a system grant must look the same in every state as none at all.
  if (grant.principal.type === 'system' && key.keyType === 'agent') return deny('grant_not_found', 'grant.exists');
  const status = grantStatus(grant, now);
  if (status === 'revoked') return deny('grant_revoked', 'grant.live');
  if (status === 'expired') return deny('grant_expired', 'grant.live');
  if (secret === null || secret.appId !== key.appId || secret.id !== grant.secretId)
    return deny('grant_revoked', 'secret.live');

  switch (grant.principal.type) {
    case 'system':
      break;
    case 'user':
    case 'group':
    case 'agent':
      return deny('principal_mismatch', 'grant.principal');
  }

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
  if (!secret.allowedHosts.some((pattern) => allowsHost(pattern, origin))) {
    return deny(
      'host_not_allowed',
      'secret.allowed_hosts',
      `The secret ${secret.slug} may not be sent to ${formatAuthority(origin)}.`,
    );
  }

  return { kind: 'allow', permit: new GrantedPermit({ caller, grant, secret, origin, rates: keyRates(caller) }) };
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

export type UntaggedDecision =
  | { readonly kind: 'allow'; readonly passage: Passage }
  | Extract<Decision, { kind: 'deny' }>;

export type EgressMode = 'tunnel' | 'deny';

/** The one decision about traffic that names no grant: a blind tunnel, or a request without a credential. */
export function evaluateUntagged(
  request: Pick<EgressRequest, 'caller' | 'origin' | 'clientAddress'>,
  mode: EgressMode,
  now: number,
): UntaggedDecision {
  const refusal = evaluateKey(request.caller, request.clientAddress, now);
  if (refusal !== null) return refusal;
  if (mode !== 'tunnel') return deny('egress_denied', 'egress.mode');
  return {
    kind: 'allow',
    passage: new UntaggedPassage({ caller: request.caller, origin: request.origin, rates: keyRates(request.caller) }),
  };
}

function keyRates({ key }: Caller): readonly RateDemand[] {
  return key.rateLimitRpm === null ? [] : [{ bucket: `key:${key.id}`, requests: key.rateLimitRpm, perSeconds: 60 }];
}

/** What a key must fulfil before it may do anything at the proxy, with a grant or without. Null: nothing against it. */
export function evaluateKey(
  caller: Caller,
  clientAddress: string,
  now: number,
): Extract<Decision, { kind: 'deny' }> | null {
  const { key, addresses } = caller;
  const stale = evaluateKeyLife(caller, now);
  if (stale !== null) return stale;
  if (!key.scopes.includes('proxy:execute'))
    return deny('insufficient_scope', 'key.scopes', 'The key lacks the scope proxy:execute.');
  if (addresses !== null && !addresses.has(clientAddress)) {
    return {
      ...deny('policy_violation', 'key.cidr', 'The key may not be used from this address.'),
      policyError: 'ip_not_allowed',
    };
  }
  return null;
}

function evaluateKeyLife({ key }: Caller, now: number): Extract<Decision, { kind: 'deny' }> | null {
  const status = keyStatus(key, now);
  if (status === 'revoked') return deny('key_revoked', 'key.live');
  return status === 'expired' ? deny('key_expired', 'key.live') : null;
}

/** A stored pattern that can't be read allows nothing. */
function allowsHost(pattern: string, origin: Origin): boolean {
  try {
    return matchesHost(parseHostPattern(pattern), origin);
  } catch {
    return false;
  }
}

function deny(code: ErrorCode, rule: string, detail?: string): Extract<Decision, { kind: 'deny' }> {
  return { kind: 'deny', code, rule, ...(detail === undefined ? {} : { detail }) };
}
