import { AlterError } from '../../core/errors.ts';
import { HeaderLines } from './header-lines.ts';
import { byHeaderName } from './header-names.ts';
import type { ResponseHead } from './message-head.ts';
import type { Reflection } from './reflection.ts';

type Role = 'content-length' | 'transfer-encoding' | 'connection' | 'dropped' | 'end-to-end';

/** Headers of this hop, and those that would lead the client around the proxy or speak to it in the proxy's name, are dropped. */
const roleOf = byHeaderName((name): Role => {
  switch (name) {
    case 'content-length':
    case 'transfer-encoding':
    case 'connection':
      return name;
    case 'keep-alive':
    case 'te':
    case 'trailer':
    case 'upgrade':
    case 'alt-svc':
    case 'http2-settings':
      return 'dropped';
    default:
      return name.startsWith('proxy-') || name.startsWith('x-alter-') ? 'dropped' : 'end-to-end';
  }
});

/** The head of an upstream's answer, read once. Throws `upstream_protocol` for one that could be framed in two ways. */
export class ResponseHeaders {
  /** In the upstream's order and spelling. */
  readonly endToEnd: HeaderLines;
  readonly contentLength: number | null;
  readonly isChunked: boolean;

  constructor(raw: readonly string[], reflection: Reflection | null) {
    const kept: string[] = [];
    let contentLength: string | null = null;
    let chunked = false;
    let nominated: string[] = [];
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i]!;
      const value = raw[i + 1]!;
      switch (roleOf(name)) {
        case 'dropped':
          continue;
        case 'connection':
          nominated = nominated.concat(value.split(',').map((token) => token.trim().toLowerCase()));
          continue;
        case 'transfer-encoding':
          // Any other coding would be taken off by nobody, and two readers of a list could end the body in two places.
          if (chunked || value.toLowerCase() !== 'chunked')
            throw new AlterError('upstream_protocol', { detail: 'The upstream sent a Transfer-Encoding but chunked.' });
          chunked = true;
          continue;
        case 'content-length':
          if (contentLength !== null)
            throw new AlterError('upstream_protocol', { detail: 'The upstream sent Content-Length twice.' });
          if (!/^\d{1,16}$/.test(value))
            throw new AlterError('upstream_protocol', {
              detail: 'The upstream sent a Content-Length that is no number.',
            });
          contentLength = value;
          break;
        case 'end-to-end':
          break;
      }
      const shown = reflection === null ? value : reflection.clean(name, value);
      if (shown !== null) kept.push(name, shown);
    }
    if (chunked && contentLength !== null)
      throw new AlterError('upstream_protocol', { detail: 'The upstream framed its answer in two ways.' });
    this.endToEnd = new HeaderLines(
      nominated.length === 0 ? kept : kept.filter((_, i) => !nominated.includes(kept[i - (i % 2)]!.toLowerCase())),
    );
    this.contentLength = contentLength === null ? null : Number(contentLength);
    this.isChunked = chunked;
  }
}

/** Of header lines that a connection repeats, by what they are cleaned of. Neither is kept for this. */
const repeated = new WeakMap<object, WeakMap<readonly string[], ResponseHeaders>>();
const ofNothing = {};

/** Throws as the constructor does. */
export function readResponseHeaders(
  { rawHeaders, repeats }: Pick<ResponseHead, 'rawHeaders' | 'repeats'>,
  reflection: Reflection | null,
): ResponseHeaders {
  if (!repeats) return new ResponseHeaders(rawHeaders, reflection);
  let known = repeated.get(reflection ?? ofNothing);
  if (known === undefined) {
    known = new WeakMap();
    repeated.set(reflection ?? ofNothing, known);
  }
  let headers = known.get(rawHeaders);
  if (headers === undefined) {
    headers = new ResponseHeaders(rawHeaders, reflection);
    known.set(rawHeaders, headers);
  }
  return headers;
}

/** The words behind the status, which are the upstream's own. */
export function reasonOf(reason: string | undefined, reflection: Reflection | null): string {
  return reason === undefined || reflection?.isIn(reason) === true ? '' : reason;
}
