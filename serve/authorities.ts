import { X509Certificate } from 'node:crypto';
import { type Authority, openAuthority } from '../certs/authority.ts';
import { findSigning, type KeptAuthority, listTrusted } from '../core/authority.ts';
import type { Log } from '../telemetry/log.ts';

/**
 * The authority that signs for workloads, and those that they have to trust, as a rotation changes them. What can't be read
 * again leaves everything as it was.
 */
export class Authorities {
  readonly #load: () => Promise<KeptAuthority>;
  readonly #log: Log;
  #kept: KeptAuthority;
  #opened = new Map<string, Authority>();
  #own: ReadonlySet<string>;

  private constructor(kept: KeptAuthority, load: () => Promise<KeptAuthority>, log: Log) {
    this.#kept = kept;
    this.#load = load;
    this.#log = log;
    this.#own = fingerprints(kept);
  }

  /** Rejects with `config_invalid` where the authority that signs now can't. */
  static async open(of: {
    readonly load: () => Promise<KeptAuthority>;
    readonly now: number;
    readonly log: Log;
  }): Promise<Authorities> {
    const authorities = new Authorities(await of.load(), of.load, of.log);
    authorities.at(of.now);
    return authorities;
  }

  /** The one that signs. The same object as long as it does. Throws `config_invalid`. */
  at(now: number): Authority {
    const material = findSigning(this.#kept, now);
    let authority = this.#opened.get(material.certificatePem);
    if (authority === undefined) {
      authority = openAuthority({ ...material, now });
      this.#opened.set(material.certificatePem, authority);
    }
    return authority;
  }

  /** PEM of all that workloads have to trust, the active one first. */
  trustPem(now: number): string {
    return listTrusted(this.#kept, now)
      .map(({ certificatePem }) => `${certificatePem.trim()}\n`)
      .join('');
  }

  /** By the fingerprint that Node tells of a certificate: is it of this service? */
  readonly isOwn = (fingerprint256: string): boolean => this.#own.has(fingerprint256);

  async reload(): Promise<void> {
    try {
      const kept = await this.#load();
      if (JSON.stringify(kept) === JSON.stringify(this.#kept)) return;
      this.#kept = kept;
      this.#own = fingerprints(kept);
      const known = new Set([kept, ...kept.previous].map(({ certificatePem }) => certificatePem));
      for (const certificatePem of this.#opened.keys())
        if (!known.has(certificatePem)) this.#opened.delete(certificatePem);
      const from = new Date(kept.activeAt).toISOString();
      this.#log.info(`The certificate authority was rotated: the new one signs from ${from} on.`, {});
    } catch (error) {
      this.#log.warn('The certificate authority could not be read again; the one there was stays.', { error });
    }
  }
}

function fingerprints(kept: KeptAuthority): ReadonlySet<string> {
  return new Set(
    [kept, ...kept.previous].map(({ certificatePem }) => new X509Certificate(certificatePem).fingerprint256),
  );
}
