import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { LeafCache } from '../certs/leaf-cache.ts';
import { type Origin, parseHost } from '../core/origin.ts';

const handshakeRecord = 0x16;

/**
 * Opens up the TLS of one tunnel, with a certificate for exactly the host of its CONNECT. Resolves with null where the
 * client spoke no TLS, named another host in SNI, or did not trust the certificate; the socket is destroyed then.
 */
export async function terminate(
  socket: Socket,
  head: Buffer,
  origin: Origin,
  leaves: LeafCache,
  onHello: () => void,
): Promise<TLSSocket | null> {
  const first = head.length > 0 ? head : await firstBytes(socket);
  if (first === null || first[0] !== handshakeRecord) {
    socket.destroy();
    return null;
  }
  onHello();
  socket.unshift(first);
  const secureContext = leaves.secureContextFor(origin);
  if (socket.destroyed) return null;

  return new Promise((resolve) => {
    const secure = new TLSSocket(socket, {
      isServer: true,
      secureContext,
      ALPNProtocols: ['http/1.1'],
      SNICallback: (name, callback) =>
        callback(sameName(name, origin) ? null : new Error('SNI names another host'), secureContext),
    });
    const failed = (): void => {
      secure.destroy();
      socket.destroy();
      resolve(null);
    };
    secure.once('error', failed);
    secure.once('close', failed);
    secure.once('_tlsError', failed); // what a server-side socket emits for a failed handshake, where a tls.Server would emit tlsClientError
    secure.once('secure', () => {
      secure.off('error', failed);
      secure.off('close', failed);
      secure.off('_tlsError', failed);
      resolve(secure);
    });
  });
}

function sameName(name: string, origin: Origin): boolean {
  try {
    const { host, kind } = parseHost(name);
    return host === origin.host && kind === origin.kind;
  } catch {
    return false;
  }
}

function firstBytes(socket: Socket): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const done = (chunk: Buffer | null): void => {
      socket.off('data', onData);
      socket.off('close', onEnd);
      socket.off('end', onEnd);
      resolve(chunk);
    };
    const onData = (chunk: Buffer): void => {
      socket.pause();
      done(chunk);
    };
    const onEnd = (): void => done(null);
    socket.on('data', onData);
    socket.on('close', onEnd);
    socket.on('end', onEnd);
    socket.resume();
  });
}
