import { once } from 'node:events';
import type http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { createInjectorApp, type InjectorOptions } from './app.ts';

/** The API server gives a webhook 30 s at most. */
const limits = {
  headerBytes: 16 * 1024,
  requestMs: 15_000,
  handshakeMs: 5_000,
  idleMs: 60_000,
  connections: 512,
} as const;

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface RunningInjector {
  readonly address: { readonly host: string; readonly port: number };
  /** New connections get this certificate. Throws where it does not fit together. */
  replaceTls(certificate: Certificate): void;
  /** Stops accepting, lets running reviews end within 5 s, then closes what is left. */
  close(): Promise<void>;
}

/** Until it has a certificate, every handshake fails. Rejects with the error of `listen()`, such as EADDRINUSE. */
export async function startInjector(
  options: InjectorOptions & { readonly certificate: Certificate | null },
): Promise<RunningInjector> {
  const { settings, certificate, log } = options;
  const handle = createInjectorApp(options).callback();
  const server = https.createServer(
    {
      ...(certificate ?? {}),
      minVersion: 'TLSv1.2',
      handshakeTimeout: limits.handshakeMs,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: 1_000,
    },
    (request: http.IncomingMessage, response: http.ServerResponse) => {
      handle(request, response).catch(() => response.destroy());
    },
  );
  server.maxConnections = limits.connections;
  server.setTimeout(limits.idleMs);
  server.listen(settings.listen.port, settings.listen.host);
  await once(server, 'listening');
  server.on('error', (error: Error) => log.error('The listener of the injector failed.', { error }));
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port },
    replaceTls: (changed) => server.setSecureContext({ ...changed, minVersion: 'TLSv1.2' }),
    close: () =>
      new Promise((resolve) => {
        const deadline = setTimeout(() => server.closeAllConnections(), 5_000);
        server.close(() => {
          clearTimeout(deadline);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}
