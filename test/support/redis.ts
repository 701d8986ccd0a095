import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export interface RedisOptions {
  /** Keep every write on disk before it is acknowledged, so that it is there after `kill` and `restart`. */
  readonly appendonly?: boolean;
  /** More arguments for redis-server. */
  readonly args?: readonly string[];
}

export interface Redis {
  readonly url: string;
  readonly port: number;
  /** Of the server that runs now. */
  readonly pid: number;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
  /** The server hangs, its connections stay (SIGSTOP). */
  pause(): void;
  resume(): void;
  /** The server dies at once (SIGKILL). */
  kill(): Promise<void>;
  /** After `kill`: on the same port, with the same files. */
  restart(): Promise<void>;
  /** Runs redis-cli and gives what it prints. */
  cli(...args: string[]): Promise<string>;
}

/**
 * The server is a child of a shell that kills it as soon as its own standard input ends. The kernel closes that pipe
 * however the tests die, so no server is left behind, not even after SIGKILL.
 */
const guard = 'redis-server "$@" >redis.log 2>&1 & server=$!; cat >/dev/null; kill -9 $server 2>/dev/null; wait';

interface Server {
  readonly pid: number;
  readonly end: () => Promise<void>;
}

/** Starts the distribution's redis-server on a free port of the loopback, and waits until it answers. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  if (spawnSync('redis-server', ['--version']).error !== undefined) {
    throw new Error('redis-server is not installed: run `apt-get install redis-server`');
  }
  const directory = mkdtempSync(join(tmpdir(), 'alter-redis-'));
  const port = await findFreePort();
  const args = [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--daemonize', 'no'],
    ...(options.appendonly === true ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []),
    ...(options.args ?? []),
  ];
  let server = await run({ args, port, directory });
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return server.pid;
    },
    stop: async () => {
      await server.end();
      rmSync(directory, { recursive: true, force: true });
    },
    pause: () => {
      process.kill(server.pid, 'SIGSTOP');
    },
    resume: () => {
      process.kill(server.pid, 'SIGCONT');
    },
    kill: () => server.end(),
    restart: async () => {
      server = await run({ args, port, directory });
    },
    cli: async (...words) => {
      const { stdout } = await promisify(execFile)('redis-cli', ['-p', String(port), ...words]);
      return stdout.trimEnd();
    },
  };
}

async function run(of: { args: readonly string[]; port: number; directory: string }): Promise<Server> {
  const shell = spawn('/bin/sh', ['-c', guard, 'redis-server', ...of.args], {
    cwd: of.directory,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const exited = once(shell, 'exit');
  const end = async (): Promise<void> => {
    shell.stdin.end();
    await exited;
  };
  for (let attempt = 0; attempt < 500; attempt++) {
    const pid = await askPid(of.port);
    if (pid !== null) return { pid, end };
    await sleep(10);
  }
  await end();
  throw new Error(`redis-server did not answer on port ${of.port}`);
}

/** The pid that the server tells, once it answers and has loaded its data. */
function askPid(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('INFO\r\n'));
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer += text;
      const pid = /^process_id:(\d+)/m.exec(answer)?.[1];
      const isLoaded = /^loading:0/m.test(answer);
      if (pid !== undefined && isLoaded) {
        socket.destroy();
        resolve(Number(pid));
      } else if (/^(-|loading:1)/m.test(answer)) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(null));
  });
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
