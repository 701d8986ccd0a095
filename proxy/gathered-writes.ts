import type { Socket } from 'node:net';

/** Up to this, pieces are copied together; beyond, the copy would cost more than the writes that it saves. */
const maxCopiedBytes = 16_384;

/**
 * What is to be sent on a connection, put together until it is flushed: a head and the first bytes of its body leave in one
 * TLS record and one system call.
 */
export class GatheredWrites {
  readonly #socket: Socket;
  readonly #pieces: (string | Buffer)[] = [];
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Of text, Latin-1. */
  add(piece: string | Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Whether the connection takes more now; where it does not, it says `drain` later. */
  flush(): boolean {
    const pieces = this.#pieces;
    const socket = this.#socket;
    if (pieces.length === 0) return !socket.writableNeedDrain;
    let takesMore: boolean;
    if (pieces.length === 1) takesMore = write(socket, pieces[0]!);
    else if (this.#bytes <= maxCopiedBytes) takesMore = socket.write(this.#copied());
    else {
      socket.cork();
      for (const piece of pieces) write(socket, piece);
      socket.uncork();
      takesMore = !socket.writableNeedDrain;
    }
    pieces.length = 0;
    this.#bytes = 0;
    return takesMore;
  }

  #copied(): Buffer {
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
