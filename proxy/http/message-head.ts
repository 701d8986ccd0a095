import { METHODS } from 'node:http';
import { AlterError, type ErrorCode } from '../../core/errors.ts';
import type { FirstLines } from './first-lines.ts';

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
  /** `rawHeaders` is the very object of a head before it, with the same lines: what was made of it then is good now. */
  readonly repeats: boolean;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly httpVersion: '1.0' | '1.1';
  readonly rawHeaders: readonly string[];
  readonly repeats: boolean;
}

const emptyLine = Buffer.from('\r\n\r\n');
const methods: ReadonlySet<string> = new Set(METHODS);
const statusLine = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: (.*))?$/;
/** RFC 9110 section 5.6.2, by character code. */
const isTokenCode = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  isTokenCode[char.charCodeAt(0)] = 1;

/** Any character but controls other than tab. */
const isTextCode = new Uint8Array(256).fill(1, 0x20);
isTextCode[0x7f] = 0;
isTextCode[0x09] = 1;

const tab = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const space = 0x20;
const colon = 0x3a;
/** Behind the target, before the last digit of the version. */
const versionStart = Buffer.from(' HTTP/1.', 'latin1');
const versionLength = versionStart.length + 1;
const zero = 0x30;
/** Longer header lines are not kept for the next head. */
const maxKeptLength = 4_096;

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

/**
 * Reads the heads of one direction of one connection. On a kept connection header lines repeat, often all of them: those are
 * not parsed again, and their head says so.
 */
export class HeadReader {
  readonly #code: ErrorCode;
  /** Until the first head was read. */
  #firstLines: FirstLines | null;
  /** The header lines of the head before, and what they were parsed to. */
  #lines: string | null = null;
  #rawHeaders: readonly string[] = [];

  /** `code`: of the error that is thrown for a head that can't be read. `firstLines`: those of the connections before. */
  constructor(code: ErrorCode, firstLines: FirstLines | null = null) {
    this.#code = code;
    this.#firstLines = firstLines;
  }

  /** `end` is what {@link findHeadEnd} gave. */
  readRequest(bytes: Buffer, from: number, end: number): RequestHead {
    const eol = this.#endOfText(bytes, from);
    const start = bytes.toString('latin1', from, eol);
    const target = start.indexOf(' ') + 1;
    const behind = start.length - versionLength;
    if (target >= behind || start.indexOf(' ', target) !== behind) throw new AlterError(this.#code);
    const method = findMethod(start.slice(0, Math.max(target - 1, 0)));
    const httpVersion = findVersion(bytes, eol);
    if (method === null || httpVersion === null) throw new AlterError(this.#code);
    const repeats = this.#readLines(bytes, eol + 2, end - 2);
    return { method, url: start.slice(target, behind), httpVersion, rawHeaders: this.#rawHeaders, repeats };
  }

  /** `end` is what {@link findHeadEnd} gave. */
  readResponse(bytes: Buffer, from: number, end: number): ResponseHead {
    const eol = this.#endOfText(bytes, from);
    const start = bytes.toString('latin1', from, eol);
    const [, version, status, reason] = statusLine.exec(start) ?? [];
    if (status === undefined) throw new AlterError(this.#code);
    const repeats = this.#readLines(bytes, eol + 2, end - 2);
    return {
      status: Number(status),
      reason: reason ?? '',
      httpVersion: version as '1.0' | '1.1',
      rawHeaders: this.#rawHeaders,
      repeats,
    };
  }

  /** Of a start line, which may hold no control characters either. */
  #endOfText(bytes: Buffer, from: number): number {
    let at = from;
    while (isTextCode[bytes[at]!] === 1) at++;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw new AlterError(this.#code);
    return at;
  }

  /** Whether they are the lines of the head before. */
  #readLines(bytes: Buffer, from: number, end: number): boolean {
    const lines = bytes.toString('latin1', from, end); // no slice of a longer string: those are compared many times slower
    if (lines === this.#lines) return true;
    const firstLines = lines.length > maxKeptLength ? null : this.#firstLines;
    const known = firstLines?.find(lines);
    this.#rawHeaders = known ?? parseLines(bytes, from, end, lines, this.#code);
    this.#lines = lines.length > maxKeptLength ? null : lines;
    if (known === undefined) firstLines?.keep(lines, this.#rawHeaders);
    this.#firstLines = null;
    return known !== undefined;
  }
}

/** The usual ones are compared: to look a fresh string up, it would have to be hashed first. */
function findMethod(text: string): string | null {
  if (text === 'GET') return 'GET';
  if (text === 'POST') return 'POST';
  if (text === 'CONNECT') return 'CONNECT';
  return methods.has(text) ? text : null;
}

/** Of the start line that ends at `end`. */
function findVersion(bytes: Buffer, end: number): '1.0' | '1.1' | null {
  const digit = bytes[end - 1]! - zero;
  if (digit !== 0 && digit !== 1) return null;
  for (let i = 0; i < versionStart.length; i++) if (bytes[end - versionLength + i] !== versionStart[i]) return null;
  return digit === 1 ? '1.1' : '1.0';
}

/** Trailers, which are header lines without a start line. `text` is without the empty line behind them. */
export function parseTrailers(text: string, code: ErrorCode): readonly string[] {
  if (text === '') return [];
  const bytes = Buffer.from(`${text}\r\n`, 'latin1');
  const rawHeaders = parseLines(bytes, 0, bytes.length, text, code);
  // RFC 9110 section 6.5.1. Behind a body they say nothing, unless somebody takes them for the head of the next message.
  if (rawHeaders.some((name, i) => i % 2 === 0 && /^(?:content-length|transfer-encoding|host)$/i.test(name)))
    throw new AlterError(code);
  return rawHeaders;
}

/**
 * Header lines, each with its end, are looked at byte by byte from `from` to `end`, and cut out of `text`, which is the same
 * as a string: measured, that is a quarter of what regular expressions take.
 */
function parseLines(bytes: Buffer, from: number, end: number, text: string, code: ErrorCode): string[] {
  const rawHeaders: string[] = [];
  let at = from;
  while (at < end) {
    const name = at;
    while (isTokenCode[bytes[at]!] === 1) at++;
    if (at === name || bytes[at] !== colon) throw new AlterError(code);
    const nameEnd = at++;
    while (isBlank(bytes[at])) at++;
    const value = at;
    while (isTextCode[bytes[at]!] === 1) at++;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw new AlterError(code);
    let valueEnd = at;
    while (valueEnd > value && isBlank(bytes[valueEnd - 1])) valueEnd--;
    rawHeaders.push(text.slice(name - from, nameEnd - from), text.slice(value - from, valueEnd - from));
    at += 2;
  }
  return rawHeaders;
}

function isBlank(code: number | undefined): boolean {
  return code === space || code === tab;
}
