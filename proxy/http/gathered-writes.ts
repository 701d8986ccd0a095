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
  readonly #pieces: (string | Buffer)[] = [];
  #bytes = 0;
  #isCorked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Of text, Latin-1. */
  add(piece: string | Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  /** Whether the connection takes more now; where it does not, it says `drain` later. */
  flush(): boolean {
    const pieces = this.#pieces;
    const socket = this.#socket;
    if (pieces.length === 0) return !socket.writableNeedDrain;
    const isBulk = this.#bytes >= bulkBytes;
    if (isBulk && !this.#isCorked) this.#cork();
    let takesMore = true;
    if (isBulk) for (const piece of pieces) takesMore = write(socket, piece);
    else takesMore = pieces.length === 1 ? write(socket, pieces[0]!) : socket.write(this.#joined());
    pieces.length = 0;
    this.#bytes = 0;
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

  #joined(): Buffer {
    const whole = Buffer.allocUnsafe(this.#bytes);
    let at = 0;
    for (const piece of this.#pieces)
      at += typeof piece === 'string' ? whole.write(piece, at, 'latin1') : piece.copy(whole, at);
    return whole;
  }
}

function write(socket: Socket, piece: string | Buffer): boolean {
  return typeof piece === 'string' ? socket.write(piece, 'latin1') : socket.write(piece);
}
