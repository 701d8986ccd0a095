import { createHash, randomBytes } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Origin } from '../core/origin.ts';
import type { Authority } from './authority.ts';

interface Entry {
  readonly context: SecureContext;
  /** Milliseconds since the epoch. */
  readonly renewAt: number;
  readonly authority: Authority;
}

export interface LeafCacheOptions {
  /** Who signs at a moment, in milliseconds since the epoch; leaves of another authority are made anew. */
  readonly authorityAt: (now: number) => Authority;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly maxEntries: number;
}

/**
 * The TLS server side of every intercepted host. It keeps contexts, not certificates: making a context costs as much as
 * signing the leaf. Bounded: the host that was not asked for the longest goes first.
 *
 * Call it for authorised hosts only, because every new host costs a signature.
 */
export class LeafCache {
  readonly #authorityAt: LeafCacheOptions['authorityAt'];
  readonly #clock: () => number;
  readonly #maxEntries: number;
  /** In the order of last use, which a Map keeps when an entry is taken out and put back. */
  readonly #entries = new Map<string, Entry>();
  /** 48 bytes, as TLS servers share them: a client resumes although its host's context was renewed or dropped meanwhile. */
  readonly #ticketKeys = randomBytes(48);

  constructor({ authorityAt, clock, maxEntries }: LeafCacheOptions) {
    this.#authorityAt = authorityAt;
    this.#clock = clock;
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * The context that proves this host. Synchronous, so that two connections to one new host can't sign twice; a leaf and
   * its context take about half a millisecond. Throws `config_invalid` once the CA has expired.
   */
  secureContextFor(origin: Pick<Origin, 'host' | 'kind'>): SecureContext {
    const now = this.#clock();
    const authority = this.#authorityAt(now);
    const known = this.#entries.get(origin.host);
    this.#entries.delete(origin.host);
    const isGood = known !== undefined && known.authority === authority && now < known.renewAt;
    const entry = isGood ? known : this.#create(origin, authority, now);
    this.#entries.set(origin.host, entry);
    if (this.#entries.size > this.#maxEntries) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    return entry.context;
  }

  #create(origin: Pick<Origin, 'host' | 'kind'>, authority: Authority, now: number): Entry {
    const leaf = authority.issueLeaf(origin, now);
    const context = createSecureContext({
      // No `ca`: we ask no client for a certificate, and building a root store takes 8 to 31 ms.
      cert: leaf.chainPem,
      key: leaf.privateKeyPem,
      minVersion: 'TLSv1.2',
      ticketKeys: this.#ticketKeys,
      // The ticket key is shared by all hosts; the context id keeps a session of one host from being resumed at another.
      sessionIdContext: createHash('sha256').update(origin.host).digest('hex').slice(0, 32),
    });
    // Half of what is left: connections that are kept for days still show a valid leaf, and close to the end of the CA
    // the renewals do not run on every request.
    return { context, authority, renewAt: now + (leaf.notAfter - now) / 2 };
  }
}
