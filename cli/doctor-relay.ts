import { createServer, connect as openSocket, type Socket } from 'node:net';
import { connect as openTls } from 'node:tls';

/**
 * What the relay adds to a CONNECT: no token of a user, so that the proxy answers every request in the tunnel itself, with a
 * 403. Nothing leaves for the host, and no credential is opened.
 */
export const refusedUserToken = 'X-Alter-User-Token: alter-doctor';

/** What the relay saw of one client. */
export interface Sighting {
  /** It came to the proxy at all. */
  readonly arrived: boolean;
  /** It sent Proxy-Authorization. */
  readonly showedKey: boolean;
  /** The status of the last CONNECT, or null where the proxy gave none. */
  readonly status: number | null;
}

const maxHeadBytes = 16 * 1024;

/**
 * Stands between a client on this machine and the proxy, on loopback, for one client at a time: it passes on what it gets and
 * says what it saw. To be closed.
 */
export class Relay {
  readonly url: string;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #seen: { arrived: boolean; showedKey: boolean; status: number | null };

  private constructor(of: {
    server: ReturnType<typeof createServer>;
    sockets: ReadonlySet<Socket>;
    seen: { arrived: boolean; showedKey: boolean; status: number | null };
  }) {
    this.#server = of.server;
    this.#sockets = of.sockets;
    this.#seen = of.seen;
    const address = of.server.address();
    this.url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  static async open(openProxy: () => Socket): Promise<Relay> {
    const seen = { arrived: false, showedKey: false, status: null as number | null };
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      seen.arrived = true;
      const proxy = openProxy();
      for (const socket of [client, proxy]) {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
        socket.on('error', () => socket.destroy());
      }
      client.once('close', () => proxy.destroy());
      proxy.once('close', () => client.end());
      relayHeads(client, proxy, seen);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new Relay({ server, sockets, seen });
  }

  sighting(): Sighting {
    return { ...this.#seen };
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** Heads of CONNECT get one more line until one is answered with 200; from then on bytes pass as they are. */
function relayHeads(client: Socket, proxy: Socket, seen: { showedKey: boolean; status: number | null }): void {
  let isOpen = false;
  let head = '';
  client.on('data', (chunk: Buffer) => {
    if (isOpen) {
      proxy.write(chunk);
      return;
    }
    head += chunk.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) {
      if (head.length > maxHeadBytes) client.destroy();
      return;
    }
    if (/^proxy-authorization:/im.test(head)) seen.showedKey = true;
    proxy.write(`${head.slice(0, end)}\r\n${refusedUserToken}${head.slice(end)}`, 'latin1');
    head = '';
  });
  proxy.on('data', (chunk: Buffer) => {
    if (!isOpen) {
      const status = /^HTTP\/1\.\d (\d{3})/.exec(chunk.toString('latin1'))?.[1];
      if (status !== undefined) seen.status = Number(status);
      isOpen = status === '200';
    }
    client.write(chunk);
  });
}

/** A connection to the proxy, over TLS where its address says so. */
export function openProxy(url: URL, authorityPems: readonly string[]): Socket {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  return url.protocol === 'https:'
    ? openTls({ host, port, ca: [...authorityPems], ...(/[a-z]/i.test(host) ? { servername: host } : {}) })
    : openSocket({ host, port });
}
