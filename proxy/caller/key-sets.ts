import { AlterError } from '../../core/errors.ts';
import type { TokenAlgorithm } from '../../core/identity-provider.ts';
import { Lru } from '../../vault/lru.ts';
import type { FetchHttps } from './fetch-https.ts';
import { findStrictJson } from './strict-json.ts';

/** A public key of an identity provider. */
export interface SigningKey {
  /** Only the public parameters. */
  readonly jwk: Readonly<Record<string, string>>;
  /** The parameters as text: equal for equal keys, so that a key that was replaced under its old `kid` is another. */
  readonly text: string;
}

/** By `kid`; `null` for keys without one. A Map, so that `__proto__` or a path is a name that nothing is found under. */
type KeySet = ReadonlyMap<string | null, readonly SigningKey[]>;

interface Entry {
  keys: KeySet | null;
  fetchedAt: number;
  triedAt: number;
  /** When it was last fetched again because a `kid` was unknown. */
  unknownAt: number;
  flight: Promise<void> | null;
}

/** From then on it is fetched again beside the requests. */
const freshMs = 5 * 60_000;
/** From then on a request waits for the fetch, and goes on with what there is where it fails. */
const oldMs = 10 * 60_000;
/** From then on nothing that is remembered counts: a key that the provider took back must not live longer. */
const staleMs = 60 * 60_000;
/** Between two fetches that only the request's token asks for. */
const unknownPauseMs = 30_000;
const failurePauseMs = 5_000;
const maxSets = 1_000;
const maxKeys = 100;

/**
 * The key sets of identity providers. Never are two fetches of one set under way, and no token can make it be fetched more
 * than once in 30 seconds. `now` in milliseconds since the epoch.
 */
export class KeySets {
  readonly #entries = new Lru<Entry>(maxSets);
  readonly #fetch: FetchHttps;
  readonly #onFailure: (url: string, error: AlterError) => void;

  constructor(of: { readonly fetch: FetchHttps; readonly onFailure?: (url: string, error: AlterError) => void }) {
    this.#fetch = of.fetch;
    this.#onFailure = of.onFailure ?? (() => {});
  }

  /** Null where the set has no such key for this algorithm. Throws `user_token_invalid` where there is no set to look in. */
  async find(
    url: string,
    wanted: { readonly kid: string | null; readonly algorithm: TokenAlgorithm },
    now: number,
  ): Promise<SigningKey | null> {
    const entry = this.#entryOf(url);
    const age = entry.keys === null ? Number.POSITIVE_INFINITY : between(entry.fetchedAt, now);
    if (age > freshMs) {
      const pause = age > staleMs ? failurePauseMs : unknownPauseMs;
      if (entry.flight === null && between(entry.triedAt, now) >= pause) this.#refresh(url, entry, now);
      if (age > oldMs) await entry.flight;
    }
    const found = findKey(requireKeys(entry, now), wanted);
    if (found !== null) return found;
    if (entry.flight === null) {
      if (between(entry.unknownAt, now) < unknownPauseMs) return null;
      entry.unknownAt = now;
      this.#refresh(url, entry, now);
    }
    await entry.flight;
    return findKey(requireKeys(entry, now), wanted);
  }

  #entryOf(url: string): Entry {
    const known = this.#entries.get(url);
    if (known !== undefined) return known;
    const never = Number.NEGATIVE_INFINITY;
    const entry: Entry = { keys: null, fetchedAt: never, triedAt: never, unknownAt: never, flight: null };
    this.#entries.set(url, entry);
    return entry;
  }

  #refresh(url: string, entry: Entry, now: number): void {
    entry.triedAt = now;
    entry.flight = this.#fetch(url)
      .then((body) => {
        entry.keys = parseKeySet(body);
        entry.fetchedAt = now;
      })
      .catch((error: unknown) => {
        this.#onFailure(url, error instanceof AlterError ? error : new AlterError('internal_error', { cause: error }));
      })
      .finally(() => {
        entry.flight = null;
      });
  }
}

/** A clock that was set back is no reason to trust for longer. */
function between(then: number, now: number): number {
  return Math.abs(now - then);
}

function requireKeys(entry: Entry, now: number): KeySet {
  if (entry.keys === null || between(entry.fetchedAt, now) > staleMs)
    throw new AlterError('user_token_invalid', {
      detail: 'The keys of the identity provider could not be fetched.',
      hint: 'Try again soon; the log of the proxy says why.',
    });
  return entry.keys;
}

/** Throws `upstream_protocol`. What is not a public key for signatures is left out. */
export function parseKeySet(body: Uint8Array): KeySet {
  const document = findStrictJson(body);
  const listed = document?.keys;
  if (!Array.isArray(listed) || listed.length > maxKeys)
    throw new AlterError('upstream_protocol', { detail: 'The key set has not the form of a JWK set.' });
  const keys = new Map<string | null, SigningKey[]>();
  for (const jwk of listed as unknown[]) {
    const key = readKey(jwk);
    if (key === null) continue;
    const { kid } = jwk as { kid?: unknown };
    const name = typeof kid === 'string' ? kid : null;
    keys.set(name, [...(keys.get(name) ?? []), key]);
  }
  return keys;
}

const parametersOf: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['EC', ['crv', 'x', 'y']],
  ['OKP', ['crv', 'x']],
  ['RSA', ['n', 'e']],
]);

function readKey(value: unknown): SigningKey | null {
  if (typeof value !== 'object' || value === null) return null;
  const from = value as Readonly<Record<string, unknown>>;
  const parameters = parametersOf.get(from.kty);
  if (parameters === undefined) return null;
  if (from.use !== undefined && from.use !== 'sig') return null;
  if (from.key_ops !== undefined && !(Array.isArray(from.key_ops) && from.key_ops.includes('verify'))) return null;
  const jwk: Record<string, string> = { kty: from.kty as string };
  if (typeof from.alg === 'string') jwk.alg = from.alg;
  for (const name of parameters) {
    const parameter = from[name];
    if (typeof parameter !== 'string' || parameter.length > 2_048) return null;
    jwk[name] = parameter;
  }
  return { jwk, text: JSON.stringify(jwk) };
}

/** A token without a `kid` is for a set with exactly one key that fits: among several, guessing is left to nobody. */
function findKey(
  keys: KeySet,
  { kid, algorithm }: { readonly kid: string | null; readonly algorithm: TokenAlgorithm },
): SigningKey | null {
  const candidates = kid === null ? [...keys.values()].flat() : (keys.get(kid) ?? []);
  const fitting = candidates.filter((key) => fits(key, algorithm));
  return kid === null && fitting.length !== 1 ? null : (fitting[0] ?? null);
}

const curveOf: Readonly<Partial<Record<TokenAlgorithm, string>>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
};
const minRsaBytes = 256; // 2048 bits: RFC 7518 section 3.3
const maxRsaBytes = 1_024;

function fits({ jwk }: SigningKey, algorithm: TokenAlgorithm): boolean {
  if (jwk.alg !== undefined && jwk.alg !== algorithm) return false;
  const curve = curveOf[algorithm];
  if (curve !== undefined) return jwk.kty === (algorithm === 'EdDSA' ? 'OKP' : 'EC') && jwk.crv === curve;
  if (jwk.kty !== 'RSA') return false;
  const bytes = Buffer.from(jwk.n ?? '', 'base64url').length;
  return bytes >= minRsaBytes && bytes <= maxRsaBytes;
}
