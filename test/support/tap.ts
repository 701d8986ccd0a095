import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Stands before the proxy and passes everything on: what a client says to the proxy in the clear can be read here. */
export class Tap {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** First lines of what the client asked of the proxy, and of what it was answered, in their order. */
  readonly lines: string[] = [];
  accepts = 0;

  private constructor(target: number) {
    this.#server = createServer((client) => {
      this.accepts++;
      const proxy = connect(target, '127.0.0.1');
      this.#pass(client, proxy);
      this.#pass(proxy, client);
    });
  }

  static async open(target: number): Promise<Tap> {
    const tap = new Tap(target);
    await new Promise<void>((resolve) => {
      tap.#server.listen(0, '127.0.0.1', resolve);
    });
    return tap;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (chunk: Buffer) => {
      const [line] = /^(?:CONNECT |HTTP\/1\.)[^\r]*/.exec(chunk.toString('latin1')) ?? [];
      if (line !== undefined) this.lines.push(line);
    });
    from.on('error', () => {});
    from.once('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.pipe(to);
  }
}
