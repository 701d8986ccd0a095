import type { Dispatcher } from 'undici';
import { AlterError, toAlterError } from '../../core/errors.ts';
import { type Origin, parseAuthority } from '../../core/origin.ts';
import { type DialRules, dial } from '../connection/dial.ts';
import type { UpstreamTls } from '../connection/verify.ts';

/** Gives the body of an `https` URL. Rejects with an AlterError. */
export type FetchHttps = (url: string) => Promise<Buffer>;

/** Posts JSON to an `https` URL; resolves with the status of the answer, whatever it is. Rejects with an AlterError. */
export type PostHttps = (
  url: string,
  of: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
) => Promise<{ readonly status: number }>;

export interface Guard {
  readonly dial: DialRules;
  readonly tls: UpstreamTls;
}

const maxBytes = 65_536;
const fetchDeadlineMs = 5_000;
const postDeadlineMs = 10_000;

/**
 * Fetches a small document, such as a key set, as the data plane reaches any upstream: every address of the name is classified before it is dialled, TLS is
 * verified, and nothing is followed. Only `https`: over anything else, whoever is on the way could put in a key of theirs.
 */
export function fetchHttpsThrough(guard: Guard): FetchHttps {
  const request = { method: 'GET', headers: { accept: 'application/json', 'accept-encoding': 'identity' } } as const;
  return (url) =>
    exchange(url, guard, { request, deadlineMs: fetchDeadlineMs }, async ({ statusCode, headers, body }) => {
      if (statusCode !== 200 || headers['content-encoding'] !== undefined) {
        const detail = `The URL was answered with ${statusCode}, or compressed.`;
        throw new AlterError('upstream_protocol', { detail });
      }
      return Buffer.from(await body.arrayBuffer());
    });
}

/** As {@link fetchHttpsThrough}. What the answer says besides its status is read by nobody. */
export function postHttpsThrough(guard: Guard): PostHttps {
  return (url, { headers, body }) => {
    const request = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body } as const;
    return exchange(url, guard, { request, deadlineMs: postDeadlineMs }, async ({ statusCode }) => ({
      status: statusCode,
    }));
  };
}

/** One request on a connection of its own, which ends with it. */
async function exchange<T>(
  url: string,
  guard: Guard,
  of: {
    readonly request: Pick<Dispatcher.RequestOptions, 'method' | 'headers'> & { readonly body?: string };
    readonly deadlineMs: number;
  },
  read: (response: Dispatcher.ResponseData) => Promise<T>,
): Promise<T> {
  const { deadlineMs } = of;
  const { origin, path } = readUrl(url);
  const { Client } = await import('undici'); // a service without identity providers and webhooks never loads it
  const client = new Client(`https://${origin.kind === 'ipv6' ? `[${origin.host}]` : origin.host}:${origin.port}`, {
    allowH2: false,
    pipelining: 1,
    headersTimeout: deadlineMs,
    bodyTimeout: deadlineMs,
    maxHeaderSize: 16_384,
    maxResponseSize: maxBytes,
    connect: (_, callback) => {
      dial(origin, guard.dial)
        .then((socket) => guard.tls.connect(socket, origin, deadlineMs))
        .then(
          (socket) => callback(null, socket),
          (error: unknown) => callback(toAlterError(error), null),
        );
    },
  });
  const deadline = AbortSignal.timeout(deadlineMs);
  try {
    return await read(await client.request({ ...of.request, path, signal: deadline }));
  } catch (error) {
    if (error instanceof AlterError) throw error;
    if (deadline.aborted) throw new AlterError('upstream_timeout', { cause: error });
    throw new AlterError('upstream_protocol', { detail: 'The answer could not be read.', cause: error });
  } finally {
    client.destroy().catch(() => {}); // what it had to say was said
  }
}

function readUrl(text: string): { readonly origin: Origin; readonly path: string } {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== 'https:' || url.username !== '' || url.password !== '')
    throw new AlterError('upstream_tls', { detail: 'It is fetched over https only.' });
  return { origin: parseAuthority(url.host, 'https', 443), path: url.pathname + url.search };
}
