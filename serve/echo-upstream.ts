import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createAuthority, openAuthority } from '../certs/authority.ts';

export const echoHost = 'echo.alter.test';

/** A request as it reached the echo upstream. */
export interface EchoedRequest {
  readonly method: string;
  readonly path: string;
  /** Flat, as received. */
  readonly headers: readonly string[];
}

export interface EchoUpstream {
  readonly port: number;
  /** Of an authority of its own: nothing that this proxy issues is trusted for an upstream. */
  readonly authorityPem: string;
  close(): Promise<void>;
}

/**
 * A TLS server on loopback for a first try without the internet. It tells its terminal everything that it received, and the
 * client everything but the values of the headers that carry credentials: as a real API would, it does not send them back.
 */
export async function startEchoUpstream(options: {
  readonly port: number;
  readonly now: number;
  readonly onRequest: (request: EchoedRequest) => void;
}): Promise<EchoUpstream> {
  const material = await createAuthority({ now: options.now });
  const leaf = openAuthority({ ...material, now: options.now }).issueLeaf(
    { host: echoHost, kind: 'name' },
    options.now,
  );
  const server = createServer({ cert: leaf.chainPem, key: leaf.privateKeyPem }, (req, res) => {
    let bodyBytes = 0;
    req.on('data', (chunk: Buffer) => {
      bodyBytes += chunk.length;
    });
    req.on('end', () => {
      options.onRequest({ method: req.method ?? '', path: req.url ?? '', headers: req.rawHeaders });
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(req.headers))
        headers[name] = isCredential(name) ? `(received, ${String(value).length} characters)` : String(value);
      res.writeHead(200, { 'Content-Type': 'application/json' });
      res.end(
        `${JSON.stringify({ you_asked: `${req.method} ${pathOf(req.url ?? '')}`, headers_received: headers, body_bytes: bodyBytes }, null, 2)}\n`,
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    authorityPem: material.certificatePem,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function isCredential(name: string): boolean {
  return name === 'authorization' || name === 'cookie' || /key|token|secret/.test(name);
}

function pathOf(url: string): string {
  return url.split('?')[0] ?? '';
}
