/**
 * Where frames begin and end in one direction of a WebSocket (RFC 6455 section 5.2), counted as the bytes pass by. What is
 * in them is not looked at. Between two frames the proxy may put one of its own.
 */
export class FrameBoundary {
  /** Bytes of mask and payload that are still to come. */
  #left = 0;
  /** Bytes of the length that are still to come, of a head that has begun. */
  #lengthLeft = 0;
  #length = 0;
  #masked = false;
  #inHead = false;
  #lost = false;
  #closed = false;

  /** The end that sends here has said that it closes: nothing may follow. */
  get closed(): boolean {
    return this.#closed;
  }

  get isBetweenFrames(): boolean {
    return this.#left === 0 && !this.#inHead && !this.#lost;
  }

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) at = this.#step(chunk, at);
  }

  /** Reads on to the end of the frame under way; the index behind it, or -1 where the chunk ends first. */
  feedToEnd(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      at = this.#step(chunk, at);
      if (this.isBetweenFrames) return at;
    }
    return -1;
  }

  /** Reads one byte of a head, or as much of a payload as there is; the index behind it. */
  #step(chunk: Buffer, at: number): number {
    if (this.#lost) return chunk.length;
    if (this.#left > 0) {
      const taken = Math.min(this.#left, chunk.length - at);
      this.#left -= taken;
      return at + taken;
    }
    const byte = chunk[at]!;
    if (!this.#inHead) {
      this.#inHead = true;
      this.#length = -1;
      if ((byte & 0x0f) === 0x08) this.#closed = true;
    } else if (this.#length === -1) {
      this.#masked = (byte & 0x80) !== 0;
      const length = byte & 0x7f;
      this.#lengthLeft = length === 127 ? 8 : length === 126 ? 2 : 0;
      this.#length = this.#lengthLeft === 0 ? length : 0;
      if (this.#lengthLeft === 0) this.#endHead();
    } else {
      this.#length = this.#length * 256 + byte;
      if (--this.#lengthLeft === 0) this.#endHead();
    }
    return at + 1;
  }

  #endHead(): void {
    this.#inHead = false;
    this.#left = this.#length + (this.#masked ? 4 : 0);
    if (!Number.isSafeInteger(this.#left)) this.#lost = true; // no such frame will ever end
  }
}

/** A close frame, "going away" (1001). What a client sends is masked (section 5.3); a mask of zeros hides as little as any. */
export function closeFrame(masked: boolean): Buffer {
  return Buffer.from(masked ? [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9] : [0x88, 0x02, 0x03, 0xe9]);
}
