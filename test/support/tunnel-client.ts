import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

export interface RawResponse {
  readonly status: number;
  /** Lower-case names; the last value of each. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The connection ended before the answer was complete, or without any. */
  readonly cut: boolean;
}

/** Reads whole answers from a socket, one after the other, without the help of an HTTP client that could mend them. */
export class AnswerReader {
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | null = null;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('end', end).on('close', end).on('error', end);
  }

  get buffered(): Buffer {
    return this.#bytes;
  }

  /** The next final answer; 1xx are skipped. `bodyless` for the answer to a HEAD or CONNECT. */
  async next(options: { readonly bodyless?: boolean } = {}): Promise<RawResponse> {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end === -1) {
        if (!(await this.#more())) return { status: 0, headers: {}, body: this.#bytes.toString('latin1'), cut: true };
        continue;
      }
      const lines = this.#bytes.subarray(0, end).toString('latin1').split('\r\n');
      const status = Number(lines[0]!.split(' ')[1]);
      const headers: Record<string, string> = {};
      for (const line of lines.slice(1))
        headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
      this.#bytes = this.#bytes.subarray(end + 4);
      if (status < 200) continue;
      if ((options.bodyless && status < 300) || status === 204 || status === 304)
        return { status, headers, body: '', cut: false };
      const { body, cut } = await this.#body(headers);
      return { status, headers, body, cut };
    }
  }

  async #body(headers: Readonly<Record<string, string>>): Promise<{ body: string; cut: boolean }> {
    if (headers['transfer-encoding'] === 'chunked') return this.#chunked();
    const length =
      headers['content-length'] === undefined ? Number.POSITIVE_INFINITY : Number(headers['content-length']);
    while (this.#bytes.length < length)
      if (!(await this.#more()))
        return { body: this.#take(this.#bytes.length), cut: length !== Number.POSITIVE_INFINITY };
    return { body: this.#take(length), cut: false };
  }

  async #chunked(): Promise<{ body: string; cut: boolean }> {
    let body = '';
    for (;;) {
      const end = this.#bytes.indexOf('\r\n');
      if (end === -1) {
        if (!(await this.#more())) return { body, cut: true };
        continue;
      }
      const size = Number.parseInt(this.#bytes.subarray(0, end).toString('latin1'), 16);
      while (this.#bytes.length < end + 2 + size + 2) if (!(await this.#more())) return { body, cut: true };
      this.#take(end + 2);
      body += this.#take(size);
      this.#take(2);
      if (size === 0) return { body, cut: false };
    }
  }

  #take(length: number): string {
    const text = this.#bytes.subarray(0, length).toString('latin1');
    this.#bytes = this.#bytes.subarray(length);
    return text;
  }

  #more(): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    const before = this.#bytes.length;
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null;
        resolve(this.#bytes.length > before || !this.#ended);
      };
    });
  }
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

export async function connectTo(port: number): Promise<Socket> {
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
    socket.once('close', () => resolve());
  });
  return socket;
}

/** Sends raw bytes to a port and gives the first answer; of one that succeeds only its head. */
export async function exchangeRaw(port: number, bytes: string | Buffer): Promise<RawResponse> {
  const socket = await connectTo(port);
  const reader = new AnswerReader(socket);
  socket.write(bytes);
  const answer = await reader.next({ bodyless: true });
  socket.destroy();
  return answer;
}

export interface TunnelOptions {
  readonly proxyPort: number;
  /** The target of the CONNECT, as it is written. */
  readonly target: string;
  readonly key: string;
  readonly user?: string;
  /** Further header lines of the CONNECT, each without its line end. */
  readonly headers?: readonly string[];
  /** Null: no SNI is sent. */
  readonly serverName: string | null;
  readonly ca: string;
  /** A TLS session that is offered to be resumed. */
  readonly session?: Buffer;
}

export type OpenedTunnel =
  | { readonly kind: 'refused'; readonly answer: RawResponse }
  | { readonly kind: 'failed-handshake'; readonly code: string }
  | { readonly kind: 'open'; readonly socket: TLSSocket; readonly reader: AnswerReader };

/** Opens a tunnel and its TLS by hand, so that every name in it can be chosen by itself. */
export async function openTunnel(options: TunnelOptions): Promise<OpenedTunnel> {
  const socket = await connectTo(options.proxyPort);
  const reader = new AnswerReader(socket);
  const lines = [
    `CONNECT ${options.target} HTTP/1.1`,
    `Host: ${options.target}`,
    `Proxy-Authorization: ${basic(options.user ?? 'x', options.key)}`,
    ...(options.headers ?? []),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const answer = await reader.next({ bodyless: true });
  if (answer.status !== 200) {
    socket.destroy();
    return { kind: 'refused', answer };
  }
  socket.removeAllListeners('data');
  const secure = connectTls({
    socket,
    ca: options.ca,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: options.serverName !== null,
    ...(options.serverName === null ? {} : { servername: options.serverName }),
    ...(options.session === undefined ? {} : { session: options.session }),
    // The certificate is for the CONNECT target, whatever SNI said: what is tested is what the proxy does with it.
    checkServerIdentity: () => undefined,
  });
  const failure = await new Promise<string | null>((resolve) => {
    secure.once('secureConnect', () => resolve(null));
    secure.once('error', (error: Error & { code?: string }) => resolve(error.code ?? 'error'));
    secure.once('close', () => resolve('closed'));
  });
  secure.on('error', () => {});
  if (failure !== null) {
    secure.destroy();
    return { kind: 'failed-handshake', code: failure };
  }
  return { kind: 'open', socket: secure, reader: new AnswerReader(secure) };
}

/** A tunnel that is expected to open. */
export async function mustOpen(options: TunnelOptions): Promise<Extract<OpenedTunnel, { kind: 'open' }>> {
  const tunnel = await openTunnel(options);
  if (tunnel.kind !== 'open') throw new Error(`the tunnel did not open: ${JSON.stringify(tunnel)}`);
  return tunnel;
}
