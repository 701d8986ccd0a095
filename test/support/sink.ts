import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { type AuthorityMaterial, createAuthority, openAuthority } from '../../certs/authority.ts';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  /** Flat, as received. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** Every value of one header, by its name in any case. */
  all(name: string): string[];
}

export type Answer = (req: IncomingMessage, res: ServerResponse, body: Buffer) => void;

/** An upstream that records: every accept, every SNI, every byte after TLS, every request that its parser made of them. */
export class Sink {
  readonly requests: SeenRequest[] = [];
  readonly serverNames: string[] = [];
  accepts = 0;
  answer: Answer = (_, res) => {
    res.end('ok');
  };
  readonly #raw: Buffer[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: TlsServer | TcpServer;
  readonly #http: Server;

  private constructor(server: TlsServer | TcpServer, http: Server) {
    this.#server = server;
    this.#http = http;
  }

  /** `hosts`: the names on its certificate. Without an authority it speaks plain HTTP. */
  static async open(options: {
    readonly authority: TestAuthority | null;
    readonly host: string;
    readonly port?: number;
    /** Another one of loopback. */
    readonly address?: string;
  }): Promise<Sink> {
    const http = createHttpServer();
    const leaf = options.authority?.leafFor(options.host);
    const server =
      leaf === undefined ? createTcpServer() : createTlsServer({ cert: leaf.chainPem, key: leaf.privateKeyPem });
    const sink = new Sink(server, http);
    server.on('connection', (socket: Socket) => {
      sink.accepts++;
      sink.#keep(socket);
    });
    const serve = (socket: Socket): void => {
      sink.#keep(socket);
      http.emit('connection', socket);
      // After the server has taken the connection: put on before, the listener would hear nothing, since Node's parser then
      // reads from the handle itself.
      socket.on('data', (chunk: Buffer) => sink.#raw.push(Buffer.from(chunk)));
    };
    if (leaf === undefined) server.on('connection', serve);
    else {
      server.on('secureConnection', (socket: TLSSocket) => {
        sink.serverNames.push(String(socket.servername));
        serve(socket);
      });
      server.on('tlsClientError', () => {});
    }
    http.on('request', (req: IncomingMessage, res: ServerResponse) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('error', () => {});
      req.on('end', () => {
        const body = Buffer.concat(chunks);
        const { method = '', url = '', rawHeaders } = req;
        const all = (name: string): string[] =>
          rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === name.toLowerCase());
        sink.requests.push({ method, url, rawHeaders, body, all });
        sink.answer(req, res, body);
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, options.address ?? '127.0.0.1', resolve);
    });
    return sink;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Every byte that came in after TLS, over all connections. */
  get raw(): Buffer {
    return Buffer.concat(this.#raw);
  }

  forget(): void {
    this.requests.length = 0;
    this.serverNames.length = 0;
    this.#raw.length = 0;
    this.accepts = 0;
  }

  /** Ends every open connection, as a crash would. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    this.cut();
    this.#http.closeAllConnections();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

/** The CA that upstreams' certificates come from in tests; nothing that the proxy issues. */
export class TestAuthority {
  readonly material: AuthorityMaterial;

  private constructor(material: AuthorityMaterial) {
    this.material = material;
  }

  static async create(): Promise<TestAuthority> {
    return new TestAuthority(await createAuthority({ now: Date.now() }));
  }

  leafFor(host: string): { readonly chainPem: string; readonly privateKeyPem: string } {
    const now = Date.now();
    return openAuthority({ ...this.material, now }).issueLeaf({ host, kind: 'name' }, now);
  }
}
