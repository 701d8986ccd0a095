import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AlterError, type ErrorCode, problemDocument } from '../core/errors.ts';
import { issueId } from '../core/id.ts';
import type { AdminOptions } from './http/app.ts';
import { maxHeaders } from './http/guard-request.ts';

/** Own limits, not Node's defaults: an operator's requests are small, few and quick. */
const limits = {
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  handshakeMs: 10_000,
  idleMs: 60_000,
  keepAliveMs: 5_000,
  connections: 256,
  closeMs: 5_000,
} as const;

export interface AdminListenOptions extends AdminOptions {
  /** Port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM. Without it the service speaks plain HTTP, which belongs on loopback or behind a TLS terminator. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => Promise<void>;

export interface RunningAdmin {
  /** Without a slash at its end. */
  readonly url: string;
  /**
   * Loads what answers, as the first request does otherwise: the framework, the schemas and all routes take as long as the
   * rest of a start. Rejects where a file of the installation is missing or broken.
   */
  load(): Promise<void>;
  /** New connections get this certificate. Throws where it does not fit together, and keeps the old one. */
  replaceTls(tls: { readonly cert: string; readonly key: string }): void;
  /** Stops accepting, lets running requests end within 5 s, then closes what is left. */
  close(): Promise<void>;
}

/** Rejects with the error of `listen()`, such as EADDRINUSE. */
export async function startAdmin(options: AdminListenOptions): Promise<RunningAdmin> {
  const { clock, log } = options;
  let loading: Promise<Answer> | undefined;
  const load = (): Promise<Answer> => {
    loading ??= loadInParts().then(({ createAdminApp }) => createAdminApp(options).callback());
    loading.catch(() => {
      loading = undefined; // for want of file descriptors, say: the next request tries again
    });
    return loading;
  };
  const listener = (request: http.IncomingMessage, response: http.ServerResponse) => {
    load().then(
      (answer) => answer(request, response).catch(() => response.destroy()),
      (error: unknown) => {
        log.error('The admin API could not be loaded.', { error });
        refuseUnloaded(response, clock());
      },
    );
  };
  const serverOptions = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: 1_000,
  };
  const server =
    options.tls === undefined
      ? http.createServer(serverOptions, listener)
      : https.createServer(
          { ...serverOptions, ...options.tls, minVersion: 'TLSv1.2', handshakeTimeout: limits.handshakeMs },
          listener,
        );
  server.maxHeadersCount = maxHeaders + 1; // one more than allowed, so that one too many is seen and refused
  server.maxConnections = limits.connections;
  server.setTimeout(limits.idleMs); // a client that reads its answer too slowly, or not at all
  server.on('clientError', refuseMalformed(clock));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.listen.port, options.listen.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error: Error) => log.error('The admin listener failed.', { error }));
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${formatListen(server.address() as AddressInfo)}`,
    load: async () => void (await load()),
    replaceTls: (tls) => {
      if (server instanceof https.Server) server.setSecureContext({ ...tls, minVersion: 'TLSv1.2' });
    },
    close: async () => {
      await closeServer(server);
      await loading?.catch(() => {}); // whoever asked for it was told
    },
  };
}

/** One after the other, so that a proxy in the same process gets its turn in between. */
async function loadInParts(): Promise<typeof import('./http/app.ts')> {
  const parts = [
    () => import('zod'),
    () => import('koa'),
    () => import('@koa/router'),
    () => import('./schemas/schemas.ts'),
    () => import('./routes.ts'),
  ];
  for (const part of parts) {
    await part();
    await nextTurn();
  }
  return import('./http/app.ts');
}

function refuseUnloaded(response: http.ServerResponse, now: number): void {
  const problem = new AlterError('internal_error');
  response.writeHead(problem.status, { 'Content-Type': 'application/problem+json', Connection: 'close' });
  response.end(JSON.stringify(problemDocument(problem, issueId(now))));
}

/** What Node's parser refuses never reaches the list of middleware; it gets the same kind of answer. */
function refuseMalformed(clock: () => number): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable || ((socket as Socket).bytesWritten ?? 0) > 0) {
      socket.destroy();
      return;
    }
    const code: ErrorCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'headers_too_large' : 'request_malformed';
    const problem = new AlterError(code);
    const body = JSON.stringify(problemDocument(problem, issueId(clock())));
    socket.end(
      `HTTP/1.1 ${problem.status} ${http.STATUS_CODES[problem.status]}\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  };
}

/** A wildcard address is no destination: the URL then names the loopback of its family. */
function formatListen({ address, port, family }: AddressInfo): string {
  if (family === 'IPv6') return `[${address === '::' ? '::1' : address}]:${port}`;
  return `${address === '0.0.0.0' ? '127.0.0.1' : address}:${port}`;
}

function closeServer(server: http.Server | https.Server): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(() => server.closeAllConnections(), limits.closeMs);
    server.close(() => {
      clearTimeout(deadline);
      resolve();
    });
    server.closeIdleConnections();
  });
}
