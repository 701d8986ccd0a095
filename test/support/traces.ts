/**
 * The ways in which a word can be read again: as it stands, percent-encoded, escaped for JSON, in hex, and in base64 at each
 * of the three places where it can begin. The word is of letters and digits; what stands around it does not matter.
 */
export function tracesOf(word: string): readonly string[] {
  const bytes = Buffer.from(word);
  const each = (write: (code: string) => string): string =>
    [...bytes].map((byte) => write(byte.toString(16).padStart(2, '0'))).join('');
  const hex = bytes.toString('hex');
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '')
      .slice(offset === 0 ? 0 : offset + 1, -1),
  );
  return [
    ...[word, hex, hex.toUpperCase(), each((code) => `%${code}`), each((code) => `%${code.toUpperCase()}`)],
    ...[each((code) => `\\u00${code}`), each((code) => `\\x${code}`), [...bytes].join(','), [...bytes].join(', ')],
    ...base64.flatMap((text) => [text, text.replaceAll('+', '-').replaceAll('/', '_')]),
  ];
}

/** Which of these words can be read in the text, in whatever spelling. */
export function findTraces(text: string, words: ReadonlyMap<string, string>): readonly string[] {
  return [...words].filter(([, word]) => tracesOf(word).some((trace) => text.includes(trace))).map(([name]) => name);
}
