import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { LeafCache } from '../certs/leaf-cache.ts';
import { type Origin, parseHost } from '../core/origin.ts';
import { shakeHands } from './connection/server-tls.ts';

const handshakeRecord = 0x16;
/** `http/1.1` as it stands in the extension (RFC 7301): Node would convert a list of names anew for every tunnel. */
const alpnProtocols = Buffer.from('\x08http/1.1', 'latin1');

/**
 * Opens up the TLS of one tunnel, with a certificate for exactly the host of its CONNECT. Resolves with null where the
 * client spoke no TLS, named another host in SNI, or did not trust the certificate; the socket is destroyed then.
 */
export async function terminate(
  socket: Socket,
  head: Buffer,
  origin: Origin,
  leaves: LeafCache,
): Promise<TLSSocket | null> {
  if (head.length > 0) {
    if (head[0] !== handshakeRecord) {
      socket.destroy();
      return null;
    }
    socket.unshift(head);
  }
  const secure = await shakeHands(socket, {
    isServer: true,
    secureContext: leaves.secureContextFor(origin),
    ALPNProtocols: alpnProtocols,
  });
  if (secure === null) return null;
  // Not in the handshake: a callback there stops it for two turns of the loop, and the certificate is that of the CONNECT
  // host in any case. Nothing that was sent inside has been read yet.
  const { servername } = secure as TLSSocket & { readonly servername?: string | false };
  if (typeof servername !== 'string' || servername === origin.host || sameName(servername, origin)) return secure;
  secure.destroy();
  socket.destroy();
  return null;
}

function sameName(name: string, origin: Origin): boolean {
  try {
    const { host, kind } = parseHost(name);
    return host === origin.host && kind === origin.kind;
  } catch {
    return false;
  }
}
