import type { Passage, Permit } from '../core/evaluate.ts';
import { injectionRulesOf, renderInjection } from '../core/injection.ts';
import { formatHostHeader, type Origin } from '../core/origin.ts';
import type { Secret } from '../core/secret.ts';
import type { SecretValue } from '../vault/secret-value.ts';
import type { Payload, Signing } from './aws/signed-body.ts';
import { dashed, withoutQueryParameter } from './client-copies.ts';
import { type Reflection, reflectionOf } from './http/reflection.ts';
import { signAws } from './inject-sigv4.ts';
import type { ParsedRequest } from './request.ts';

/**
 * A request that is ready to leave: nothing changes it any more. Only {@link inject} and {@link pass} make it, from a
 * Permit or a Passage, and the forwarder takes nothing else.
 */
export type Outbound = SealedOutbound;

class SealedOutbound {
  readonly #complete = true;
  readonly origin: Origin;
  readonly method: string;
  readonly target: string;
  /** Flat; Host first. */
  readonly headers: readonly string[];
  readonly body: ParsedRequest['body'];
  readonly payload: Payload;
  /** What the answer must not bring back. */
  readonly reflection: Reflection | null;
  /** Requests share upstream connections only where this is equal: one caller, one grant, one origin. */
  readonly poolKey: string;

  constructor(
    request: ParsedRequest,
    made: Pick<SealedOutbound, 'target' | 'headers' | 'body' | 'payload'>,
    poolKey: string,
    reflection: Reflection | null,
  ) {
    this.origin = request.origin;
    this.method = request.method;
    this.target = made.target;
    this.headers = made.headers;
    this.body = made.body;
    this.payload = made.payload;
    this.poolKey = poolKey;
    this.reflection = reflection;
  }

  static is(value: object): value is SealedOutbound {
    return #complete in value && value.#complete;
  }
}

export const isOutbound = (value: object): value is Outbound => SealedOutbound.is(value);

/**
 * Removes every client copy of each injected name, in every spelling, then adds exactly one value. A promise only where the
 * request has to be signed, for which its body may have to be read first; see {@link signAws} for what that throws.
 */
export function inject(
  request: ParsedRequest,
  permit: Permit,
  value: SecretValue,
  signing: Signing,
): Outbound | Promise<Outbound> {
  const { secret, caller } = permit;
  const pool = poolKey(caller.key.id, `${grantWords(permit)}@${secret.version}`, request.origin);
  if (secret.credentialType === 'aws_sig_v4') {
    // Of these fields nothing is sent but a session token.
    const fields = value.reveal();
    const sent = fields.session_token === undefined ? {} : { session_token: fields.session_token };
    return signAws(request, fields, signing).then(
      (signed) => new SealedOutbound(request, signed, pool, reflectionOf(sent, [])),
    );
  }
  const { names, headers: added, parameters, reflection } = prepare(secret, value);
  const headers = ['Host', formatHostHeader(request.origin)];
  for (let i = 0; i < request.headers.length; i += 2) {
    if (!names.has(dashed(request.headers[i]!))) headers.push(request.headers[i]!, request.headers[i + 1]!);
  }
  for (const text of added) headers.push(text);
  let target = request.target;
  for (const [name, rendered] of parameters)
    target = withQueryParameter(withoutQueryParameter(target, name), name, rendered);
  return new SealedOutbound(request, { target, headers, body: request.body, payload: 'as it comes' }, pool, reflection);
}

/** What the rules of a secret make of its value: the same for every request. */
interface Injection {
  readonly secret: Secret;
  /** Of the headers, dashed. */
  readonly names: ReadonlySet<string>;
  /** Flat. */
  readonly headers: readonly string[];
  readonly parameters: readonly (readonly [name: string, rendered: string])[];
  readonly reflection: Reflection | null;
}

/** By the opened value, which is forgotten after some seconds, and this with it. */
const injections = new WeakMap<SecretValue, Injection>();

function prepare(secret: Secret, value: SecretValue): Injection {
  const known = injections.get(value);
  if (known?.secret === secret) return known;
  const { injectionHeader: header, injectionFormat: format } = secret;
  const rules = injectionRulesOf({ header, format, rules: secret.injectionRules });
  const fields = value.reveal();
  const ofHeaders = rules.filter((rule) => rule.target === 'header');
  const prepared: Injection = {
    secret,
    names: new Set(ofHeaders.map((rule) => dashed(rule.name))),
    headers: ofHeaders.flatMap((rule) => [rule.name, renderInjection(rule, fields)]),
    parameters: rules
      .filter((rule) => rule.target === 'query')
      .map((rule) => [rule.name, renderInjection(rule, fields)] as const),
    reflection: reflectionOf(fields, rules),
  };
  injections.set(value, prepared);
  return prepared;
}

/** A request that goes on as it came, without a credential of ours. */
export function pass(request: ParsedRequest, passage: Passage): Outbound {
  const headers = ['Host', formatHostHeader(request.origin), ...request.headers];
  return new SealedOutbound(
    request,
    { target: request.target, headers, body: request.body, payload: 'as it comes' },
    poolKey(passage.caller.key.id, '', request.origin),
    null,
  );
}

/** Two users of one group use one grant, and are two principals all the same. */
function grantWords({ grant, delegation, user }: Permit): string {
  if (delegation === null && user === null) return grant.id;
  return JSON.stringify([grant.id, delegation?.id ?? null, user?.idpId ?? null, user?.externalId ?? null]);
}

function poolKey(keyId: string, grant: string, origin: Origin): string {
  return `${keyId} ${grant} ${origin.scheme}://${origin.host}:${origin.port}`;
}

function withQueryParameter(target: string, name: string, value: string): string {
  return `${target}${target.includes('?') ? '&' : '?'}${encode(name)}=${encode(value)}`;
}

/** RFC 3986 unreserved characters stay, all others are encoded. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
