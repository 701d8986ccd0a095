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

function linesOf(headers: readonly string[]): string {
  let text = '';
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return text;
}
