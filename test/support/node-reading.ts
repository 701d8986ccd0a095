import { createServer, type IncomingMessage, request } from 'node:http';
import { createRequire } from 'node:module';
import { Duplex } from 'node:stream';

/** A message as Node's own parser reads it. */
export interface ReadMessage {
  /** Method and target of a request, status of an answer. */
  readonly start: string;
  /** Flat, as received. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** The whole requests in these bytes, up to where Node's server refuses to go on. No socket, so no time passes. */
export async function readRequests(bytes: Buffer): Promise<readonly ReadMessage[]> {
  const read: ReadMessage[] = [];
  const server = createServer({ requireHostHeader: false }, (req, res) => {
    const chunks: Buffer[] = [];
    req.on('error', () => {});
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      read.push({
        start: `${req.method} ${req.url}`,
        rawHeaders: req.rawHeaders,
        body: Buffer.concat(chunks).toString('latin1'),
      });
      res.end();
    });
  });
  server.maxHeadersCount = 0;
  server.on('connect', (_: IncomingMessage, socket) => socket.destroy());
  server.on('clientError', () => {}); // what was read before it has been read
  const wire = memoryOf(bytes);
  server.emit('connection', wire);
  // Every request is answered, and the answers to pipelined ones leave one after the other, a turn of the loop each.
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  wire.destroy();
  return read;
}

/** An answer that has not come to its end by then is none. */
const patienceMs = 2_000;

/** What Node's client makes of an answer that stands on a socket; null where it takes it for broken or cut off. */
export function readAnswer(
  socket: Duplex,
  of: { readonly method: string; readonly host: string; readonly headers?: readonly string[] },
) {
  return new Promise<ReadMessage | null>((resolve) => {
    const req = request({
      method: of.method,
      path: '/',
      createConnection: () => socket,
      headers: ['Host', of.host, 'Content-Length', '0', ...(of.headers ?? [])],
    });
    const fail = (): void => resolve(null);
    const timer = setTimeout(() => req.destroy(), patienceMs);
    req.on('error', fail).on('close', () => {
      clearTimeout(timer);
      fail();
    });
    req.on('response', (res) => {
      const chunks: Buffer[] = [];
      res.on('error', fail).on('aborted', fail);
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => {
        if (!res.complete) return fail();
        resolve({
          start: String(res.statusCode),
          rawHeaders: res.rawHeaders,
          body: Buffer.concat(chunks).toString('latin1'),
        });
      });
    });
    req.on('upgrade', (_, upgraded) => {
      upgraded.destroy();
      fail();
    });
    req.end();
  });
}

/** Node's parser itself, as its client uses it. */
interface Parser {
  [callback: number]: unknown;
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): number | Error;
  finish(): unknown;
}
interface ParserClass {
  new (): Parser;
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}
const { HTTPParser } = createRequire(import.meta.url)('_http_common') as { readonly HTTPParser: ParserClass };

/** The first final answer in these bytes, which are all that there are. Null where there is no whole one. */
export function readAnswerIn(bytes: Buffer, method: string): ReadMessage | null {
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.RESPONSE, {});
  let status = 0;
  let rawHeaders: string[] = [];
  let body = '';
  let complete = false;
  parser[HTTPParser.kOnHeaders] = (more: readonly string[]): void => {
    if (status < 200) rawHeaders.push(...more); // behind the head they are trailers
  };
  parser[HTTPParser.kOnHeadersComplete] = (...of: readonly unknown[]): number => {
    if (complete) return 1;
    status = of[5] as number;
    if (of[2] !== undefined) rawHeaders.push(...(of[2] as string[]));
    return method === 'HEAD' || status < 200 ? 1 : 0;
  };
  parser[HTTPParser.kOnBody] = (chunk: Buffer): void => {
    if (!complete) body += chunk.toString('latin1');
  };
  parser[HTTPParser.kOnMessageComplete] = (): void => {
    if (complete) return;
    complete = status >= 200;
    if (!complete) rawHeaders = [];
  };
  if (typeof parser.execute(bytes) === 'number' && !complete) parser.finish();
  return complete && status !== 101 ? { start: String(status), rawHeaders, body } : null;
}

/** The far end of a connection: it says this as soon as it is listened to. */
function memoryOf(bytes: Buffer): Duplex {
  const wire = new Duplex({
    read() {},
    write: (_chunk, _encoding, done) => done(),
  });
  wire.on('error', () => {});
  wire.push(bytes);
  return wire;
}
