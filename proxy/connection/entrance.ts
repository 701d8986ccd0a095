import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { type AddressSet, unmapIpv4 } from '../../core/address.ts';
import type { ListenAddress } from '../../core/config.ts';
import { readProxyHeader } from './proxy-protocol.ts';
import type { ServerTls } from './server-tls.ts';

export const socketBufferBytes = 256 * 1_024; // measured: takes a bulk transfer from 2.4 to 1.9 CPU seconds a gigabyte

export interface EntranceRules {
  /** Peers that begin with a PROXY protocol header. */
  readonly proxyProtocolFrom: AddressSet;
  /** Null: plain HTTP. */
  readonly tls: ServerTls | null;
}

/** The way of a TCP connection to its first byte of HTTP: PROXY protocol and TLS, where they are asked for. */
export class Entrance {
  readonly #rules: EntranceRules;
  readonly #server: Server;
  readonly #onError: (error: Error) => void;

  constructor(rules: EntranceRules, on: { connection: (socket: Socket) => void; error: (error: Error) => void }) {
    this.#rules = rules;
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, highWaterMark: socketBufferBytes },
      on.connection,
    );
    this.#onError = on.error;
  }

  /** Rejects with the error of `listen()`, such as EADDRINUSE. */
  listen(address: ListenAddress): Promise<ListenAddress> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address.host, port: address.port, backlog: 1_024 }, () => {
        server.off('error', reject);
        server.on('error', this.#onError); // accept() without a file descriptor; the next one may succeed
        const bound = server.address() as AddressInfo;
        resolve({ host: bound.address, port: bound.port });
      });
    });
  }

  /** Takes no more connections. Resolves when the last one is closed. */
  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** Whether a connection of this peer is ready as it is. */
  isPlain(peer: string): boolean {
    return this.#rules.tls === null && !this.#rules.proxyProtocolFrom.has(peer);
  }

  /**
   * Who is there, and the socket to read HTTP from. Null, with the connection destroyed, where a listed peer sends no
   * whole PROXY protocol header, or the TLS handshake fails. `onHandshake` tells that it begins.
   */
  async open(socket: Socket, onHandshake: () => void): Promise<{ socket: Socket; address: string } | null> {
    let address = peerOf(socket);
    if (this.#rules.proxyProtocolFrom.has(address)) {
      const header = await takeProxyHeader(socket);
      if (header === null) return null;
      if (header.source !== null) address = unmapIpv4(header.source) ?? header.source;
    }
    if (this.#rules.tls === null) return { socket, address };
    onHandshake();
    const secure = await this.#rules.tls.accept(socket);
    return secure === null ? null : { socket: secure, address };
  }
}

/** Without the clothes of IPv6 where it is IPv4. Empty where the peer has gone. */
export function peerOf(socket: Socket): string {
  const address = socket.remoteAddress ?? '';
  return unmapIpv4(address) ?? address;
}

/** Takes the header off the connection, and leaves what stands behind it. Null, and destroyed, where there is none. */
function takeProxyHeader(socket: Socket): Promise<{ readonly source: string | null } | null> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const settle = (header: { readonly source: string | null } | null): void => {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      if (header === null) socket.destroy();
      resolve(header);
    };
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const header = readProxyHeader(bytes);
      if (header.kind === 'incomplete') return;
      if (header.kind === 'malformed') {
        settle(null);
        return;
      }
      socket.pause();
      if (bytes.length > header.bytes) socket.unshift(bytes.subarray(header.bytes));
      settle(header);
    };
    const onEnd = (): void => settle(null);
    socket.on('data', onData).on('end', onEnd).on('close', onEnd);
  });
}
