import type { Case } from './case.ts';
import type { Results } from './results.ts';

const width = 760;
const labelWidth = 170;
const barWidth = 420;
const rowHeight = 22;
const font = 'font-family="system-ui, sans-serif"';

/** Bars of the first figure of every case, with a whisker from the smallest to the largest round. */
export function draw(results: Results, cases: readonly Case[]): string {
  const parts: string[] = [];
  let y = 34;
  const text = (x: number, at: number, words: string, more = ''): void =>
    void parts.push(`<text x="${x}" y="${at}" ${more}>${escaped(words)}</text>`);
  const { machine } = results;
  text(
    16,
    22,
    `Alter Egress beside its peers, commit ${machine.commit}, ${results.startedAt.slice(0, 10)}`,
    'font-size="15" font-weight="600"',
  );
  text(
    16,
    y + 8,
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}${results.quick ? ' – a quick run' : ''}`,
    'font-size="11" fill="#666"',
  );
  y += 8;
  for (const summary of results.cases) {
    const figure = cases.find(({ name }) => name === summary.name)?.figures[0];
    if (figure === undefined) continue;
    y += 32;
    text(16, y, summary.title, 'font-size="13" font-weight="600"');
    text(width - 16, y, `${figure.title}, ${figure.better} is better`, 'font-size="11" fill="#666" text-anchor="end"');
    const shown = summary.contenders.filter((contender) => (contender.figures[figure.title]?.median ?? 0) > 0);
    const most = Math.max(...shown.map((contender) => contender.figures[figure.title]!.max));
    for (const { contender, figures } of shown) {
      const { median, min, max } = figures[figure.title]!;
      const x = (value: number): number => Math.round(labelWidth + (Math.max(value, 0) / most) * barWidth);
      y += rowHeight;
      const color = contender.startsWith('alter') ? '#0b6e4f' : '#9aa5b1';
      text(labelWidth - 8, y + 4, contender, 'font-size="12" text-anchor="end"');
      parts.push(
        `<rect x="${labelWidth}" y="${y - 7}" width="${Math.max(x(median) - labelWidth, 1)}" height="14" rx="2" fill="${color}"/>`,
        `<line x1="${x(min)}" x2="${x(max)}" y1="${y}" y2="${y}" stroke="#1f2933" stroke-width="1.5"/>`,
      );
      text(x(max) + 8, y + 4, median.toFixed(figure.digits), 'font-size="12"');
    }
  }
  const height = y + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${font} fill="#1f2933">
<rect width="${width}" height="${height}" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
