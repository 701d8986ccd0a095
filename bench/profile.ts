import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case } from './case.ts';
import { root } from './compile.ts';
import type { Contender } from './contender.ts';
import { drawFlame } from './flame.ts';
import { generate } from './generator.ts';
import { warmUp } from './measure.ts';
import { cpuSecondsOf } from './processes.ts';
import type { Upstream } from './upstream.ts';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** What V8 writes: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Microseconds on the monotonic clock, which this process reads too. */
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const shownFunctions = 60;

/**
 * Runs one of ours under the profiler and gives the self time of its functions, in microseconds per request, as Markdown,
 * and a flame graph of its busiest thread. Only the measured part counts. The profiler itself costs time, so shares mean more than sums.
 */
export async function profile(of: {
  readonly subject: Case;
  readonly contender: Contender;
  readonly upstream: Upstream;
  readonly directory: string;
  readonly profileDirectory: string;
  readonly seconds: number;
}): Promise<{ readonly text: string; readonly flame: string }> {
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
  let flame = '';
  let busiest = 0;
  for (const file of readdirSync(profileDirectory).filter((name) => name.endsWith('.cpuprofile'))) {
    const read = JSON.parse(readFileSync(join(profileDirectory, file), 'utf8')) as CpuProfile;
    const window = { from, to };
    const self = selfTimes(read, window, (node) => nameOf(node.callFrame));
    const busy = [...self].reduce((sum, [name, us]) => (name === '(idle)' ? sum : sum + us), 0);
    if (busy > busiest) {
      busiest = busy;
      const title = `${contender.name}, case ${subject.name}: ${(busy / result.requests).toFixed(1)} µs a request`;
      flame = drawFlame({ profile: read, window, title, nameOf });
    }
    lines.push('', `## ${file}`, '', '| µs / request | share | function |', '|--:|--:|---|');
    const ranked = [...self].filter(([name]) => name !== '(idle)').sort(([, a], [, b]) => b - a);
    for (const [name, us] of ranked.slice(0, shownFunctions))
      lines.push(`| ${(us / result.requests).toFixed(2)} | ${((us / busy) * 100).toFixed(1)} % | ${name} |`);
    lines.push(`| ${(busy / result.requests).toFixed(2)} | 100 % | all but idle |`);
    const owners = selfTimes(read, window, ownerOf(read));
    lines.push('', 'By file of ours or package, with what Node and native code did for it:', '');
    lines.push('| µs / request | share | owner |', '|--:|--:|---|');
    for (const [owner, us] of [...owners].sort(([, x], [, y]) => y - x).filter(([name]) => name !== '(idle)'))
      if (us > busy / 500)
        lines.push(`| ${(us / result.requests).toFixed(2)} | ${((us / busy) * 100).toFixed(1)} % | ${owner} |`);
  }
  return { text: `${lines.join('\n')}\n`, flame };
}

function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** Microseconds by what `label` makes of the function that was running. */
function selfTimes(
  { nodes, samples, timeDeltas, startTime }: CpuProfile,
  window: { readonly from: number; readonly to: number },
  label: (node: ProfileNode) => string,
): Map<string, number> {
  const labels = new Map(nodes.map((node) => [node.id, label(node)]));
  const self = new Map<string, number>();
  let at = startTime;
  for (let i = 0; i < samples.length; i++) {
    at += timeDeltas[i]!;
    if (at < window.from || at > window.to) continue;
    const name = labels.get(samples[i]!)!;
    // A delta stands before its sample: the time until the next one was spent where this one was taken.
    self.set(name, (self.get(name) ?? 0) + (timeDeltas[i + 1] ?? 0));
  }
  return self;
}

/** The nearest caller that is a file of ours or a package. */
function ownerOf({ nodes }: CpuProfile): (node: ProfileNode) => string {
  const parents = new Map<number, ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  return (node) => {
    let below = node;
    for (let at: ProfileNode | undefined = node; at !== undefined; at = parents.get(at.id)) {
      const place = placeOf(at.callFrame);
      if (place !== null && !/^(?:node|wasm|evalmachine):?/.test(place))
        return /^(?:core|vault|certs|proxy|admin|telemetry|serve|cli)\//.test(place)
          ? place
          : (/^(?:@[^/]+\/)?[^/]+/.exec(place)?.[0] ?? place);
      if (at.callFrame.functionName !== '(root)') below = at;
    }
    const place = placeOf(below.callFrame);
    return place === null ? below.callFrame.functionName : `${below.callFrame.functionName} ${place}`;
  };
}

function nameOf(callFrame: ProfileNode['callFrame']): string {
  const { functionName, lineNumber } = callFrame;
  const name = functionName === '' ? '(anonymous)' : functionName;
  const place = placeOf(callFrame);
  return place === null ? name : `\`${name}\` ${place}:${lineNumber + 1}`;
}

/** Null for native code. */
function placeOf({ url }: ProfileNode['callFrame']): string | null {
  if (url === '') return null;
  const path = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : url;
  return path.replace(/^(?:\.\.\/)*(?:.*node_modules|bench\/build\/alter)\//, '');
}
