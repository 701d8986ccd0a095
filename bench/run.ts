/**
 * `npm run bench`: measures ours beside its peers, on loopback, and writes `results/`. See README.md in this folder.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Case } from './case.ts';
import { findCases } from './cases.ts';
import { buildGenerator, findGeneratorProblem, root } from './compile.ts';
import type { Contender } from './contender.ts';
import { contenders as known } from './contenders.ts';
import { draw } from './draw.ts';
import { describeMachine } from './machine.ts';
import { type Effort, measureCase } from './measure.ts';
import { alterOf } from './peers/alter.ts';
import { installPeers } from './peers/install.ts';
import type { Probe, ProbeSummary } from './probe.ts';
import { findProbes, runProbe } from './probes.ts';
import { firstLineOf } from './processes.ts';
import { profile } from './profile.ts';
import type { Results } from './results.ts';
import { summarize } from './summary.ts';
import { startUpstream, type Upstream } from './upstream.ts';
import { writeMarkdown } from './write-markdown.ts';

const usage = `npm run bench -- [options]

  --quick                about two minutes instead of about half an hour
  --only CASE,…          these cases and probes only
  --contenders NAME,…    these contenders only
  --beside NAME=FOLDER   also another checkout of ours, built there with npm run build; it is compared with this one
  --rounds N, --seconds S, --warm-up S
  --install-peers        instead of measuring: installs mitmproxy and http-mitm-proxy into .cache/peers
  --profile              instead of measuring: where the CPU time of \`alter\` goes, function by function
  --out FOLDER           instead of bench/results
  --list                 names of cases, probes and contenders`;

const full: Effort = { rounds: 5, seconds: 2, warmUpSeconds: 1 };
const quick: Effort = { rounds: 2, seconds: 0.6, warmUpSeconds: 0.4 };

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    contenders: { type: 'string' },
    beside: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    'warm-up': { type: 'string' },
    'install-peers': { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    out: { type: 'string', default: join(import.meta.dirname, 'results') },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = fail((error as Error).message);
}

async function main(): Promise<number> {
  const allCases = await findCases();
  const allProbes = await findProbes();
  const other = options.beside === undefined ? null : parseBeside(options.beside);
  const allContenders = other === null ? known : [...known, other];
  if (options.help) return say(usage);
  if (options.list) {
    say(...[...allCases, ...allProbes].map(({ name, title }) => `${name.padEnd(24)} ${title}`), '');
    return say(...allContenders.map(({ name, description }) => `${name.padEnd(24)} ${description}`));
  }
  if (options['install-peers']) {
    installPeers(say);
    return 0;
  }
  const problem = findGeneratorProblem() ?? (firstLineOf('nginx', ['-v']) === null ? 'the upstream is nginx' : null);
  if (problem !== null) return fail(`Nothing can be measured here: ${problem}.`);

  const chosen =
    options.only === undefined
      ? [...allProbes, ...allCases].filter((one) => !(options.quick && 'slow' in one && one.slow === true))
      : pick<Case | Probe>([...allProbes, ...allCases], options.only);
  const probes = chosen.filter((one) => 'measure' in one);
  const cases = chosen
    .filter((one) => 'load' in one)
    .map((subject) => (other === null ? subject : withOther(subject, other.name)));
  const wanted =
    options.contenders === undefined
      ? allContenders.filter(({ slow }) => !(options.quick && slow === true))
      : pick(allContenders, options.contenders);
  const base = options.quick ? quick : full;
  const effort: Effort = {
    rounds: Number(options.rounds ?? base.rounds),
    seconds: Number(options.seconds ?? base.seconds),
    warmUpSeconds: Number(options['warm-up'] ?? base.warmUpSeconds),
  };

  buildGenerator();
  const directory = mkdtempSync(join(tmpdir(), 'alter-bench-'));
  chmodSync(directory, 0o711); // servers that give up root must still find what is theirs in it
  const upstream = await startUpstream(directory);
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  try {
    return options.profile
      ? await profileAll({ probes, cases, wanted, upstream, directory, effort })
      : await measureAll({ probes, cases, wanted, upstream, directory, effort });
  } finally {
    await upstream.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

interface Plan {
  readonly probes: readonly Probe[];
  readonly cases: readonly Case[];
  readonly wanted: readonly Contender[];
  readonly upstream: Upstream;
  readonly directory: string;
  readonly effort: Effort;
}

async function measureAll({ probes, cases, wanted, upstream, directory, effort }: Plan): Promise<number> {
  const startedAt = new Date();
  const machine = describeMachine();
  const concerned = wanted.filter(({ name }) => cases.some(({ contenders }) => contenders.includes(name)));
  const notes = concerned.map((contender) => ({ contender, found: contender.find() }));
  for (const { contender, found } of notes)
    if ('missing' in found) say(`${contender.name} is left out: ${found.missing}.`);
  const present = notes.filter(({ found }) => 'version' in found).map(({ contender }) => contender);

  const probed: ProbeSummary[] = [];
  for (const probe of probes) {
    say(`${probe.name}: ${probe.title}`);
    const summary = await runProbe({ probe, directory, upstream, rounds: effort.rounds });
    probed.push(summary);
    say(`  ${summary.spread?.median.toFixed(probe.digits)} ${probe.figure}`);
  }
  const measured: Results['cases'][number][] = [];
  for (const subject of cases) {
    const entrants = subject.contenders
      .map((name) => present.find((contender) => contender.name === name))
      .filter((contender) => contender !== undefined);
    if (entrants.length === 0) continue;
    say(`${subject.name}: ${subject.title}`);
    const { samples, failures } = await measureCase({
      subject,
      contenders: entrants,
      upstream,
      directory,
      effort,
      tell: say,
    });
    measured.push({ ...summarize(subject, samples, failures), samples: Object.fromEntries(samples) });
  }

  const results: Results = {
    startedAt: startedAt.toISOString(),
    quick: options.quick,
    effort,
    machine,
    contenders: notes.map(({ contender: { name, description }, found }) => ({
      name,
      description,
      version: 'version' in found ? found.version : null,
      missing: 'missing' in found ? found.missing : null,
    })),
    probes: probed,
    cases: measured,
  };
  const name = [
    results.startedAt.slice(0, 10),
    machine.commit.replace('+', '-changed'),
    ...(options.quick ? ['quick'] : []),
    ...(options.only === undefined ? [] : [nameSelection(options.only.split(','))]),
  ].join('-');
  const text = writeMarkdown(results, cases, `${name}.svg`);
  keep(`${name}.json`, `${JSON.stringify(results, null, 1)}\n`);
  keep(`${name}.svg`, draw(results, cases));
  say('', text, `Written to ${relative(root, keep(`${name}.md`, text))}, beside it .json and .svg.`);
  return measured.some(({ contenders }) => contenders.some(({ errors }) => errors > 0)) ? 1 : 0;
}

async function profileAll({ cases, wanted, upstream, directory, effort }: Plan): Promise<number> {
  const subject = options.only === undefined ? cases.find(({ name }) => name === 'keep-alive')! : cases[0]!;
  const contender = wanted.find(({ name }) => name.startsWith('alter'));
  if (contender === undefined) return fail('Only ours can be profiled: --contenders alter');
  const { text, flame } = await profile({
    subject,
    contender,
    upstream,
    directory,
    profileDirectory: join(import.meta.dirname, 'build', 'profiles'),
    seconds: effort.seconds,
  });
  const name = `${new Date().toISOString().slice(0, 10)}-${describeMachine().commit.replace('+', '-changed')}-${subject.name}`;
  return say(text, `The flame graph is ${relative(root, keep(`${name}-flame.svg`, flame))}.`);
}

function keep(file: string, text: string): string {
  const folder = resolve(options.out);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, file), text);
  return join(folder, file);
}

function pick<T extends { readonly name: string }>(all: readonly T[], names: string): T[] {
  return names.split(',').map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no ${name}: see --list`);
    return found;
  });
}

/** For the name of a file, which has an end. */
function nameSelection(names: readonly string[]): string {
  return names.length > 3 ? 'selected' : names.join('-');
}

function parseBeside(text: string): Contender {
  const [, name, folder] = /^([a-z0-9.-]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || folder === undefined) throw new Error('--beside takes NAME=FOLDER');
  return alterOf(folder, name);
}

function withOther(subject: Case, name: string): Case {
  if (!subject.contenders.includes('alter')) return subject;
  return { ...subject, contenders: [...subject.contenders, name], ratios: [['alter', name], ...subject.ratios] };
}

function say(...lines: string[]): number {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  return 0;
}

function fail(line: string): number {
  process.stderr.write(`${line}\n`);
  return 1;
}
