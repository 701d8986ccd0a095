import { AlterError } from '../../core/errors.ts';
import type { Reflection } from './reflection.ts';

/** Headers of this hop, and those that would lead the client around the proxy or speak to it in the proxy's name. */
const dropped = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'alt-svc',
  'http2-settings',
]);

/** The head of an upstream's answer, read once. Throws `upstream_protocol` for one that could be framed in two ways. */
export class ResponseHeaders {
  /** Flat, in the upstream's order and spelling. */
  readonly endToEnd: readonly string[];
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
      const lower = lowered(name);
      if (lower === 'content-length') {
        if (contentLength !== null)
          throw new AlterError('upstream_protocol', { detail: 'The upstream sent Content-Length twice.' });
        if (!/^\d{1,16}$/.test(value))
          throw new AlterError('upstream_protocol', {
            detail: 'The upstream sent a Content-Length that is no number.',
          });
        contentLength = value;
      }
      if (lower === 'transfer-encoding') {
        // Any other coding would be taken off by nobody, and two readers of a list could end the body in two places.
        if (chunked || value.toLowerCase() !== 'chunked')
          throw new AlterError('upstream_protocol', { detail: 'The upstream sent a Transfer-Encoding but chunked.' });
        chunked = true;
      }
      if (lower === 'connection')
        nominated = nominated.concat(value.split(',').map((token) => token.trim().toLowerCase()));
      if (dropped.has(lower) || lower.startsWith('proxy-') || lower.startsWith('x-alter-')) continue;
      const shown = reflection === null ? value : reflection.clean(lower, value);
      if (shown !== null) kept.push(name, shown);
    }
    if (chunked && contentLength !== null)
      throw new AlterError('upstream_protocol', { detail: 'The upstream framed its answer in two ways.' });
    this.endToEnd =
      nominated.length === 0 ? kept : kept.filter((_, i) => !nominated.includes(kept[i - (i % 2)]!.toLowerCase()));
    this.contentLength = contentLength === null ? null : Number(contentLength);
    this.isChunked = chunked;
  }
}

/** Upstreams repeat the names of their headers: those of the first thousand are lowered once. */
const known = new Map<string, string>();
const maxKnown = 1_000;

function lowered(name: string): string {
  let lower = known.get(name);
  if (lower !== undefined) return lower;
  lower = name.toLowerCase();
  if (known.size < maxKnown) known.set(name, lower);
  return lower;
}

/** The words behind the status, which are the upstream's own. */
export function reasonOf(reason: string | undefined, reflection: Reflection | null): string {
  return reason === undefined || reflection?.isIn(reason) === true ? '' : reason;
}
