import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { AlterError } from '../../core/errors.ts';
import { digestsEqual, findToken, type Token } from '../../core/token.ts';

interface Source {
  /** Failures that are still allowed. */
  left: number;
  countedAtMs: number;
  /** The digests of keys that were right lately, by key id. */
  readonly proven: Map<string, { readonly digest: Buffer; readonly atMs: number }>;
}

/** What is remembered, so that nobody makes the memory grow: the source that was not seen the longest is forgotten first. */
const maxSources = 10_000;
const maxProvenPerSource = 100;
const provenForMs = 10 * 60_000;
/** A key that was right again within this time moves nothing: it costs more than all else here, for every new tunnel. */
const provenAgainMs = 1_000;
const minuteMs = 60_000;

/**
 * The patience with wrong keys: each source address has so many failures a minute. Beyond that it is refused unseen, before
 * anything is hashed or looked up, except callers whose key was right from there lately: behind one address there may be
 * many workloads, of which one has a stale key in a loop.
 */
export class FailedKeys {
  readonly #perMinute: number;
  readonly #clock: () => number;
  readonly #sources = new Map<string, Source>();

  /** `clock` in milliseconds, monotonic. */
  constructor(of: { readonly perMinute: number; readonly clock?: () => number }) {
    this.#perMinute = of.perMinute;
    this.#clock = of.clock ?? (() => performance.now());
  }

  /** Reads a token on behalf of `address`. Throws `rate_limited`; null where the text is no token. */
  findToken(text: string, address: string): Token | null {
    const source = this.#sources.get(sourceOf(address));
    if (source === undefined || this.#left(source) >= 1) return findToken(text);
    const token = source.proven.has(keyIdOf(text)) ? findToken(text) : null;
    if (token === null || !this.#wasRight(token, source)) throw this.#refusal(source);
    return token;
  }

  /** The same for a token that was read before. */
  admitAgain(token: Pick<Token, 'id' | 'digest'>, address: string): void {
    const source = this.#sources.get(sourceOf(address));
    if (source !== undefined && this.#left(source) < 1 && !this.#wasRight(token, source)) throw this.#refusal(source);
  }

  /** From this source, lately. */
  #wasRight({ id, digest }: Pick<Token, 'id' | 'digest'>, { proven }: Source): boolean {
    const known = proven.get(id);
    return known !== undefined && this.#clock() - known.atMs < provenForMs && digestsEqual(digest, known.digest);
  }

  /** The same for the token of a workload, which has no id of its own: a part of its text stands for one. */
  admit(text: string, address: string): Pick<Token, 'id' | 'digest'> {
    const source = this.#sources.get(sourceOf(address));
    const id = keyIdOf(text);
    const isOut = source !== undefined && this.#left(source) < 1;
    if (isOut && !source.proven.has(id)) throw this.#refusal(source);
    const shown = { id, digest: createHash('sha256').update(text).digest() };
    if (isOut && !this.#wasRight(shown, source)) throw this.#refusal(source);
    return shown;
  }

  #refusal(source: Source): AlterError {
    return new AlterError('rate_limited', {
      detail: `More than ${this.#perMinute} wrong keys a minute came from this address.`,
      hint: 'Mend the key, and wait for the time in Retry-After.',
      retryAfterSeconds: ((1 - this.#left(source)) * minuteMs) / this.#perMinute / 1_000,
    });
  }

  failed(address: string): void {
    const source = this.#remember(address);
    source.left = this.#left(source) - 1;
    source.countedAtMs = this.#clock();
  }

  succeeded(address: string, token: Pick<Token, 'id' | 'digest'>): void {
    const now = this.#clock();
    const known = this.#sources.get(sourceOf(address))?.proven.get(token.id);
    if (known !== undefined && now - known.atMs < provenAgainMs && digestsEqual(known.digest, token.digest)) return;
    const { proven } = this.#remember(address);
    proven.delete(token.id);
    proven.set(token.id, { digest: token.digest, atMs: now });
    if (proven.size > maxProvenPerSource) proven.delete(proven.keys().next().value!);
  }

  #left(source: Source): number {
    const refilled = ((this.#clock() - source.countedAtMs) * this.#perMinute) / minuteMs;
    return Math.min(this.#perMinute, source.left + refilled);
  }

  #remember(address: string): Source {
    const key = sourceOf(address);
    const source = this.#sources.get(key) ?? {
      left: this.#perMinute,
      countedAtMs: this.#clock(),
      proven: new Map(),
    };
    this.#sources.delete(key);
    this.#sources.set(key, source);
    if (this.#sources.size > maxSources) this.#sources.delete(this.#sources.keys().next().value!);
    return source;
  }
}

/** A machine with IPv6 has a /64 to itself, and may use any address in it. */
function sourceOf(address: string): string {
  if (!address.includes(':') || !isIPv6(address)) return address;
  const [left = '', right] = address.split('::');
  const groups = left === '' ? [] : left.split(':');
  if (right !== undefined) {
    const behind = right === '' ? 0 : right.split(':').length;
    while (groups.length < 8 - behind) groups.push('0');
  }
  return groups.slice(0, 4).join(':');
}

/** The visible id, where the text is long enough to hold one. */
function keyIdOf(text: string): string {
  return text.slice(text.lastIndexOf('_') + 1).slice(0, 16);
}
