import type { Route } from '../contender.ts';
import type { Upstream } from '../upstream.ts';

/** Through a proxy that opens the tunnel and puts the credential in; the client has none. */
export function intercepted(of: {
  readonly port: number;
  readonly upstream: Upstream;
  readonly caFile: string;
  readonly proxyAuthorization?: string;
  readonly headers?: readonly string[];
  readonly grantsFile?: string | null;
}): Route {
  const { host, port } = of.upstream;
  return {
    port: of.port,
    connect: { authority: `${host}:${port}`, proxyAuthorization: of.proxyAuthorization ?? null },
    name: host,
    host: `${host}:${port}`,
    caFile: of.caFile,
    headers: of.headers ?? [],
    ...(of.grantsFile === undefined || of.grantsFile === null ? {} : { grantsFile: of.grantsFile }),
  };
}

/** TLS goes through to the upstream, so that the client must bring the credential itself. */
export function untouched(of: {
  readonly upstream: Upstream;
  readonly port?: number;
  readonly proxyAuthorization?: string;
}): Route {
  const { blindHost, port, caFile, credential } = of.upstream;
  return {
    port: of.port ?? port,
    connect:
      of.port === undefined
        ? null
        : { authority: `${blindHost}:${port}`, proxyAuthorization: of.proxyAuthorization ?? null },
    name: blindHost,
    host: `${blindHost}:${port}`,
    caFile,
    headers: [`Authorization: Bearer ${credential}`],
  };
}
