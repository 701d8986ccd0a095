import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { socketBufferBytes } from './entrance.ts';

export interface HttpEvents {
  request(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void;
  /** A request for a WebSocket; Node's parser has let go of the connection. */
  upgrade(req: IncomingMessage, socket: Socket, head: Buffer): void;
  /** Node's parser has let go of the connection. */
  connect(req: IncomingMessage, socket: Socket, head: Buffer): void;
  /** Bytes that Node's parser refused. */
  malformed(error: Error & { readonly code?: string }, socket: Duplex): void;
}

/** An HTTP server that listens nowhere: it reads from the sockets that it is given by `emit('connection', socket)`. */
export function createHttpReader(on: HttpEvents, maxHeaderBytes: number): Server {
  const server = createServer({
    highWaterMark: socketBufferBytes,
    maxHeaderSize: maxHeaderBytes,
    requireHostHeader: false, // checked by ourselves: HTTP/1.0 needs none, and the refusal is to have a code
    insecureHTTPParser: false,
    // Whatever else is asked for with Upgrade (h2c) is read as a plain request, and the header goes no further.
    shouldUpgradeCallback: (req) => req.headers.upgrade?.toLowerCase() === 'websocket',
  });
  // The watchdog keeps the time of every connection, also of those that Node's timers would miss.
  server.timeout = 0;
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  server.keepAliveTimeout = 0;
  server.maxHeadersCount = 0; // Node would drop what is beyond without a word; the parser of requests refuses it
  server.on('request', (req: IncomingMessage, res: ServerResponse) => on.request(req, res, false));
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => on.request(req, res, true));
  // Refused by the parser of requests.
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => on.request(req, res, false));
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => on.upgrade(req, socket as Socket, head));
  server.on('connect', (req: IncomingMessage, socket: Duplex, head: Buffer) => on.connect(req, socket as Socket, head));
  server.on('clientError', (error: Error, socket: Duplex) => on.malformed(error, socket));
  return server;
}
