import type { OnReadOpts, Socket } from 'node:net';

/** One for all: what was read into it is copied out before anything else happens. As much as one read of a socket gives. */
const landing = Buffer.allocUnsafeSlow(65_536);

const ofSocket = new WeakMap<Socket, DirectRead>();

/**
 * Takes what one socket reads, past its stream. Node makes memory for every read by itself otherwise, which the garbage
 * collector has to count and to free.
 *
 * Until somebody takes it, what is read goes the way of streams.
 */
export class DirectRead {
  take: ((bytes: Buffer) => void) | null = null;
  #socket: Socket | null = null;

  /** Makes a socket with these options that reads directly. */
  static open<S extends Socket>(make: (options: { onread: OnReadOpts }) => S): S {
    const direct = new DirectRead();
    const socket = make({ onread: { buffer: landing, callback: (length) => direct.#read(length) } });
    direct.#socket = socket;
    ofSocket.set(socket, direct);
    return socket;
  }

  /** Null for a socket that reads as others do. */
  static of(socket: Socket): DirectRead | null {
    return ofSocket.get(socket) ?? null;
  }

  /** Whether to go on reading. */
  #read(length: number): boolean {
    const bytes = Buffer.allocUnsafe(length);
    landing.copy(bytes, 0, 0, length);
    if (this.take === null) return this.#socket!.push(bytes);
    this.take(bytes);
    return true;
  }
}
