import type { Readable } from 'node:stream';
import { AlterError } from '../../core/errors.ts';

/** How the body of a request leaves: as it comes, as the bytes that were read to be signed, or through a stage. */
export type Payload = 'as it comes' | Buffer | ((source: Readable) => Readable);

export interface SigningLimits {
  /** Of a body that is read before it leaves, and of one signed chunk. */
  readonly maxBodyBytes: number;
  readonly memory: SigningMemory;
}

/** What signing needs besides the request and the credential. */
export interface Signing extends SigningLimits {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly body: ClientBody;
}

/** The body that the client sends, before anybody has read of it. */
export interface ClientBody {
  stream(): Readable;
  /** Answers `Expect: 100-continue`, without which such a client sends nothing. */
  askForBody(): void;
  /** Calls back once, when the exchange is over, or at once if it is. */
  onceOver(callback: () => void): void;
}

/** What all bodies of a process that wait to be signed may take together: many small limits add up. */
export class SigningMemory {
  readonly #maxBytes: number;
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Throws `overloaded`. */
  take(bytes: number): void {
    if (this.#usedBytes + bytes > this.#maxBytes)
      throw new AlterError('overloaded', {
        detail: 'Too many request bodies wait to be signed.',
        hint: 'Repeat the request later, or raise ALTER_MAX_SIGNING_MEMORY_BYTES.',
      });
    this.#usedBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

/**
 * The whole body, or null where it is larger than `maxBodyBytes`: then what was read is put back, so that it can still be
 * streamed. Its memory is given back when the exchange is over.
 *
 * Throws `overloaded`, and `request_malformed` where the client hangs up first.
 */
export async function readToSign({ body, maxBodyBytes, memory }: Signing): Promise<Buffer | null> {
  body.askForBody();
  const stream = body.stream();
  const chunks: Buffer[] = [];
  let taken = 0;
  const whole = new Promise<Buffer | null>((resolve, reject) => {
    const settle = (act: () => void): void => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onClose).off('error', onClose);
      act();
    };
    const onReadable = (): void => {
      try {
        for (let chunk = readSome(stream); chunk !== null; chunk = readSome(stream)) {
          memory.take(chunk.length);
          taken += chunk.length;
          chunks.push(chunk);
          if (taken > maxBodyBytes) {
            stream.unshift(Buffer.concat(chunks));
            settle(() => resolve(null));
            return;
          }
        }
      } catch (error) {
        settle(() => reject(error as AlterError));
      }
    };
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks)));
    const onClose = (): void =>
      settle(() =>
        reject(new AlterError('request_malformed', { detail: 'The connection ended before the body was complete.' })),
      );
    stream.on('readable', onReadable).on('end', onEnd).on('close', onClose).on('error', onClose);
    if (stream.destroyed) onClose();
  });
  try {
    return await whole;
  } catch (error) {
    memory.giveBack(taken);
    taken = 0;
    throw error;
  } finally {
    const held = taken;
    body.onceOver(() => memory.giveBack(held));
  }
}

function readSome(stream: Readable): Buffer | null {
  return stream.read() as Buffer | null;
}
