import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Case, Load } from './case.ts';
import type { Contender, Running } from './contender.ts';
import { generate } from './generator.ts';
import { cpuSecondsOf, processTree, rssBytesOf } from './processes.ts';
import type { Sample } from './sample.ts';
import type { Upstream } from './upstream.ts';

export interface Effort {
  readonly rounds: number;
  /** Of load, in one round of one contender. */
  readonly seconds: number;
  /** Before the first round of a process, so that pools are filled; three times as long where a compiler is at work too. */
  readonly warmUpSeconds: number;
}

/** After this, what a connection needed to be opened was freed, and what stays is what it needs to be there. */
const settleMs = 1_500;

/** The samples of every contender, a list a round. Between two rounds of one contender all others have theirs. */
export async function measureCase(of: {
  readonly subject: Case;
  readonly contenders: readonly Contender[];
  readonly upstream: Upstream;
  readonly directory: string;
  readonly effort: Effort;
  readonly tell: (line: string) => void;
}): Promise<{ readonly samples: Map<string, Sample[]>; readonly failures: Map<string, string> }> {
  const { subject, effort, tell } = of;
  let { contenders } = of;
  const failures = new Map<string, string>();
  const samples = new Map<string, Sample[]>(of.contenders.map(({ name }) => [name, []]));
  const running = new Map<string, Running>();
  let starts = 0;
  const start = async (contender: Contender): Promise<Running> => {
    const directory = join(of.directory, `${contender.name}-${subject.name}-${starts++}`);
    mkdirSync(directory);
    const coldHosts = subject.load.cold === true;
    const started = await contender.start({ directory, upstream: of.upstream, coldHosts, profileDirectory: null });
    running.set(contender.name, started);
    await warmUp(started, subject.load, effort.warmUpSeconds * (contender.compilesLate === true ? 3 : 1));
    return started;
  };
  const stop = async (name: string): Promise<void> => {
    const started = running.get(name);
    running.delete(name);
    await started?.stop();
  };
  /** One that does not work must not end the measurement of the others. */
  const tryStart = async (contender: Contender): Promise<Running | null> => {
    const { name } = contender;
    try {
      return await start(contender);
    } catch (error) {
      const { message } = error as Error;
      tell(`  ${name} is left out: ${message}`);
      failures.set(name, message.trim().split('\n').at(-1)!.slice(0, 300));
      samples.delete(name);
      await stop(name);
      return null;
    }
  };
  try {
    const rounds = subject.restart === true ? Math.ceil(effort.rounds / 2) : effort.rounds;
    for (let round = 0; round < rounds; round++) {
      contenders = contenders.filter(({ name }) => !failures.has(name));
      // The order turns from round to round, so that nobody always follows the same one.
      for (let i = 0; i < contenders.length; i++) {
        const contender = contenders[(i + round) % contenders.length]!;
        const { name } = contender;
        const served = running.get(name) ?? (await tryStart(contender));
        if (served === null) continue;
        const sample = await measureOnce({
          running: served,
          load: subject.load,
          upstream: of.upstream,
          seconds: effort.seconds,
        });
        samples.get(name)!.push(sample);
        const [figure] = subject.figures;
        const value = figure.of(sample)?.toFixed(figure.digits) ?? '–';
        tell(
          `  round ${round + 1}  ${name.padEnd(22)} ${figure.title} ${value}, ${sample.load.requestsPerSecond.toFixed(0)} requests/s${
            sample.load.errors === 0 ? '' : `, ${sample.load.errors} ERRORS: ${sample.load.firstError}`
          }`,
        );
        if (subject.restart === true) await stop(name);
      }
    }
  } finally {
    for (const name of running.keys()) await stop(name);
    for (const { name } of of.contenders)
      for (let i = 0; i < starts; i++)
        rmSync(join(of.directory, `${name}-${subject.name}-${i}`), { recursive: true, force: true });
  }
  return { samples, failures };
}

export async function warmUp({ route }: Running, load: Load, seconds: number): Promise<void> {
  const lighter: Load = load.mode === 'idle' ? { ...load, mode: 'tunnel', connections: 16 } : load;
  const { errors, firstError } = await generate({ load: lighter, route, seconds, atReady: () => {} });
  if (errors > 0) throw new Error(`a contender does not work: ${firstError}`);
}

async function measureOnce(of: {
  readonly running: Running;
  readonly load: Load;
  readonly upstream: Upstream;
  readonly seconds: number;
}): Promise<Sample> {
  const { running, load, upstream } = of;
  const proxies = processTree(running.pids);
  const servers = upstream.pids();
  const rssBefore = rssBytesOf(proxies);
  let rss = 0;
  const cpu = { proxy: 0, store: 0, upstream: 0 };
  const result = await generate({
    load,
    route: running.route,
    seconds: of.seconds,
    atReady: async () => {
      if (load.mode === 'idle') {
        await sleep(settleMs);
        rss = rssBytesOf(proxies);
      }
      if (running.opsPort !== undefined) await readEventLoopDelay(running.opsPort); // each reading begins a new one
      cpu.proxy = cpuSecondsOf(proxies);
      cpu.store = cpuSecondsOf(running.storePids);
      cpu.upstream = cpuSecondsOf(servers);
    },
  });
  const isProxy = proxies.length > 0;
  const cpuSeconds = isProxy ? cpuSecondsOf(proxies) - cpu.proxy : null;
  return {
    load: result,
    connections: load.connections,
    uploadBytes: load.uploadBytes ?? 0,
    cpuSeconds,
    storeCpuSeconds: running.storePids.length > 0 ? cpuSecondsOf(running.storePids) - cpu.store : null,
    upstreamCpuSeconds: cpuSecondsOf(servers) - cpu.upstream,
    rssBeforeBytes: isProxy ? rssBefore : null,
    rssBytes: isProxy ? rss || rssBytesOf(proxies) : null,
    eventLoopP99Ms: running.opsPort === undefined ? null : await readEventLoopDelay(running.opsPort),
  };
}

/** What Node tells holds the time between two looks of its own; the rest is the delay. */
const lookEveryMs = 10;

async function readEventLoopDelay(opsPort: number): Promise<number | null> {
  const text = await (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text();
  // Of several workers, the slowest one.
  const seconds = [...text.matchAll(/^nodejs_eventloop_lag_p99_seconds(?:\{[^}]*\})? (\S+)$/gm)].map((line) =>
    Number(line[1]),
  );
  return seconds.length === 0 ? null : Math.max(0, Math.max(...seconds) * 1_000 - lookEveryMs);
}
