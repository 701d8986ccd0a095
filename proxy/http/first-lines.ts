/**
 * The header lines with which connections begin, and what they were parsed to. A client opens one connection after the
 * other with the same ones, byte for byte: those are parsed once, and whatever was made of them is good again.
 *
 * They hold the key of a client. So what no connection began with for some seconds is let go, as an opened secret is.
 */
export class FirstLines {
  #young = new Map<string, readonly string[]>();
  #old = new Map<string, readonly string[]>();
  #agedAt = 0;

  /** The very object that was kept for these lines. */
  find(lines: string): readonly string[] | undefined {
    const found = this.#young.get(lines);
    if (found !== undefined) return found;
    const older = this.#old.get(lines);
    if (older !== undefined) this.keep(lines, older);
    return older;
  }

  keep(lines: string, rawHeaders: readonly string[]): void {
    if (this.#young.size >= maxKept) this.#age();
    this.#young.set(lines, rawHeaders);
  }

  /** To be called every second or so; `nowMs` on a monotonic clock. */
  sweep(nowMs: number): void {
    if (nowMs - this.#agedAt < ageMs) return;
    this.#agedAt = nowMs;
    this.#age();
  }

  #age(): void {
    this.#old = this.#young;
    this.#young = new Map();
  }
}

/** In each of two generations. */
const maxKept = 128;
/** What is not asked for is gone after twice that. */
const ageMs = 5_000;
