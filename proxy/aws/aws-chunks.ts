import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AlterError } from '../../core/errors.ts';
import type { SigningMemory } from './signed-body.ts';

/** Signs the parts of a body, each over the signature before it; the first over that of the request. */
export interface ChunkSigner {
  signChunk(data: Uint8Array, previous: string): Promise<string>;
  /** `digest`: SHA-256 of the canonical trailers, in hex. */
  signTrailers(digest: string, previous: string): Promise<string>;
}

export interface ChunkRules {
  readonly signer: ChunkSigner;
  /** The signature of the request itself. */
  readonly seed: string;
  /** Whether signed trailers follow the last chunk. */
  readonly hasTrailers: boolean;
  readonly maxChunkBytes: number;
  readonly memory: SigningMemory;
}

const maxLineBytes = 256;
const maxTrailerBytes = 8_192;
const signatureLength = 64;
const lineEnd = Buffer.from('\r\n');
const chunkHead = /^([0-9a-fA-F]{1,12});chunk-signature=[0-9a-fA-F]{64}$/;
const trailerSignature = 'x-amz-trailer-signature';

/**
 * `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` with the client's signatures replaced, chunk by chunk as it streams:
 *
 *     SIZE-IN-HEX;chunk-signature=64 HEX CRLF
 *     DATA CRLF
 *     …
 *     0;chunk-signature=64 HEX CRLF
 *     name:value CRLF                        } only with trailers
 *     x-amz-trailer-signature:64 HEX CRLF    }
 *     CRLF
 *
 * A signature stands before its data, so one chunk is in memory at a time. Sizes stay as the client chose them and all
 * signatures are of one length, so Content-Length stays true. The stream ends with `request_malformed` for a body of
 * another form, `body_too_large_to_sign` for a chunk beyond the limit, `overloaded`.
 */
export function resignChunks(source: Readable, rules: ChunkRules): Readable {
  return Readable.from(signed(source, rules), { objectMode: false, highWaterMark: 0 });
}

async function* signed(source: Readable, rules: ChunkRules): AsyncGenerator<Buffer> {
  const input = new ChunkInput(source);
  try {
    yield* signEach(input, rules);
  } finally {
    await input.close();
  }
}

async function* signEach(input: ChunkInput, rules: ChunkRules): AsyncGenerator<Buffer> {
  const { signer, memory } = rules;
  let previous = rules.seed;
  for (;;) {
    const line = await input.line(maxLineBytes);
    const sizeText = chunkHead.exec(line)?.[1];
    if (sizeText === undefined) throw malformed('the head of a chunk');
    const size = Number.parseInt(sizeText, 16);
    if (size > rules.maxChunkBytes)
      throw new AlterError('body_too_large_to_sign', {
        detail: `A signed chunk of ${size} bytes is larger than the ${rules.maxChunkBytes} that are held to be signed.`,
        hint: 'Upload in smaller chunks, or raise ALTER_MAX_SIGNED_BODY_BYTES.',
      });
    memory.take(size);
    try {
      const head = `${sizeText};chunk-signature=`;
      const dataAt = head.length + signatureLength + lineEnd.length;
      const chunk = Buffer.allocUnsafe(dataAt + size + (size === 0 ? 0 : lineEnd.length));
      const data = chunk.subarray(dataAt, dataAt + size);
      await input.fill(data);
      previous = await signer.signChunk(data, previous);
      chunk.write(`${head}${previous}\r\n`, 'latin1');
      if (size > 0) {
        await input.skipLineEnd();
        lineEnd.copy(chunk, dataAt + size);
      }
      yield chunk;
    } finally {
      memory.giveBack(size);
    }
    if (size > 0) continue;
    if (rules.hasTrailers) yield await signTrailers(input, signer, previous);
    else {
      await input.skipLineEnd();
      yield lineEnd;
    }
    if (!(await input.isOver())) throw malformed('what follows its last chunk');
    return;
  }
}

/**
 * Clients differ in the line ends of this part (`name:value\n\r\n` is one of the forms), and the signature does not cover
 * them: all stays as it came but for the signature.
 */
async function signTrailers(input: ChunkInput, signer: ChunkSigner, previous: string): Promise<Buffer> {
  const lines: string[] = [];
  const canonical: string[] = [];
  let bytes = 0;
  for (;;) {
    const line = await input.rawLine(maxTrailerBytes);
    bytes += line.length;
    if (bytes > maxTrailerBytes) throw malformed('its trailers');
    const text = line.trim();
    const colon = text.indexOf(':');
    const name = text.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    const value = text.slice(colon + 1).trim();
    if (name === trailerSignature) {
      if (!/^[0-9a-fA-F]{64}$/.test(value)) throw malformed('its trailers');
      const digest = createHash('sha256').update(canonical.sort().join('')).digest('hex');
      const signature = await signer.signTrailers(digest, previous);
      lines.push(line.replace(value, signature), await input.lineEnds());
      return Buffer.from(lines.join(''), 'latin1');
    }
    if (text !== '') {
      if (!/^[a-z0-9-]+$/.test(name)) throw malformed('its trailers');
      canonical.push(`${name}:${value}\n`);
    }
    lines.push(line);
  }
}

function malformed(where: string): AlterError {
  return new AlterError('request_malformed', {
    detail: `The body is announced as signed in chunks (x-amz-content-sha256), and is of another form in ${where}.`,
    hint: 'Send the chunks as AWS documents STREAMING-AWS4-HMAC-SHA256-PAYLOAD, each with its signature.',
  });
}

/** Reads lines and blocks of known size from a stream, never more than was asked for. */
class ChunkInput {
  readonly #chunks: AsyncIterableIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: Readable) {
    // An early answer of the upstream ends this reading; the client's connection must live on to get that answer.
    this.#chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
    return true;
  }

  /** With its line feed. */
  async rawLine(maxBytes: number): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf(10);
      if (end >= maxBytes || (end === -1 && this.#rest.length >= maxBytes)) throw malformed('a line that is too long');
      if (end !== -1) {
        const line = this.#rest.toString('latin1', 0, end + 1);
        this.#rest = this.#rest.subarray(end + 1);
        return line;
      }
      if (!(await this.#more())) throw malformed('its end, which is missing');
    }
  }

  /** Without its CRLF. */
  async line(maxBytes: number): Promise<string> {
    const line = await this.rawLine(maxBytes);
    if (!line.endsWith('\r\n')) throw malformed('a line end');
    return line.slice(0, -2);
  }

  async skipLineEnd(): Promise<void> {
    if ((await this.line(lineEnd.length)) !== '') throw malformed('the size of a chunk');
  }

  async fill(target: Buffer): Promise<void> {
    let filled = 0;
    while (filled < target.length) {
      if (this.#rest.length === 0 && !(await this.#more())) throw malformed('its end, which is missing');
      const copied = this.#rest.copy(target, filled);
      this.#rest = this.#rest.subarray(copied);
      filled += copied;
    }
  }

  /** Up to two line ends, and nothing else, until the stream is over. */
  async lineEnds(): Promise<string> {
    while (this.#rest.length < 5 && (await this.#more())) {}
    const text = this.#rest.toString('latin1');
    if (!/^(?:\r\n){0,2}$/.test(text)) throw malformed('what follows its trailers');
    this.#rest = Buffer.alloc(0);
    return text;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async isOver(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#more());
  }
}
