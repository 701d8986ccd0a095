/**
 * `npm run demo`: the walk that `npm start` prints, by itself and narrated, on free ports and in a directory of its own.
 * Ends with 0 only if the upstream received the credential and nothing on the client's side held it.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './install.mjs';
import { ensureTools } from './system-tools.mjs';

const credential = 'demo-credential-that-the-client-never-holds';
const node = ensureInstalled();
ensureBuilt();
ensureTools({ curl: 'curl' });

const directory = mkdtempSync(join(tmpdir(), 'alter-demo-'));
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^ALTER_|_proxy$/i.test(name)));
say('Starting the proxy, the admin service and a local TLS upstream that shows what it receives.');
const server = spawn(node, [join(root, 'dist/cli/bin.js'), 'serve', '--with-echo'], {
  cwd: directory,
  env: {
    ...environment,
    ALTER_LOG_LEVEL: 'warn',
    ALTER_PROXY_LISTEN: '127.0.0.1:0',
    ALTER_ADMIN_LISTEN: '127.0.0.1:0',
    ALTER_OPS_LISTEN: '127.0.0.1:0',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let served = '';
server.stdout.setEncoding('utf8').on('data', (text) => {
  served += text;
});
const ended = new Promise((resolve) => server.once('exit', resolve));

try {
  const commands = await printedCommands();
  const results = await runInOneShell(commands);
  process.exitCode = judge(results) ? 0 : 1;
} catch (error) {
  say(`The demo failed: ${error.message}`);
  process.exitCode = 1;
} finally {
  server.kill('SIGTERM');
  await ended;
  rmSync(directory, { recursive: true, force: true });
}

/** The commands as the start prints them for a second terminal. */
async function printedCommands() {
  const last = 'alter audit list';
  const deadline = Date.now() + 30_000;
  while (!served.includes(last)) {
    if (server.exitCode !== null) throw new Error('the service did not start');
    if (Date.now() > deadline) throw new Error('the service printed no commands');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const block = served.slice(served.indexOf('second terminal:'), served.indexOf(last) + last.length);
  return block
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** One shell for all, as a person has it; what each command printed is kept apart. */
async function runInOneShell(commands) {
  const mark = `---- ${Math.random()} `;
  const script = commands.map((command, i) => `echo '${mark}${i}'\n${command} || exit 1\n`).join('');
  const look = `echo '${mark}${commands.length}'\nalter run -- env\n`;
  const shell = spawn('sh', ['-s'], { cwd: directory, env: environment, stdio: ['pipe', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      printed += text;
    });
  }
  shell.stdin.end(script + look);
  const code = await new Promise((resolve) => shell.once('close', resolve));
  const parts = printed.split(new RegExp(`${mark}\\d+\n`)).slice(1);
  const results = [...commands, 'alter run -- env'].map((command, i) => ({ command, output: parts[i] ?? '' }));
  for (const { command, output } of results) {
    if (command === 'alter run -- env') continue;
    process.stdout.write(`\n$ ${command}\n${output}`);
  }
  if (code !== 0) throw new Error(`a command failed with exit code ${code}`);
  return results;
}

/** What each side saw. The client's side is what the workload's programs printed, and the environment they ran in. */
function judge(results) {
  const received = served.split('\n').filter((line) => /^\s+authorization: /i.test(line));
  const client = results.filter(({ command }) => /curl|run -- env/.test(command));
  const arrived = received.length === 2 && received.every((line) => line.trim().endsWith(`Bearer ${credential}`));
  const held = client.filter(({ output }) => output.includes(credential) || /alter_pat_/.test(output));
  const answered = client.filter(({ output }) => output.includes('you_asked')).length === 2;
  say(`The upstream received: ${received.map((line) => line.trim()).join(' and ') || 'no credential'}`);
  say(
    `The client's two requests were ${answered ? '' : 'NOT '}answered; its output and environment ${held.length === 0 ? 'held no credential' : 'HELD A CREDENTIAL'}.`,
  );
  const fine = arrived && answered && held.length === 0;
  say(fine ? 'So the workload called the API, and never had the credential.' : 'That is not what was promised.');
  return fine;
}

function say(text) {
  process.stdout.write(`\n== ${text}\n`);
}
