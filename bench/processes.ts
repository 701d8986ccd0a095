import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const pageBytes = Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' }));

/** These processes and all that descend from them. */
export function processTree(roots: readonly number[]): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readStat(Number(entry));
    if (stat !== null) childrenOf.set(stat.parent, [...(childrenOf.get(stat.parent) ?? []), Number(entry)]);
  }
  const found = [...roots];
  for (const pid of found) found.push(...(childrenOf.get(pid) ?? []));
  return found;
}

/** CPU seconds, of user and system, of all threads of these processes and of the children that they have waited for. */
export function cpuSecondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (readStat(pid)?.ticks ?? 0), 0) / ticksPerSecond;
}

export function rssBytesOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (readStat(pid)?.rssPages ?? 0), 0) * pageBytes;
}

/** Null for a process that is gone. */
function readStat(pid: number): { readonly parent: number; readonly ticks: number; readonly rssPages: number } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // The name of the program stands in parentheses and may hold anything; the fields are counted from behind it (proc(5)).
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const at = (number: number): number => fields[number - 3]!;
  return { parent: at(4), ticks: at(14) + at(15) + at(16) + at(17), rssPages: at(24) };
}

export interface Program {
  readonly pid: number;
  /** Everything it printed so far. */
  readonly output: () => string;
  readonly ended: () => boolean;
  /** SIGTERM, and SIGKILL for what does not end within 5 s. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
// Whatever way the benchmark ends, what it started must not stay.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function startProgram(command: string, args: readonly string[], options: SpawnOptions = {}): Program {
  const child = spawn(command, [...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-16_384);
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      running.delete(child);
      resolve();
    });
    child.once('error', (error) => {
      output += error.message;
    });
  });
  return {
    pid: child.pid ?? 0,
    output: () => output,
    ended: () => !running.has(child) || child.exitCode !== null,
    stop: async () => {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Waits until the program fulfils the condition. Throws with what it printed where it ends, or takes more than 15 s. */
export async function until(program: Program, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 15_000; !(await condition()); await sleep(20)) {
    if (program.ended() || Date.now() > deadline) {
      await program.stop();
      throw new Error(`a program did not get ready: ${program.output()}`);
    }
  }
}

export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const answer = (does: boolean) => (): void => {
      socket.destroy();
      resolve(does);
    };
    socket.once('connect', answer(true)).once('error', answer(false));
  });
}

export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** The first line that a program prints of itself, or null where there is no such program. */
export function firstLineOf(command: string, args: readonly string[], wanted = /./): string | null {
  try {
    const text = execFileSync('/bin/sh', ['-c', 'exec "$@" 2>&1', 'sh', command, ...args], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin:/usr/local/go/bin` },
    });
    return (
      text
        .split('\n')
        .find((line) => wanted.test(line))
        ?.trim() ?? null
    );
  } catch {
    return null;
  }
}
