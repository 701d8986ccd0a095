import { createHash } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import type { IdentityProvider, TokenAlgorithm } from '../../core/identity-provider.ts';
import type { RateDemand } from '../../core/rate.ts';
import { maxExternalIdLength, maxGroupsOfUser, type UserProof, type VerifiedUser } from '../../core/user.ts';
import { Lru } from '../../vault/lru.ts';
import type { ReadModel } from '../../vault/read-model.ts';
import type { KeySets, SigningKey } from './key-sets.ts';
import { findStrictJson } from './strict-json.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** What a token was found to say. Whether it still counts is asked again each time it is shown. */
interface Verified {
  readonly provider: IdentityProvider;
  readonly kid: string | null;
  readonly algorithm: TokenAlgorithm;
  readonly key: SigningKey;
  readonly user: Omit<VerifiedUser, 'userId'>;
  readonly notBefore: number;
  readonly expiresAt: number;
}

/** Told of every token that was shown and holds. Must not throw, nor wait. */
export type OnVerified = (appId: string, user: VerifiedUser) => void;

const maxTokenLength = 8_192;
const leewayMs = 60_000;
const maxAudiences = 50;
const maxTextLength = 1_024;
/** So long the store remembers an id at the least. */
const maxSingleUseLifeMs = 86_400_000;
/** Parameters that bring a key along, point to one, or change what the signature is over: RFC 7515 section 4.1, RFC 7797. */
const refusedParameters = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'enc', 'zip', 'epk'];
/** `logout+jwt`, `dpop+jwt` and their like are signed by the same keys and are no proof of a user: RFC 8725 section 3.11. */
const acceptedTypes = new Set(['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt']);

/** Proves end users by the tokens of the app's identity providers. */
export class UserVerifier {
  readonly #model: ReadModel;
  readonly #keySets: KeySets;
  readonly #onVerified: OnVerified;
  /** By app and SHA-256 of the token. */
  readonly #verified: Lru<Verified>;

  constructor(of: {
    readonly model: ReadModel;
    readonly keySets: KeySets;
    readonly onVerified?: OnVerified;
    readonly maxTokens?: number;
  }) {
    this.#model = of.model;
    this.#keySets = of.keySets;
    this.#onVerified = of.onVerified ?? (() => {});
    this.#verified = new Lru(of.maxTokens ?? 10_000);
  }

  /** Null for no token. Rejects only where the state cannot be read: what is wrong with a token is in the proof. */
  async prove(token: string | null, appId: string, now: number): Promise<UserProof | null> {
    if (token === null) return null;
    try {
      return { kind: 'verified', user: await this.verify(token, appId, now) };
    } catch (error) {
      if (error instanceof AlterError && error.code === 'user_token_invalid')
        return { kind: 'refused', detail: error.detail };
      throw error;
    }
  }

  /** Throws `user_token_invalid`, with a detail that says what is wrong and quotes nothing of the token. */
  async verify(token: string, appId: string, now: number): Promise<VerifiedUser> {
    if (token.length > maxTokenLength) throw invalid(`The token is longer than ${maxTokenLength} characters.`);
    const providers = await this.#model.findIdentityProviders(appId);
    const cacheKey = `${appId} ${createHash('sha256').update(token).digest('base64url')}`;
    const known = this.#verified.get(cacheKey);
    const verified =
      known !== undefined && providers.includes(known.provider) && (await this.#stillHasKey(known, now))
        ? known
        : await this.#verifyNew(token, providers, now);
    requireCurrent(verified, now);
    if (verified !== known) this.#verified.set(cacheKey, verified);
    const { user } = verified;
    const userId = await this.#model.findUserId(appId, user);
    const stored = userId === null ? null : await this.#model.findUser(appId, userId);
    const proved = { ...user, userId, addedGroups: stored?.addedGroups ?? [] };
    this.#onVerified(appId, proved);
    return proved;
  }

  /** A key that the provider took back, or replaced, takes its tokens with it. */
  async #stillHasKey(known: Verified, now: number): Promise<boolean> {
    return (await this.#keySets.find(known.provider.jwksUrl, known, now))?.text === known.key.text;
  }

  async #verifyNew(token: string, providers: readonly IdentityProvider[], now: number): Promise<Verified> {
    const { header, claims } = readToken(token);
    const provider = providers.find(({ issuer }) => issuer === claims.iss);
    if (provider === undefined) throw invalid('Its issuer (iss) is not an identity provider of this app.');
    const algorithm = provider.algorithms.find((name) => name === header.alg);
    if (algorithm === undefined) throw invalid('Its algorithm (alg) is not one that this provider signs with.');
    const kid = readKid(header.kid);
    // Before the signature: a token that is out of date or for somebody else is not worth a fetch of keys.
    const said = readClaims(claims, provider);
    requireCurrent(said, now);
    const key = await this.#keySets.find(provider.jwksUrl, { kid, algorithm }, now);
    if (key === null) throw invalid('The identity provider has no such key (kid) for this algorithm.');
    await requireSignature(token, key, algorithm);
    return { provider, kid, algorithm, key, ...said };
  }
}

/** The form of a token, before anything in it is believed. Throws `user_token_invalid`, as those below. */
export function readToken(token: string): { readonly header: Claims; readonly claims: Claims } {
  const parts = token.split('.');
  if (parts.length === 5) throw invalid('It is encrypted (JWE); a signed token is needed.');
  if (parts.length !== 3) throw invalid('It does not have the three parts of a signed JWT.');
  const [header, claims, signature] = parts.map(findBase64url);
  if (!header || !claims || !signature) throw invalid('One of its parts is empty, or not base64url.');
  const parsed = { header: findStrictJson(header), claims: findStrictJson(claims) };
  if (parsed.header === null || parsed.claims === null)
    throw invalid('Its header or its claims are not a JSON object with each member once.');
  for (const name of refusedParameters)
    if (Object.hasOwn(parsed.header, name)) throw invalid(`Its header has the parameter ${name}, which is refused.`);
  const { typ } = parsed.header;
  if (typ !== undefined && !(typeof typ === 'string' && acceptedTypes.has(typ.toLowerCase())))
    throw invalid('Its type (typ) is not JWT.');
  return parsed as { header: Claims; claims: Claims };
}

/** Null for what another encoder would have written differently, and for nothing. */
function findBase64url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return text !== '' && bytes.toString('base64url') === text ? bytes : null;
}

export function readKid(kid: unknown): string | null {
  if (kid === undefined) return null;
  if (typeof kid !== 'string' || kid.length > maxTextLength) throw invalid('Its key id (kid) is not a text.');
  return kid;
}

type Said = Pick<Verified, 'user' | 'notBefore' | 'expiresAt'>;

function readClaims(claims: Claims, provider: IdentityProvider): Said {
  if (!isFor(claims.aud, provider.audience)) throw invalid('Its audience (aud) is not the one of this provider.');
  if (claims.exp === undefined) throw invalid('It has no end (exp).');
  const expiresAt = readTime(claims.exp, 'exp');
  const notBefore = claims.nbf === undefined ? 0 : readTime(claims.nbf, 'nbf');
  const issuedAt = claims.iat === undefined ? 0 : readTime(claims.iat, 'iat');
  if (typeof claims.sub !== 'string' || claims.sub === '') throw invalid('It has no subject (sub).');
  const names = provider.claims;
  const externalId = find(claims, names.user);
  if (typeof externalId !== 'string' || externalId === '' || externalId.length > maxExternalIdLength)
    throw invalid('The claim that names the user is missing, or not a short text.');
  return {
    user: {
      idpId: provider.id,
      externalId,
      email: findText(find(claims, names.email)),
      name: findText(find(claims, names.name)),
      groups: readGroups(find(claims, names.groups)),
      issuedAt,
      ...(provider.singleUse ? { use: readUse(claims, { provider, issuedAt, expiresAt }) } : {}),
    },
    notBefore: Math.max(notBefore, issuedAt), // one from the future was made by a clock that nobody can rely on
    expiresAt,
  };
}

/**
 * A token that is good for one request is counted by the store, in the step that records the decision: once in a window that
 * holds its whole life, so that no window begins anew while it lasts. Windows are counted from the epoch; of powers of two
 * the smallest that fits is at most a few times the token's life, unless that spans a round moment.
 */
function readUse(
  claims: Claims,
  of: { readonly provider: IdentityProvider; readonly issuedAt: number; readonly expiresAt: number },
): RateDemand {
  const { jti } = claims;
  if (typeof jti !== 'string' || jti === '' || jti.length > maxTextLength)
    throw invalid('It has no id (jti), which the tokens of this provider need because each is good for one request.');
  if (claims.iat === undefined)
    throw invalid(
      'It has no time of issue (iat), which this provider needs because each token is good for one request.',
    );
  if (of.expiresAt - of.issuedAt > maxSingleUseLifeMs)
    throw invalid('It lives for longer than a day, which is too long for a token that is good for one request.');
  // The store's clock counts; it may differ from ours by as much as the issuer's may.
  const from = Math.max(0, Math.floor((of.issuedAt - 2 * leewayMs) / 1_000));
  const until = Math.ceil((of.expiresAt + 2 * leewayMs) / 1_000);
  let perSeconds = 1;
  while (Math.floor(from / perSeconds) !== Math.floor(until / perSeconds)) perSeconds *= 2;
  const digest = createHash('sha256').update(jti).digest('base64url');
  return { bucket: `token:${of.provider.id}:${digest}`, requests: 1, perSeconds, ofToken: true };
}

function requireCurrent({ notBefore, expiresAt }: Said, now: number): void {
  if (now >= expiresAt + leewayMs) throw invalid('It has expired (exp).');
  if (now < notBefore - leewayMs) throw invalid('It is not valid yet (nbf, iat).');
}

function isFor(aud: unknown, audience: string): boolean {
  if (typeof aud === 'string') return aud === audience;
  if (!Array.isArray(aud) || aud.length > maxAudiences) return false;
  return aud.every((one) => typeof one === 'string') && aud.includes(audience);
}

/** Seconds since the epoch, perhaps with a fraction (RFC 7519 section 2), as milliseconds. `1e309` reads as infinite. */
export function readTime(value: unknown, claim: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0 || value > Number.MAX_SAFE_INTEGER / 1_000)
    throw invalid(`Its ${claim} is not a time in seconds.`);
  return Math.floor(value * 1_000);
}

function find(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

function findText(value: unknown): string | null {
  return typeof value === 'string' && value.length <= maxTextLength ? value : null;
}

/** A list of texts, or one text with spaces or commas between them. More than the bound is refused: which to leave out? */
function readGroups(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  const listed: unknown = typeof value === 'string' ? value.split(value.includes(',') ? ',' : ' ').map(trimmed) : value;
  if (!Array.isArray(listed)) throw invalid('The claim of the groups is neither a list nor a text.');
  const groups = new Set<string>();
  for (const group of listed as unknown[]) {
    if (typeof group !== 'string' || group.length > maxExternalIdLength)
      throw invalid('One of the groups is not a short text.');
    if (group !== '') groups.add(group);
  }
  if (groups.size > maxGroupsOfUser) throw invalid(`It names more than ${maxGroupsOfUser} groups.`);
  return [...groups];
}

function trimmed(text: string): string {
  return text.trim();
}

export async function requireSignature(token: string, key: SigningKey, algorithm: TokenAlgorithm): Promise<void> {
  const { compactVerify, importJWK } = await import('jose'); // where no user is proved, it is never loaded
  try {
    await compactVerify(token, await importJWK({ ...key.jwk }, algorithm), { algorithms: [algorithm] });
  } catch (cause) {
    throw new AlterError('user_token_invalid', { detail: 'Its signature does not hold.', cause });
  }
}

function invalid(detail: string): AlterError {
  return new AlterError('user_token_invalid', { detail });
}
