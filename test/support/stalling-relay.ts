import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A client and its server. */
interface Pair {
  readonly client: Socket;
  readonly target: Socket;
  /** Does a stall hold this pair? */
  isConcerned: boolean;
}

/**
 * Stands between two programs and can stop to pass anything on, as a network does that drops packets: connections stay
 * open, new ones come about, and nothing arrives. What was held back arrives when it goes on.
 */
export class StallingRelay {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isStalled = false;

  private constructor(targetPort: number, only: string) {
    this.#server = createServer((client) => {
      const target = connect(targetPort, '127.0.0.1');
      const pair: Pair = { client, target, isConcerned: only === '' };
      this.#pairs.add(pair);
      client.on('data', (chunk: Buffer) => {
        pair.isConcerned ||= chunk.includes(only);
        if (!this.#isStalled || !pair.isConcerned) return void target.write(chunk);
        // The first words of a connection that came about meanwhile.
        this.#halt(pair);
        client.unshift(chunk);
      });
      target.on('data', (chunk: Buffer) => client.write(chunk));
      for (const [side, other] of [
        [client, target],
        [target, client],
      ] as const) {
        side.on('error', () => {});
        side.once('close', () => {
          // The end of one side is a packet too.
          if (!this.#isStalled || !pair.isConcerned) other.destroy();
          if (client.destroyed && target.destroyed) this.#pairs.delete(pair);
        });
      }
      if (this.#isStalled && pair.isConcerned) this.#halt(pair);
    });
  }

  /** `only`: a stall holds nothing but the connections on which the client has sent this text. */
  static async open(targetPort: number, { only = '' } = {}): Promise<StallingRelay> {
    const relay = new StallingRelay(targetPort, only);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stall(): void {
    this.#isStalled = true;
    for (const pair of this.#pairs) if (pair.isConcerned) this.#halt(pair);
  }

  goOn(): void {
    this.#isStalled = false;
    for (const { client, target } of this.#pairs) {
      // Whose other side has gone meanwhile learns it now.
      if (client.destroyed) target.destroy();
      if (target.destroyed) client.destroy();
      client.resume();
      target.resume();
    }
  }

  async close(): Promise<void> {
    for (const { client, target } of this.#pairs) {
      client.destroy();
      target.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }

  #halt({ client, target }: Pair): void {
    client.pause();
    target.pause();
  }
}
