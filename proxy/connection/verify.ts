import type { Socket } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  createSecureContext,
  type DetailedPeerCertificate,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { AlterError } from '../../core/errors.ts';
import { formatAuthority, type Origin } from '../../core/origin.ts';
import type { Open } from './dial.ts';
import { DirectRead } from './direct-read.ts';

/** TLS to upstreams: one context for all, because reading the roots of the machine and building a store of them takes 50 ms. */
export class UpstreamTls {
  readonly #extraRoots: string | null;
  #context: SecureContext | undefined;
  readonly #isOwnAuthority: (fingerprint256: string) => boolean;

  /**
   * `extraRoots`: PEM of further roots that are trusted for upstreams. `isOwnAuthority`: our interception CA, which is
   * never trusted for an upstream, even where the machine trusts it: whoever holds a leaf of it is another interceptor.
   */
  constructor(of: {
    readonly extraRoots: string | null;
    readonly isOwnAuthority: (fingerprint256: string) => boolean;
  }) {
    this.#isOwnAuthority = of.isOwnAuthority;
    this.#extraRoots = of.extraRoots;
  }

  /** Makes the context, which is otherwise made for the first connection. */
  prepare(): SecureContext {
    if (this.#context === undefined) {
      const system = getCACertificates('system');
      const roots = system.length > 0 ? system : getCACertificates('bundled');
      const ca = this.#extraRoots === null ? roots : [...roots, this.#extraRoots];
      this.#context = createSecureContext({ ca, minVersion: 'TLSv1.2' });
    }
    return this.#context;
  }

  /** Verifies chain and name over a connection. Rejects as {@link verify}. */
  connect(socket: Socket, origin: Origin, timeoutMs: number): Promise<TLSSocket> {
    return this.verify(connect({ ...this.#options(origin), socket, host: origin.host }), origin, timeoutMs).catch(
      (error: unknown) => {
        socket.destroy();
        throw error;
      },
    );
  }

  /** For `dial`: a socket that reads directly. It begins with TLS as soon as it is connected, and is to be verified then. */
  opener(origin: Origin): Open<TLSSocket> {
    return (to) => {
      const secure = DirectRead.open((options) => connect({ ...this.#options(origin), ...to, ...options }));
      return secure.on('error', () => {}); // it may fail before anybody waits for its handshake, who then finds it destroyed
    };
  }

  #options(origin: Origin): ConnectionOptions {
    return {
      secureContext: this.prepare(),
      ...(origin.kind === 'name' ? { servername: origin.host } : {}),
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true, // said here, because NODE_TLS_REJECT_UNAUTHORIZED would change the default
      checkServerIdentity: (_, certificate) => this.#checkIdentity(origin.host, certificate as DetailedPeerCertificate),
    };
  }

  /** Waits for the end of the handshake. Rejects with `upstream_tls`, `upstream_timeout`; the socket is destroyed then. */
  verify(secure: TLSSocket, origin: Origin, timeoutMs: number): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          fail(
            new AlterError('upstream_timeout', {
              detail: `The TLS handshake with ${formatAuthority(origin)} took too long.`,
            }),
          ),
        timeoutMs,
      );
      const fail = (error: AlterError): void => {
        clearTimeout(timer);
        secure.destroy();
        reject(error);
      };
      const refused = (cause: Error & { code?: string }): void =>
        fail(
          new AlterError('upstream_tls', {
            detail: `The TLS connection to ${formatAuthority(origin)} could not be verified${cause.code === undefined ? '' : ` (${cause.code})`}.`,
            cause,
          }),
        );
      const closed = (): void => refused(new Error('closed during the handshake'));
      if (secure.destroyed) {
        refused(secure.errored ?? new Error('closed during the handshake'));
        return;
      }
      secure.once('error', refused);
      secure.once('close', closed);
      secure.once('secureConnect', () => {
        clearTimeout(timer);
        secure.off('error', refused);
        secure.off('close', closed);
        resolve(secure);
      });
    });
  }

  #checkIdentity(host: string, certificate: DetailedPeerCertificate): Error | undefined {
    // Node falls back to the common name where there is no SAN; RFC 9110 section 4.3.4 and every browser do not.
    if (certificate.subjectaltname === undefined)
      return Object.assign(new Error('the certificate has no subjectAltName'), { code: 'CERT_WITHOUT_SAN' });
    const seen = new Set<string>();
    for (
      let link: DetailedPeerCertificate | undefined = certificate;
      link !== undefined && !seen.has(link.fingerprint256);
      link = link.issuerCertificate
    ) {
      seen.add(link.fingerprint256);
    }
    if ([...seen].some(this.#isOwnAuthority))
      return Object.assign(new Error('issued by our own interception CA'), { code: 'OWN_CA_AS_ISSUER' });
    return checkServerIdentity(host, certificate);
  }
}
