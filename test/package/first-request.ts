import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';

/** How an installed `alter` is started: the words before its own, and the environment. */
export interface Installed {
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where the service keeps its state, as seen from here. */
  readonly state: string;
  /** The name of Node for `alter run`. */
  readonly node: string;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end. */
export async function runInstalled(of: Installed, words: readonly string[], env = {}, stdin = ''): Promise<Ended> {
  const started = new Started(of, words, env);
  started.child.stdin?.end(stdin);
  const code = await started.ended;
  return { code, stdout: started.stdout, stderr: started.stderr };
}

/** A command that runs. */
export class Started {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(of: Installed, words: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [program, ...rest] = of.command;
    this.child = spawn(program, [...rest, ...words], { cwd: of.cwd, env: { ...of.env, ...env }, stdio: 'pipe' });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.child.stdin?.on('error', () => {}); // it may end without reading
    this.ended = new Promise((resolve, reject) => this.child.once('close', resolve).once('error', reject));
  }
}

/** `alter serve --with-echo` on any ports, ready. */
export async function serveInstalled(of: Installed): Promise<Started> {
  const anyPorts = {
    ALTER_PROXY_LISTEN: '127.0.0.1:0',
    ALTER_ADMIN_LISTEN: '127.0.0.1:0',
    ALTER_OPS_LISTEN: '127.0.0.1:0',
    ALTER_LOG_LEVEL: 'warn',
  };
  const served = new Started(of, ['serve', '--with-echo'], anyPorts);
  try {
    await eventually(() => served.stdout.includes('alter audit list') || served.child.exitCode !== null);
    expect(served.stderr).toBe('');
    return served;
  } catch (error) {
    served.child.kill('SIGKILL');
    throw error;
  }
}

/** The way from a service that just started to a request that its upstream saw with the credential in it. */
export async function makeFirstRequest(of: Installed, served: Started): Promise<void> {
  const operator = Object.fromEntries(
    [...readFileSync(join(of.state, 'operator.env'), 'utf8').matchAll(/\b(ALTER_\w+)=(\S+)/g)].map(
      ([, name, value]) => [name!, value!],
    ),
  );
  const alter = async (words: readonly string[], env = {}, stdin = ''): Promise<string> => {
    const { code, stdout, stderr } = await runInstalled(of, words, { ...operator, ...env }, stdin);
    expect([words.slice(0, 2), code, stderr]).toEqual([words.slice(0, 2), 0, expect.not.stringContaining('Error')]);
    return stdout;
  };
  const echo = /https:\/\/echo\.\S+/.exec(served.stdout)?.[0] ?? '';
  const credential = 'credential-of-the-first-request';
  await alter(
    ['managed-secrets', 'create', '--name', 'Echo', '--credential-type', 'bearer_token', '--credential-value', '-'],
    {},
    credential,
  );
  await alter(['managed-secrets', 'set-allowed-hosts', 'echo', '--host', new URL(echo).host]);
  const minted = await alter(['keys', 'mint', '--name', 'w', '--scopes', 'proxy:execute', '--output', 'jsonl']);
  const { key } = JSON.parse(minted) as { key: string };
  const script = `console.log((await fetch('${echo}/first')).status)`;
  const workload = ['run', '--', of.node, '--input-type=module', '--eval', script];
  expect(await alter(workload, { ALTER_KEY: key })).toBe('200\n');
  expect(served.stdout).toContain('GET /first');
  expect(served.stdout).toContain(`Bearer ${credential}`);
}
