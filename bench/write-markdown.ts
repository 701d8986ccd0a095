import type { Case } from './case.ts';
import type { Results } from './results.ts';
import type { CaseSummary, ContenderSummary, RatioSummary, Spread } from './summary.ts';
import { describeTargets } from './targets.ts';

export function writeMarkdown(results: Results, cases: readonly Case[], picture: string): string {
  const { machine, effort } = results;
  const missing = results.contenders.filter((contender) => contender.missing !== null);
  const lines = [
    `# Benchmark of ${results.startedAt.slice(0, 10)}, commit ${machine.commit}`,
    '',
    ...(results.quick
      ? ['**A quick run**: few and short rounds. It shows that all works and what comes out, not what is true.', '']
      : []),
    `- Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${machine.distribution}, Linux ${machine.kernel}`,
    `- Node ${machine.node} with OpenSSL ${machine.openssl}`,
    `- Load of the machine before the run: ${machine.loadBefore}${machine.loadBefore > 0.5 ? ' (**not quiet**: somebody else was at work)' : ''}`,
    `- ${effort.rounds} rounds of ${effort.seconds} s for each contender, in turn, after ${effort.warmUpSeconds} s of warm-up (ours: three times as long, because its compiler works on); half as many rounds where every one is a fresh process. Figures are medians, with the smallest and the largest round.`,
    '- CPU is user and system time of all processes and threads of the proxy, from /proc. Generator, upstream and proxy share the machine, so requests/s say less than CPU does.',
    '- The upstream answers 200 only where the credential came in and no key of the proxy did; the generator takes only a certificate of the CA that belongs to the contender, a status of 200 and a body of the right size. All else is an error.',
    '',
    '| contender | what it is | version |',
    '|---|---|---|',
    ...results.contenders
      .filter((contender) => contender.missing === null)
      .map((contender) => `| ${contender.name} | ${contender.description} | ${contender.version} |`),
    '',
    ...missing.map((contender) => `Not measured: **${contender.name}**, because ${contender.missing}.`),
    ...(missing.length > 0 ? [''] : []),
    ...describeTargets(results),
    ...describeProbes(results),
    `![The first figure of every case](${picture})`,
    '',
  ];
  for (const summary of results.cases) {
    const subject = cases.find(({ name }) => name === summary.name);
    if (subject !== undefined) lines.push(...describeCase(summary, subject));
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function describeProbes({ probes }: Results): string[] {
  if (probes.length === 0) return [];
  return [
    '## Ours alone',
    '',
    '| | median (range) |',
    '|---|--:|',
    ...probes.map(
      ({ name, title, figure, digits, spread }) =>
        `| ${title} (\`--only ${name}\`) | ${formatSpread(spread, digits)} ${figure} |`,
    ),
    '',
  ];
}

function describeCase(summary: CaseSummary, subject: Case): string[] {
  const failed = summary.contenders.filter(({ errors }) => errors > 0);
  const figures = subject.figures.filter((figure) =>
    summary.contenders.some((contender) => contender.figures[figure.title] !== null),
  );
  const row = (contender: ContenderSummary): string =>
    `| ${contender.contender} | ${figures
      .map((figure) => formatSpread(contender.figures[figure.title] ?? null, figure.digits))
      .join(' | ')} | ${contender.errors} of ${contender.requests + contender.errors} |`;
  return [
    `## ${summary.title}`,
    '',
    `\`npm run bench -- --only ${summary.name}\``,
    '',
    `| | ${figures.map(({ title }) => title).join(' | ')} | errors |`,
    `|---|${figures.map(() => '--:|').join('')}--:|`,
    ...summary.contenders.map(row),
    '',
    ...failed.map(({ contender, firstError }) => `**${contender} had errors**; the first one: \`${firstError}\``),
    ...Object.entries(summary.failures).map(([name, why]) => `**${name} did not work here**: \`${why}\``),
    ...(failed.length + Object.keys(summary.failures).length > 0 ? [''] : []),
    ...(summary.ratios.length === 0
      ? []
      : ['| ratio | of | median (range over rounds) |', '|---|---|--:|', ...summary.ratios.map(formatRatio), '']),
  ];
}

function formatSpread(spread: Spread | null, digits: number): string {
  if (spread === null) return '–';
  const { median, min, max } = spread;
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}

function formatRatio({ of, to, figure, better, ratio }: RatioSummary): string {
  return `| ${of} ÷ ${to} | ${figure}, ${better} is better | ${formatSpread(ratio, 2)} |`;
}
