import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The first Python of this machine that has these modules, or null. Debian's is asked too where another comes first in PATH. */
export function findPythonWith(...modules: readonly string[]): string | null {
  for (const python of ['python3', '/usr/bin/python3'])
    if (spawnSync(python, ['-c', `import ${modules.join(', ')}`], { stdio: 'ignore' }).status === 0) return python;
  return null;
}

/** Runs a script of this folder once: each question is a line of JSON, and so is each answer. */
export function askPython<Question, Answer>(
  python: string,
  script: string,
  questions: readonly Question[],
): Promise<Answer[]> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(python, [path], { stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code !== 0) reject(new Error(`${script} ended with ${code}: ${Buffer.concat(err).toString()}`));
      else resolve(linesOf(out).map((line) => JSON.parse(line) as Answer));
    });
    child.stdin.on('error', () => {}); // told by the exit code
    child.stdin.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(''));
  });
}

function linesOf(chunks: readonly Buffer[]): string[] {
  return Buffer.concat(chunks)
    .toString()
    .split('\n')
    .filter((line) => line !== '');
}
