import { AlterError } from '../../core/errors.ts';
import { parseAuthority } from '../../core/origin.ts';
import type { AdminContext, AdminMiddleware } from '../state.ts';

export const maxHeaders = 100;

/**
 * DNS rebinding: a web page whose name is made to resolve to this service reaches it with that name in `Host`. Only names
 * that somebody chose for the service are answered: the address on which the connection arrived, `localhost` and `hosts`.
 * The port is not compared, because containers and tunnels map it.
 */
export function guardHost(of: { hosts: readonly string[] }): AdminMiddleware {
  const known = new Set(['localhost', ...of.hosts.map((host) => parseAuthority(host, 'https', 443).host)]);
  return async (ctx, next) => {
    // Node's parser drops what is over its own limit in silence, and the header that is dropped could be the Origin.
    if (ctx.req.rawHeaders.length / 2 > maxHeaders) throw new AlterError('headers_too_large');
    // The absolute form names a second host beside the header; nobody who means well sends it to an API server.
    if (!ctx.req.url?.startsWith('/')) throw malformed('The request target must be a path.');
    const host = findOnlyHeader(ctx, 'host');
    if (host === null) throw malformed('The request must have one Host header.');
    let name: string;
    try {
      name = parseAuthority(host, 'https', 443).host;
    } catch {
      throw new AlterError('host_unknown');
    }
    if (!known.has(name) && name !== arrivalAddress(ctx)) throw new AlterError('host_unknown');
    await next();
  };
}

/** Browsers send `Origin` with whatever a page may do across sites; the CLI and servers never do. There is no CORS here. */
export function guardOrigin(): AdminMiddleware {
  return async (ctx, next) => {
    if (ctx.req.headersDistinct.origin !== undefined) throw new AlterError('origin_forbidden');
    await next();
  };
}

/** Null where the header is absent. Throws `request_malformed` where it stands twice: two readers could pick differently. */
export function findOnlyHeader(ctx: AdminContext, name: string): string | null {
  const values = ctx.req.headersDistinct[name];
  if (values === undefined) return null;
  if (values.length !== 1) throw malformed(`The request must have at most one ${name} header.`);
  return values[0]!;
}

function arrivalAddress(ctx: AdminContext): string | null {
  const address = ctx.req.socket.localAddress;
  if (address === undefined) return null;
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

function malformed(detail: string): AlterError {
  return new AlterError('request_malformed', { detail });
}
