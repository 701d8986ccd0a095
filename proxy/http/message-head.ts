import { METHODS } from 'node:http';
import { AlterError, type ErrorCode } from '../../core/errors.ts';

/*
 * Heads of HTTP/1.1 messages, read as RFC 9112 has them and without its leniencies: a lone CR or LF, a folded line, a space
 * before a colon or any control character makes a head that two readers could understand in two ways, and is refused.
 */

/** Text is Latin-1: one character a byte. */
export interface RequestHead {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: '1.0' | '1.1';
  /** Flat, names and values by turns, in the order and spelling of the sender; values without white space around them. */
  readonly rawHeaders: readonly string[];
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly httpVersion: '1.0' | '1.1';
  readonly rawHeaders: readonly string[];
}

const emptyLine = Buffer.from('\r\n\r\n');
const methods: ReadonlySet<string> = new Set(METHODS);
const requestLine = /^([A-Z-]+) ([^ ]+) HTTP\/(1\.[01])$/;
const statusLine = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: (.*))?$/;
/** A control character but tab, or a CR or LF that is not part of a line end. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const unreadable = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/; // oxlint-disable-line no-control-regex
/** RFC 9110 section 5.6.2, by character code. */
const isTokenCode = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  isTokenCode[char.charCodeAt(0)] = 1;

const LF = 10;
const CR = 13;
const space = 32;
const tab = 9;

/**
 * Where the head ends that begins at `from`: the index behind its empty line, or -1 where it is still incomplete. `code` is
 * what the error says that is thrown as soon as it is clear that the bytes are no head, so that nobody waits for its end.
 */
export function findHeadEnd(bytes: Buffer, from: number, code: ErrorCode): number {
  const at = bytes.indexOf(emptyLine, from);
  if (at !== -1) return at + emptyLine.length;
  for (let lf = bytes.indexOf(LF, from); lf !== -1; lf = bytes.indexOf(LF, lf + 1))
    if (lf === from || bytes[lf - 1] !== CR) throw new AlterError(code);
  const first = bytes[from];
  if (first !== undefined && (first < 0x41 || first > 0x5a)) throw new AlterError(code); // every start line begins with A to Z
  return -1;
}

/** `text` is the whole head without its empty line. Throws `request_malformed`. */
export function parseRequestHead(text: string): RequestHead {
  const { start, rawHeaders } = parseLines(text, 'request_malformed');
  const [, method, url, httpVersion] = requestLine.exec(start) ?? [];
  if (method === undefined || url === undefined || !methods.has(method)) throw new AlterError('request_malformed');
  return { method, url, httpVersion: httpVersion as '1.0' | '1.1', rawHeaders };
}

/** Throws `upstream_protocol`. */
export function parseResponseHead(text: string): ResponseHead {
  const { start, rawHeaders } = parseLines(text, 'upstream_protocol');
  const [, httpVersion, status, reason] = statusLine.exec(start) ?? [];
  if (status === undefined) throw new AlterError('upstream_protocol');
  return { status: Number(status), reason: reason ?? '', httpVersion: httpVersion as '1.0' | '1.1', rawHeaders };
}

/** Trailers, which are header lines without a start line. `text` is without the empty line behind them. */
export function parseTrailers(text: string, code: ErrorCode): readonly string[] {
  if (text === '') return [];
  const { rawHeaders } = parseLines(`\r\n${text}`, code);
  // RFC 9110 section 6.5.1. Behind a body they say nothing, unless somebody takes them for the head of the next message.
  if (rawHeaders.some((name, i) => i % 2 === 0 && /^(?:content-length|transfer-encoding|host)$/i.test(name)))
    throw new AlterError(code);
  return rawHeaders;
}

function parseLines(text: string, code: ErrorCode): { readonly start: string; readonly rawHeaders: string[] } {
  if (unreadable.test(text)) throw new AlterError(code);
  let eol = text.indexOf('\r\n');
  if (eol === -1) return { start: text, rawHeaders: [] };
  const start = text.slice(0, eol);
  const rawHeaders: string[] = [];
  while (eol !== -1) {
    const from = eol + 2;
    eol = text.indexOf('\r\n', from);
    const end = eol === -1 ? text.length : eol;
    const colon = text.indexOf(':', from);
    if (colon <= from || colon >= end) throw new AlterError(code);
    for (let i = from; i < colon; i++) if (isTokenCode[text.charCodeAt(i)] !== 1) throw new AlterError(code);
    let first = colon + 1;
    let last = end;
    while (first < last && isBlank(text.charCodeAt(first))) first++;
    while (last > first && isBlank(text.charCodeAt(last - 1))) last--;
    rawHeaders.push(text.slice(from, colon), text.slice(first, last));
  }
  return { start, rawHeaders };
}

function isBlank(code: number): boolean {
  return code === space || code === tab;
}
