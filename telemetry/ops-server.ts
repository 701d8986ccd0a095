import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isNativeError } from 'node:util/types';
import { AlterError } from '../core/errors.ts';
import type { Metrics } from './metrics.ts';

export interface OpsServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: Pick<Metrics, 'render' | 'contentType'>;
  /** Why this process should get no traffic, in short words that may be seen by anybody: `store`, `audit`, `draining`. Empty: it should. */
  readonly ready: () => readonly string[];
}

export interface OpsServer {
  readonly address: { readonly host: string; readonly port: number };
  close(): Promise<void>;
}

const maxConnections = 64;
const maxHeaderBytes = 8 * 1024;
const requestTimeoutMs = 5_000;
const idleTimeoutMs = 15_000;

/**
 * `/livez`, `/readyz` and `/metrics`, for probes and scrapers. It has limits of its own, so that it still answers when
 * the proxy is full, and so that nobody takes the process down through it. Throws `config_invalid` if it can't listen.
 */
export async function startOpsServer({ listen, metrics, ready }: OpsServerOptions): Promise<OpsServer> {
  const server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: idleTimeoutMs,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      answer(request, response, { metrics, ready }).catch(() => response.destroy());
    },
  );
  server.maxConnections = maxConnections;
  // A reader that stops reading its answer is cut too.
  server.setTimeout(idleTimeoutMs);
  server.listen(listen.port, listen.host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const code = isNativeError(cause) && 'code' in cause ? String(cause.code) : 'unknown';
    throw new AlterError('config_invalid', {
      detail: `The ops listener can't listen on ${listen.host}:${listen.port} (${code}).`,
      hint: 'Give another address in ALTER_OPS_LISTEN, or stop what is listening there.',
      cause,
    });
  }
  // Running out of file descriptors at accept() is reported here; the next probe tries again.
  server.on('error', () => {});
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { metrics, ready }: Pick<OpsServerOptions, 'metrics' | 'ready'>,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(response, 405, 'method not allowed\n', { allow: 'GET, HEAD' });
  }
  switch (request.url?.split('?')[0]) {
    case '/livez':
      return send(response, 200, 'ok\n');
    case '/readyz': {
      const reasons = ready();
      return reasons.length === 0 ? send(response, 200, 'ok\n') : send(response, 503, `${reasons.join('\n')}\n`);
    }
    case '/metrics':
      return send(response, 200, await metrics.render(), { 'content-type': metrics.contentType });
    default:
      return send(response, 404, 'not found: there are /livez, /readyz and /metrics\n');
  }
}

function send(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  // A body that was sent along is not read, so that the connection can't carry another request.
  const framing = status === 405 ? { connection: 'close' } : {};
  response
    .writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...framing,
      ...headers,
    })
    .end(body);
}
