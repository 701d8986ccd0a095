/** Headers that are ready to leave: flat for who looks at them, as text for who writes them. */
export class HeaderLines {
  /** Names and values by turns. */
  readonly flat: readonly string[];
  #text: string | null = null;

  constructor(flat: readonly string[]) {
    this.flat = flat;
  }

  /** Each line with its end. */
  get text(): string {
    this.#text ??= linesOf(this.flat);
    return this.#text;
  }
}

/** Joined, because what is put together with `+` stays in pieces, which are gone through again each time that it is written. */
export function linesOf(headers: readonly string[]): string {
  const pieces: string[] = [];
  for (let i = 0; i < headers.length; i += 2) pieces.push(headers[i]!, ': ', headers[i + 1]!, '\r\n');
  return pieces.join('');
}
