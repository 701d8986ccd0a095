import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls';

/** PEM. */
export interface ServerTlsMaterial {
  readonly certificate: string;
  readonly key: string;
  /** Where given, a client must show a certificate of one of these authorities. */
  readonly clientAuthorities: string | null;
}

/** TLS on a listener itself. Its material may be replaced at any time; connections that stand keep theirs. */
export class ServerTls {
  #context: SecureContext;
  #asksForCertificate: boolean;

  /** Throws the error of OpenSSL where the material does not fit together. */
  constructor(material: ServerTlsMaterial) {
    this.#context = createContext(material);
    this.#asksForCertificate = material.clientAuthorities !== null;
  }

  /** Throws as the constructor does, and then keeps what it has. */
  replace(material: ServerTlsMaterial): void {
    this.#context = createContext(material);
    this.#asksForCertificate = material.clientAuthorities !== null;
  }

  /** Null where the handshake failed; both sockets are destroyed then. */
  async accept(socket: Socket): Promise<TLSSocket | null> {
    const asksForCertificate = this.#asksForCertificate;
    const secure = await shakeHands(socket, {
      isServer: true,
      secureContext: this.#context,
      ALPNProtocols: ['http/1.1'],
      requestCert: asksForCertificate,
      rejectUnauthorized: asksForCertificate,
    });
    if (secure === null || !asksForCertificate || findVerifyError(secure) === null) return secure;
    secure.destroy();
    socket.destroy();
    return null;
  }
}

/**
 * Does the server's part of a TLS handshake on a socket. Null where it failed, or the socket closed before it was done;
 * both are destroyed then.
 */
export function shakeHands(
  socket: Socket,
  options: TLSSocketOptions & { readonly isServer: true },
): Promise<TLSSocket | null> {
  if (socket.destroyed) return Promise.resolve(null);
  return new Promise((resolve) => {
    const secure = new TLSSocket(socket, options);
    let isOver = false;
    // These listeners stay, and do nothing any more: to take five of them off costs more than all else here.
    const failed = (): void => {
      if (isOver) return;
      isOver = true;
      secure.destroy();
      socket.destroy();
      resolve(null);
    };
    secure.on('error', failed);
    secure.on('close', failed);
    secure.on('end', failed); // half-open is for HTTP: nobody is greeted who has said goodbye
    secure.on('_tlsError', failed); // what a server-side socket emits for a failed handshake, where a tls.Server would emit tlsClientError
    secure.on('secure', () => {
      if (isOver) return;
      isOver = true;
      resolve(secure);
    });
  });
}

function createContext({ certificate, key, clientAuthorities }: ServerTlsMaterial): SecureContext {
  return createSecureContext({
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    ...(clientAuthorities === null ? {} : { ca: clientAuthorities }),
    sessionIdContext: 'alter-proxy', // OpenSSL resumes no session that had a client certificate without one
  });
}

/** OpenSSL's verdict about the client's certificate. A socket outside of a tls.Server is not asked for it by Node. */
function findVerifyError(secure: TLSSocket): Error | null {
  const { ssl } = secure as TLSSocket & { readonly ssl: { verifyError(): Error | null } | null };
  return ssl === null ? new Error('the connection is closed') : ssl.verifyError();
}
