import { printable } from './printable.ts';

export interface Column {
  readonly header: string;
  /** Never shortened: ids and slugs are copied, and half of one is useless. */
  readonly keep?: boolean;
}

const gap = '  ';
const minWidth = 6;

/**
 * Rows under a header line, in columns separated by two spaces. `maxWidth` is the width of the terminal in cells, or null
 * in a pipe, where nothing is shortened. Where the columns can't be narrowed enough, every row becomes a block of lines, a
 * line a column, with nothing shortened. Control characters in cells are written out.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  maxWidth: number | null,
): string {
  const cells = [columns.map(({ header }) => header), ...rows].map((row) => row.map(printable));
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => cellWidth(row[index] ?? ''))));
  if (maxWidth !== null && !fitWidths(widths, columns, maxWidth)) return formatBlocks(cells);
  return cells
    .map((row) =>
      row
        .map((cell, index) => fitCell(cell, widths[index]!))
        .join(gap)
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/**
 * Narrows the widest column first, cell by cell, so that the space is shared evenly among those that need it. False where
 * they don't fit however narrow.
 */
function fitWidths(widths: number[], columns: readonly Column[], maxWidth: number): boolean {
  let excess = widths.reduce((sum, width) => sum + width, 0) + gap.length * (widths.length - 1) - maxWidth;
  while (excess > 0) {
    let widest = -1;
    for (let i = 0; i < widths.length; i += 1)
      if (columns[i]!.keep !== true && widths[i]! > minWidth && (widest === -1 || widths[i]! > widths[widest]!))
        widest = i;
    if (widest === -1) return false;
    widths[widest]! -= 1;
    excess -= 1;
  }
  return true;
}

/** The header is the first of the rows. */
function formatBlocks([headers = [], ...rows]: readonly (readonly string[])[]): string {
  const width = Math.max(...headers.map(cellWidth));
  return rows
    .map((row) => row.map((cell, index) => `${fitCell(headers[index] ?? '', width)}${gap}${cell}\n`).join(''))
    .join('\n');
}

function fitCell(cell: string, width: number): string {
  const own = cellWidth(cell);
  if (own <= width) return cell + ' '.repeat(width - own);
  let text = '';
  let used = 0;
  for (const segment of segmentsOf(cell)) {
    const next = cellWidth(segment);
    if (used + next > width - 1) break;
    text += segment;
    used += next;
  }
  return `${text}…${' '.repeat(width - used - 1)}`;
}

let segmenter: Intl.Segmenter | undefined; // made when a text needs it: that takes 10 ms, and every command loads this file

function* segmentsOf(text: string): Generator<string> {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  for (const { segment } of segmenter.segment(text)) yield segment;
}

const plainAscii = /^[\x20-\x7e]*$/;
/** Emoji, and the blocks that terminals draw two cells wide (Unicode's East Asian Width W and F, roughly). */
const wide =
  /\p{Emoji_Presentation}|[\u{1100}-\u{115f}\u{2e80}-\u{303e}\u{3041}-\u{a4cf}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{20000}-\u{3fffd}]/u;

/** How many cells of a terminal a text takes. */
export function cellWidth(text: string): number {
  if (plainAscii.test(text)) return text.length;
  let width = 0;
  for (const segment of segmentsOf(text)) width += wide.test(segment) ? 2 : /^\p{M}+$/u.test(segment) ? 0 : 1;
  return width;
}
