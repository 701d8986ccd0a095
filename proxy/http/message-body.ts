import { AlterError, type ErrorCode } from '../../core/errors.ts';
import { parseTrailers } from './message-head.ts';

/** How the end of a body is known: RFC 9112 section 6.3. A number is of bytes. */
export type Framing = 'none' | 'chunked' | 'until close' | number;

/** Takes the content of a body, without its framing. */
export interface ContentSink {
  content(bytes: Buffer): void;
}

const maxSizeLineBytes = 256;
const maxTrailerBytes = 8_192;
/** RFC 9112 section 7.1.1, without white space. The extensions are for nobody here. */
const sizeLine =
  /^([0-9a-fA-F]{1,13})(?:;[\w!#$%&'*+.^`|~-]+(?:=(?:[\w!#$%&'*+.^`|~-]+|"[\t\x20\x21\x23-\x5b\x5d-\x7e]*"))?)*$/;
const CR = 13;
const LF = 10;

type Expects = 'size' | 'data' | 'data end' | 'trailers' | 'nothing';

/** Reads one body from the bytes of a connection as they come, and says where it ends. */
export class BodyReader {
  readonly #framing: Framing;
  readonly #code: ErrorCode;
  #expects: Expects;
  /** Of the content that is still to come, as far as that is known; of the chunk under way. */
  #left: number;
  /** The begun line of a chunk size or of trailers, which came in pieces. */
  #line = '';
  #trailers: readonly string[] = [];

  /** `code`: of the errors of {@link read}. */
  constructor(framing: Framing, code: ErrorCode) {
    this.#framing = framing;
    this.#code = code;
    this.#left = typeof framing === 'number' ? framing : 0;
    this.#expects = framing === 'none' || framing === 0 ? 'nothing' : framing === 'chunked' ? 'size' : 'data';
  }

  /** Of a message without content; shared, because nothing ever happens in it. */
  static readonly none = new BodyReader('none', 'internal_error');

  get done(): boolean {
    return this.#expects === 'nothing';
  }

  /** Bytes that are still to come until the end, where that is known. */
  get remaining(): number | null {
    if (this.done) return 0;
    return typeof this.#framing === 'number' ? this.#left : null;
  }

  /** Flat; there once the body is done. */
  get trailers(): readonly string[] {
    return this.#trailers;
  }

  /** The connection ended: whether that is the end of the body. */
  endsWithConnection(): boolean {
    return this.done || this.#framing === 'until close';
  }

  /** Hands on what is content in `bytes` from `at` on, and gives the index behind the last byte that belongs to the body. Throws for a framing that can't be read. */
  read(bytes: Buffer, at: number, sink: ContentSink): number {
    if (this.#framing === 'until close') {
      sink.content(at === 0 ? bytes : bytes.subarray(at));
      return bytes.length;
    }
    if (typeof this.#framing === 'number') return this.#readKnown(bytes, at, sink);
    let next = at;
    while (next < bytes.length && this.#expects !== 'nothing') next = this.#step(bytes, next, sink);
    return next;
  }

  #readKnown(bytes: Buffer, at: number, sink: ContentSink): number {
    if (this.#left === 0) return at;
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#expects = 'nothing';
    sink.content(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
    return end;
  }

  #step(bytes: Buffer, at: number, sink: ContentSink): number {
    switch (this.#expects) {
      case 'size': {
        const next = this.#takeLine(bytes, at, maxSizeLineBytes);
        if (next === -1) return bytes.length;
        const size = sizeLine.exec(this.#line)?.[1];
        if (size === undefined) throw new AlterError(this.#code);
        this.#line = '';
        this.#left = Number.parseInt(size, 16);
        this.#expects = this.#left === 0 ? 'trailers' : 'data';
        return next;
      }
      case 'data': {
        const end = Math.min(bytes.length, at + this.#left);
        this.#left -= end - at;
        if (this.#left === 0) {
          this.#expects = 'data end';
          this.#left = 2;
        }
        sink.content(bytes.subarray(at, end));
        return end;
      }
      case 'data end': {
        if (bytes[at] !== (this.#left === 2 ? CR : LF)) throw new AlterError(this.#code);
        if (--this.#left === 0) this.#expects = 'size';
        return at + 1;
      }
      case 'trailers':
        return this.#takeTrailers(bytes, at);
      case 'nothing':
        return at;
    }
  }

  /** Collects a line without its end. Gives the index behind it, or -1 where it goes on. */
  #takeLine(bytes: Buffer, at: number, maxBytes: number): number {
    const lf = bytes.indexOf(LF, at);
    const end = lf === -1 ? bytes.length : lf;
    if (this.#line.length + end - at > maxBytes) throw new AlterError(this.#code);
    this.#line += bytes.toString('latin1', at, end);
    if (lf === -1) return -1;
    if (!this.#line.endsWith('\r')) throw new AlterError(this.#code);
    this.#line = this.#line.slice(0, -1);
    return lf + 1;
  }

  /** Lines up to an empty one. They are kept together, so that they are read as the lines of a head are. */
  #takeTrailers(bytes: Buffer, at: number): number {
    for (let next = at; next < bytes.length; next++) {
      this.#line += String.fromCharCode(bytes[next]!);
      if (this.#line.length > maxTrailerBytes) throw new AlterError(this.#code);
      if (this.#line === '\r\n' || this.#line.endsWith('\r\n\r\n')) {
        this.#trailers = parseTrailers(this.#line.slice(0, -4), this.#code);
        this.#line = '';
        this.#expects = 'nothing';
        return next + 1;
      }
    }
    return bytes.length;
  }
}
