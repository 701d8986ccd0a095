/** One line on a terminal that is written over; nothing where nobody looks. */
export class Progress {
  readonly #isWatched = process.stderr.isTTY === true;
  #hasWritten = false;

  tell(text: string): void {
    if (!this.#isWatched) return;
    this.#hasWritten = true;
    process.stderr.write(`\r${text}\u001b[K`);
  }

  end(): void {
    if (this.#hasWritten) process.stderr.write('\n');
    this.#hasWritten = false;
  }
}
