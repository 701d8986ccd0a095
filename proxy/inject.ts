import type { Passage, Permit } from '../core/evaluate.ts';
import { injectionRulesOf, renderInjection } from '../core/injection.ts';
import { formatHostHeader, type Origin } from '../core/origin.ts';
import type { Secret } from '../core/secret.ts';
import type { SecretValue } from '../vault/secret-value.ts';
import type { Payload, Signing } from './aws/signed-body.ts';
import { dashed, withoutQueryParameter } from './client-copies.ts';
import { HeaderLines } from './http/header-lines.ts';
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
  /** Host first. */
  readonly headers: HeaderLines;
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
  const { secret } = permit;
  if (secret.credentialType === 'aws_sig_v4') {
    // Of these fields nothing is sent but a session token.
    const fields = value.reveal();
    const pool = poolKeyOf(permit, request.origin);
    const sent = fields.session_token === undefined ? {} : { session_token: fields.session_token };
    return signAws(request, fields, signing).then(
      (signed) =>
        new SealedOutbound(
          request,
          { ...signed, headers: new HeaderLines(signed.headers) },
          pool,
          reflectionOf(sent, []),
        ),
    );
  }
  const injection = prepare(secret, value);
  const { headers, pool } = request.repeats ? makeOnce(request, permit, injection) : make(request, permit, injection);
  let target = request.target;
  for (const [name, rendered] of injection.parameters)
    target = withQueryParameter(withoutQueryParameter(target, name), name, rendered);
  const made = { target, headers, body: request.body, payload: 'as it comes' } as const;
  return new SealedOutbound(request, made, pool, injection.reflection);
}

/** What is made of the headers of a request, and everything that it was made of beside them. */
interface Made {
  readonly permit: Pick<Permit, 'caller' | 'grant' | 'delegation' | 'user'>;
  readonly origin: Origin;
  readonly headers: HeaderLines;
  readonly pool: string;
}

function make(request: ParsedRequest, permit: Permit, { names, headers: added }: Injection): Made {
  const { origin, headers } = request;
  const kept = ['Host', formatHostHeader(origin)];
  for (let i = 0; i < headers.length; i += 2) {
    if (!names.has(dashed(headers[i]!))) kept.push(headers[i]!, headers[i + 1]!);
  }
  for (const text of added) kept.push(text);
  return { permit, origin, headers: new HeaderLines(kept), pool: poolKeyOf(permit, origin) };
}

/** The same, for headers that came before. A record that changed is another object. */
function makeOnce(request: ParsedRequest, permit: Permit, injection: Injection): Made {
  const known = injection.made.get(request.headers);
  if (
    known !== undefined &&
    known.origin === request.origin &&
    known.permit.caller === permit.caller &&
    known.permit.grant === permit.grant &&
    known.permit.delegation === permit.delegation &&
    known.permit.user === permit.user
  )
    return known;
  const made = make(request, permit, injection);
  injection.made.set(request.headers, made);
  return made;
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
  /** By the headers that come again. Here, so that it does not outlive the opened value. */
  readonly made: WeakMap<readonly string[], Made>;
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
    made: new WeakMap(),
  };
  injections.set(value, prepared);
  return prepared;
}

/** A request that goes on as it came, without a credential of ours. */
export function pass(request: ParsedRequest, passage: Passage): Outbound {
  const headers = new HeaderLines(['Host', formatHostHeader(request.origin), ...request.headers]);
  return new SealedOutbound(
    request,
    { target: request.target, headers, body: request.body, payload: 'as it comes' },
    poolKey(passage.caller.key.id, '', request.origin),
    null,
  );
}

function poolKeyOf(permit: Permit, origin: Origin): string {
  return poolKey(permit.caller.key.id, `${grantWords(permit)}@${permit.secret.version}`, origin);
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
