/**
 * Control characters move the cursor, retitle the window or paste into the shell; bidi and zero-width characters make one
 * name look like another (CVE-2021-42574). None of them reaches a terminal as it is.
 */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The text with every such character written out: `\x1b`, `\u{202e}`. */
export function printable(text: string): string {
  return text.replace(unsafe, (char) => {
    const point = char.codePointAt(0)!;
    return point <= 0xff ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u{${point.toString(16)}}`;
  });
}

/** JSON that means the same and holds no such character raw: JSON.stringify leaves DEL, C1 and bidi controls as they are. */
export function printableJson(value: unknown, indent: number): string {
  return JSON.stringify(value, null, indent).replace(unsafe, (char) =>
    char === '\n'
      ? char // only the indentation has these; inside strings JSON.stringify has escaped them
      : [...Array(char.length).keys()].map((i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  );
}
