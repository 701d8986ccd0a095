import { STATUS_CODES } from 'node:http';
import type { ClientConnection } from './client-connection.ts';
import type { AnswerHead, ClientRequest, ClientResponse } from './client-message.ts';

/** The answer to one request on a connection of our own reader. */
export class Response implements ClientResponse {
  onDrain: (() => void) | null = null;
  readonly #connection: ClientConnection;
  readonly #request: Pick<ClientRequest, 'httpVersion'>;
  #started = false;
  #ended = false;
  #sent = false;
  #isLost = false;
  #closes: boolean;
  #isChunked = false;
  #isBodyless = false;
  #onOver: (() => void) | null = null;

  constructor(connection: ClientConnection, request: Pick<ClientRequest, 'httpVersion'>, closes: boolean) {
    this.#connection = connection;
    this.#request = request;
    this.#closes = closes;
  }

  get started(): boolean {
    return this.#started;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get sent(): boolean {
    return this.#sent;
  }

  get over(): boolean {
    return this.#sent || this.#isLost;
  }

  get waits(): boolean {
    return this.#connection.socket.writableNeedDrain;
  }

  get closes(): boolean {
    return this.#closes;
  }

  closeAfter(): void {
    this.#closes = true;
  }

  askForBody(): void {
    if (!this.#started && !this.#isLost) this.#connection.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
  }

  begin(of: AnswerHead): void {
    this.#started = true;
    const { headers } = of;
    let head = `HTTP/1.1 ${of.status} ${of.reason === '' ? (STATUS_CODES[of.status] ?? '') : of.reason}\r\n`;
    if (of.passed !== undefined) head += of.passed.text;
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
    if (of.framing === 'none') this.#isBodyless = true;
    else if (of.framing === 'chunked') {
      this.#isChunked = this.#request.httpVersion === '1.1';
      if (this.#isChunked) head += 'Transfer-Encoding: chunked\r\n';
      else this.#closes = true; // its end is the end of the connection
    }
    head += this.#closes ? 'Connection: close\r\n\r\n' : '\r\n';
    this.#connection.writes.add(head);
  }

  content(bytes: Buffer): void {
    if (this.#isBodyless || bytes.length === 0) return;
    const { writes } = this.#connection;
    if (!this.#isChunked) {
      writes.add(bytes);
      return;
    }
    writes.add(`${bytes.length.toString(16)}\r\n`);
    writes.add(bytes);
    writes.add('\r\n');
  }

  flush(): boolean {
    return this.#isLost || this.#connection.writes.flush();
  }

  end(trailers: readonly string[]): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#isLost) return;
    const { writes } = this.#connection;
    if (this.#isChunked) {
      let last = '0\r\n';
      for (let i = 0; i < trailers.length; i += 2) last += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
      writes.add(`${last}\r\n`);
    }
    if (writes.flush()) this.#finish();
  }

  destroy(): void {
    this.#connection.socket.destroy();
  }

  onceOver(callback: () => void): void {
    if (this.over) callback();
    else {
      const before = this.#onOver;
      this.#onOver =
        before === null
          ? callback
          : () => {
              before();
              callback();
            };
    }
  }

  drained(): void {
    if (this.#ended) this.#finish();
    else this.onDrain?.();
  }

  lost(): void {
    if (this.over) return;
    this.#isLost = true;
    this.#tell();
  }

  #finish(): void {
    if (this.over) return;
    this.#sent = true;
    this.#tell();
    this.#connection.answered();
  }

  #tell(): void {
    const tell = this.#onOver;
    this.#onOver = null;
    tell?.();
  }
}
