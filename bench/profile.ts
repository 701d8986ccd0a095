import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case } from './case.ts';
import { root } from './compile.ts';
import type { Contender } from './contender.ts';
import { generate } from './generator.ts';
import { warmUp } from './measure.ts';
import { cpuSecondsOf } from './processes.ts';
import type { Upstream } from './upstream.ts';

/** What V8 writes: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** Microseconds on the monotonic clock, which this process reads too. */
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const shownFunctions = 60;

/**
 * Runs one of ours under the profiler and gives the self time of its functions, in microseconds per request, as Markdown.
 * Only the measured part counts. The profiler itself costs time, so shares mean more than sums.
 */
export async function profile(of: {
  readonly subject: Case;
  readonly contender: Contender;
  readonly upstream: Upstream;
  readonly directory: string;
  readonly profileDirectory: string;
  readonly seconds: number;
}): Promise<string> {
  const { subject, contender, upstream, seconds, profileDirectory } = of;
  const directory = join(of.directory, 'profiled');
  mkdirSync(directory);
  rmSync(profileDirectory, { recursive: true, force: true });
  mkdirSync(profileDirectory, { recursive: true });
  const running = await contender.start({ directory, upstream, profileDirectory });
  let from = 0;
  let cpu = 0;
  let result: Awaited<ReturnType<typeof generate>>;
  let to: number;
  try {
    await warmUp(running, subject.load, 3);
    result = await generate({
      load: subject.load,
      route: running.route,
      seconds,
      atReady: () => {
        cpu = cpuSecondsOf(running.pids);
        from = monotonicUs();
      },
    });
    to = monotonicUs();
    cpu = cpuSecondsOf(running.pids) - cpu;
  } finally {
    await running.stop();
  }

  const lines = [
    `# Self time of ${contender.name}, case ${subject.name}`,
    '',
    `${result.requests} requests in ${result.seconds.toFixed(1)} s under the profiler, ${result.errors} errors, ${((cpu * 1e6) / result.requests).toFixed(1)} µs of CPU each.`,
    `The profiles are in ${relative(root, profileDirectory)}.`,
  ];
  for (const file of readdirSync(profileDirectory).filter((name) => name.endsWith('.cpuprofile'))) {
    const text = readFileSync(join(profileDirectory, file), 'utf8');
    const self = selfTimes(JSON.parse(text) as CpuProfile, { from, to });
    const busy = [...self].reduce((sum, [name, us]) => (name === '(idle)' ? sum : sum + us), 0);
    lines.push('', `## ${file}`, '', '| µs / request | share | function |', '|--:|--:|---|');
    const ranked = [...self].filter(([name]) => name !== '(idle)').sort(([, a], [, b]) => b - a);
    for (const [name, us] of ranked.slice(0, shownFunctions))
      lines.push(`| ${(us / result.requests).toFixed(2)} | ${((us / busy) * 100).toFixed(1)} % | ${name} |`);
    lines.push(`| ${(busy / result.requests).toFixed(2)} | 100 % | all but idle |`);
    const parts = new Map<string, number>();
    for (const [name, us] of self) if (name !== '(idle)') parts.set(partOf(name), (parts.get(partOf(name)) ?? 0) + us);
    lines.push('', '| µs / request | share | part |', '|--:|--:|---|');
    for (const [part, us] of [...parts].sort(([, a], [, b]) => b - a).filter(([, one]) => one > busy / 1_000))
      lines.push(`| ${(us / result.requests).toFixed(2)} | ${((us / busy) * 100).toFixed(1)} % | ${part} |`);
  }
  return `${lines.join('\n')}\n`;
}

function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** Microseconds by function. */
function selfTimes(
  { nodes, samples, timeDeltas, startTime }: CpuProfile,
  window: { readonly from: number; readonly to: number },
): Map<string, number> {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const self = new Map<string, number>();
  let at = startTime;
  for (let i = 0; i < samples.length; i++) {
    at += timeDeltas[i]!;
    if (at < window.from || at > window.to) continue;
    const name = names.get(samples[i]!)!;
    // A delta stands before its sample: the time until the next one was spent where this one was taken.
    self.set(name, (self.get(name) ?? 0) + (timeDeltas[i + 1] ?? 0));
  }
  return self;
}

/** The file of ours, the module of Node, or the package. What has no file is native: a system call, TLS, a hash. */
function partOf(name: string): string {
  const [, place] = /^`.*` (.*):\d+$/.exec(name) ?? [];
  if (place === undefined) return `native ${name}`;
  if (place.startsWith('node:') || place.startsWith('wasm:'))
    return place.replace(/^wasm:.*/, 'wasm (llhttp of undici)');
  return /^(?:core|vault|certs|proxy|admin|telemetry|serve|cli)\//.test(place) ? place : place.split('/')[0]!;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  if (url === '') return functionName === '' ? '(anonymous)' : functionName;
  const path = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : url;
  const place = path.replace(/^(?:\.\.\/)*(?:.*node_modules|bench\/build\/alter)\//, '');
  return `\`${functionName === '' ? '(anonymous)' : functionName}\` ${place}:${lineNumber + 1}`;
}
