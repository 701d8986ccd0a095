import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compileCache } from '../support/compile-cache.ts';

const entry = fileURLToPath(new URL('../../dist/cli/bin.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface AlterOptions {
  /** Laid over an environment that holds nothing but PATH and a HOME of its own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
}

/** What is typed to start the built `alter` with this Node: from its source it takes three times as long. */
export const alterCommand = [process.execPath, '--disable-warning=ExperimentalWarning', entry] as const;

/** Runs the real command as a process of its own. */
export function alter(words: readonly string[], options: AlterOptions = {}): Promise<Ended> {
  const [node, ...rest] = alterCommand;
  return runProgram(node, [...rest, ...words], options);
}

export function runProgram(program: string, words: readonly string[], options: AlterOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...compileCache, ...options.env },
      cwd: options.cwd ?? '/',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => {}); // it may end without reading what it was given
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
    child.stdin.end(options.stdin ?? '');
  });
}
