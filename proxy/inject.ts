import type { Passage, Permit } from '../core/evaluate.ts';
import { type InjectionRule, renderInjection } from '../core/injection.ts';
import { formatHostHeader, type Origin } from '../core/origin.ts';
import type { SecretValue } from '../vault/secret-value.ts';
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
  /** Requests share upstream connections only where this is equal: one caller, one grant, one origin. */
  readonly poolKey: string;

  constructor(request: ParsedRequest, target: string, headers: readonly string[], poolKey: string) {
    this.origin = request.origin;
    this.method = request.method;
    this.target = target;
    this.headers = headers;
    this.body = request.body;
    this.poolKey = poolKey;
  }

  static is(value: object): value is SealedOutbound {
    return #complete in value && value.#complete;
  }
}

export const isOutbound = (value: object): value is Outbound => SealedOutbound.is(value);

/** Removes every client copy of each injected name, in every spelling, then adds exactly one value. */
export function inject(request: ParsedRequest, permit: Permit, value: SecretValue): Outbound {
  const { secret, caller } = permit;
  const primary: InjectionRule = { target: 'header', name: secret.injectionHeader, format: secret.injectionFormat };
  const rules = [primary, ...secret.injectionRules];
  const fields = value.reveal();

  const names = new Set<string>();
  for (const rule of rules) if (rule.target === 'header') names.add(dashed(rule.name));
  const headers = ['Host', formatHostHeader(request.origin)];
  for (let i = 0; i < request.headers.length; i += 2) {
    if (!names.has(dashed(request.headers[i]!))) headers.push(request.headers[i]!, request.headers[i + 1]!);
  }
  let target = request.target;
  for (const rule of rules) {
    const rendered = renderInjection(rule, fields);
    if (rule.target === 'header') headers.push(rule.name, rendered);
    else target = withQueryParameter(withoutQueryParameter(target, rule.name), rule.name, rendered);
  }
  return new SealedOutbound(
    request,
    target,
    headers,
    poolKey(caller.key.id, `${grantWords(permit)}@${secret.version}`, request.origin),
  );
}

/** A request that goes on as it came, without a credential of ours. */
export function pass(request: ParsedRequest, passage: Passage): Outbound {
  const headers = ['Host', formatHostHeader(request.origin), ...request.headers];
  return new SealedOutbound(request, request.target, headers, poolKey(passage.caller.key.id, '', request.origin));
}

/** Two users of one group use one grant, and are two principals all the same. */
function grantWords({ grant, delegation, user }: Permit): string {
  return JSON.stringify([grant.id, delegation?.id ?? null, user?.idpId ?? null, user?.externalId ?? null]);
}

function poolKey(keyId: string, grant: string, origin: Origin): string {
  return `${keyId} ${grant} ${origin.scheme}://${origin.host}:${origin.port}`;
}

/** Servers that map headers to variables read `X_Api_Key` and `X-Api-Key` as one. */
function dashed(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

/**
 * Takes a parameter out of a query as servers read it: percent-encoded, with `+`, in another case, as `name[]`, or set off
 * by `;`, which some still take for a separator. Everything else stays byte for byte.
 */
export function withoutQueryParameter(target: string, name: string): string {
  const question = target.indexOf('?');
  if (question === -1) return target;
  const wanted = name.toLowerCase();
  const kept = target
    .slice(question + 1)
    .split('&')
    .flatMap((part) => {
      const pieces = part.split(';');
      const left = pieces.filter((piece) => !namesParameter(piece, wanted));
      return left.length === 0 ? [] : [left.join(';')];
    });
  return kept.length === 0 ? target.slice(0, question) : `${target.slice(0, question)}?${kept.join('&')}`;
}

function namesParameter(piece: string, wanted: string): boolean {
  const equals = piece.indexOf('=');
  const raw = (equals === -1 ? piece : piece.slice(0, equals)).replaceAll('+', ' ');
  let decoded = raw.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const bracket = decoded.indexOf('[');
  if (bracket > 0) decoded = decoded.slice(0, bracket);
  return decoded.trim().toLowerCase() === wanted;
}

function withQueryParameter(target: string, name: string, value: string): string {
  return `${target}${target.includes('?') ? '&' : '?'}${encode(name)}=${encode(value)}`;
}

/** RFC 3986 unreserved characters stay, all others are encoded. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
