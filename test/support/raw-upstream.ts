import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { eventually } from './in-parallel.ts';
import type { TestAuthority } from './sink.ts';

/** One connection that the proxy opened, byte for byte. */
export class RawConnection {
  readonly socket: TLSSocket;
  readonly index: number;
  received = '';
  bytes = 0;
  closedAt: number | null = null;

  constructor(socket: TLSSocket, index: number, keep: boolean) {
    this.socket = socket;
    this.index = index;
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (keep) this.received += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      this.closedAt = Date.now();
    });
  }

  /** How many whole heads of requests have come. */
  get heads(): number {
    return this.received.split('\r\n\r\n').length - 1;
  }

  async head(count = 1): Promise<void> {
    await eventually(() => this.heads >= count || this.closedAt !== null);
  }
}

/** An upstream without a parser: what it answers is written by hand, however wrong. */
export class RawUpstream {
  readonly connections: RawConnection[] = [];
  /** Called for each new connection. */
  behave: (connection: RawConnection) => void | Promise<void> = () => {};
  /** Whether what comes in is kept as text; for large bodies it is only counted. */
  keep = true;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('secureConnection', (socket: TLSSocket) => {
      const connection = new RawConnection(socket, this.connections.length, this.keep);
      this.connections.push(connection);
      // A behaviour that waits in vain is told by the test that asked for it.
      void Promise.resolve(this.behave(connection)).catch(() => socket.destroy());
    });
    server.on('tlsClientError', () => {});
  }

  static async open(authority: TestAuthority, host = 'a.test'): Promise<RawUpstream> {
    const leaf = authority.leafFor(host);
    const server = createServer({ cert: leaf.chainPem, key: leaf.privateKeyPem });
    server.on('connection', (socket: Socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return new RawUpstream(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  forget(): void {
    for (const { socket } of this.connections) socket.destroy();
    this.connections.length = 0;
    this.keep = true;
  }

  async close(): Promise<void> {
    this.forget();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
