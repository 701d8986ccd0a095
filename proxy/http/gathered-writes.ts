import type { Socket } from 'node:net';

/**
 * From here on a flush is part of a long body. Its pieces come as TLS records of 16 KiB, several of them in one turn of the
 * event loop: they wait for the end of the turn and leave together, in one write and one system call.
 */
const bulkBytes = 8_192;

/**
 * What is to be sent on a connection, put together until it is flushed: a head and the first bytes of its body leave in one
 * TLS record.
 */
export class GatheredWrites {
  readonly #socket: Socket;
  /** The first {@link #count} of them wait. Not cut to length, after which the next one would need new memory. */
  readonly #pieces: (string | Buffer)[] = ['', ''];
  #count = 0;
  #bytes = 0;
  #isCorked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Of text, Latin-1. */
  add(piece: string | Buffer): void {
    if (piece.length === 0) return;
    this.#pieces[this.#count++] = piece;
    this.#bytes += piece.length;
  }

  /** Whether the connection takes more now; where it does not, it says `drain` later. */
  flush(): boolean {
    const socket = this.#socket;
    if (this.#count === 0) return !socket.writableNeedDrain;
    const takesMore = this.#bytes < bulkBytes ? socket.write(this.#joined()) : this.#writeBulk();
    for (let i = 0; i < this.#count; i++) this.#pieces[i] = '';
    this.#count = 0;
    this.#bytes = 0;
    return takesMore;
  }

  #writeBulk(): boolean {
    const socket = this.#socket;
    if (!this.#isCorked) this.#cork();
    let takesMore = true;
    for (let i = 0; i < this.#count; i++) {
      const piece = this.#pieces[i]!;
      takesMore = typeof piece === 'string' ? socket.write(piece, 'latin1') : socket.write(piece);
    }
    return takesMore;
  }

  #cork(): void {
    this.#isCorked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#isCorked = false;
      this.#socket.uncork();
    });
  }

  /** Text too: a Buffer is written for less than a string. */
  #joined(): Buffer {
    const first = this.#pieces[0]!;
    if (this.#count === 1 && typeof first !== 'string') return first;
    const whole = Buffer.allocUnsafe(this.#bytes);
    let at = 0;
    for (let i = 0; i < this.#count; i++) {
      const piece = this.#pieces[i]!;
      at += typeof piece === 'string' ? whole.write(piece, at, 'latin1') : piece.copy(whole, at);
    }
    return whole;
  }
}
