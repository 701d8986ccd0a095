import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type AlterError, errorTable, problemDocument } from '../core/errors.ts';
import type { ClientRequest, ClientResponse } from './http/client-message.ts';

/** Statuses of a message that could not be read for certain. */
const doubtful: ReadonlySet<number> = new Set([400, 405, 421, 431]);

/** The only file that turns an error into a response. */
export function refuse(
  { request, response }: { readonly request: ClientRequest; readonly response: ClientResponse },
  error: AlterError,
  requestId: string,
): void {
  if (response.started || response.over) {
    response.destroy();
    return;
  }
  const body = Buffer.from(JSON.stringify(problemDocument(error, requestId)));
  // A body that nobody reads would be taken for the next request, and a client that waits for 100 must not send it. Where the
  // head itself was doubtful, so is where it ended: what stands behind it is read by nobody.
  if (!request.complete || doubtful.has(error.status)) response.closeAfter();
  response.begin({
    status: error.status,
    reason: STATUS_CODES[error.status] ?? '',
    headers: refusalHeaders(error, requestId, body.length),
    framing: request.method === 'HEAD' ? 'none' : body.length,
  });
  if (request.method !== 'HEAD') response.content(body);
  response.end([]);
}

/** A refusal of a CONNECT, or of bytes that were no request: written to the socket itself. */
export function refuseSocket(socket: Duplex, error: AlterError, requestId: string, keepOpen: boolean): void {
  if (socket.destroyed || !socket.writable) return;
  const message = refusalMessage(error, requestId, keepOpen);
  if (keepOpen) socket.write(message);
  else socket.end(message, () => socket.destroy());
}

/**
 * Refuses a connection that was not listened to, and stays until the client has hung up, at most `lingerMs`: closing before
 * its request came would reset the connection, and the client might never read the answer.
 */
export function turnAway(socket: Duplex, error: AlterError, requestId: string, lingerMs: number): void {
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.resume();
  socket.end(refusalMessage(error, requestId, false));
}

function refusalMessage(error: AlterError, requestId: string, keepOpen: boolean): string {
  const body = JSON.stringify(problemDocument(error, requestId));
  const headers = [
    ...refusalHeaders(error, requestId, Buffer.byteLength(body)),
    'Connection',
    keepOpen ? 'keep-alive' : 'close',
  ];
  let head = `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}\r\n${body}`;
}

function refusalHeaders(error: AlterError, requestId: string, bodyBytes: number): string[] {
  const headers = [
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    String(bodyBytes),
    'Cache-Control',
    'no-store',
    'X-Alter-Error',
    error.code,
    'X-Alter-Request-Id',
    requestId,
    'Proxy-Status',
    `alter; error=${errorTable[error.code].proxyStatus}; details="${error.code}"`,
  ];
  if (error.status === 407) headers.push('Proxy-Authenticate', 'Basic realm="alter"');
  if (error.retryAfterSeconds !== undefined)
    headers.push('Retry-After', String(Math.max(1, Math.ceil(error.retryAfterSeconds))));
  if (error.code === 'method_refused') headers.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  return headers;
}
