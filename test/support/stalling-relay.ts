import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Stands between two programs and can stop to pass anything on, as a network does that drops packets: connections stay
 * open, new ones come about, and nothing arrives. What was held back arrives when it goes on.
 */
export class StallingRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isStalled = false;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      const target = connect(targetPort, '127.0.0.1');
      this.#pass(client, target);
      this.#pass(target, client);
    });
  }

  static async open(targetPort: number): Promise<StallingRelay> {
    const relay = new StallingRelay(targetPort);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stall(): void {
    this.#isStalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  goOn(): void {
    this.#isStalled = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (chunk: Buffer) => to.write(chunk));
    from.on('error', () => {});
    // The end of one side is a packet too.
    from.once('close', () => {
      this.#sockets.delete(from);
      if (!this.#isStalled) to.destroy();
    });
    if (this.#isStalled) from.pause();
  }
}
