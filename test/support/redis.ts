import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';

export interface RedisOptions {
  /** Keep every write on disk before it is acknowledged, so that it is there after `kill` and `restart`. */
  readonly appendonly?: boolean;
  /** More arguments for redis-server. */
  readonly args?: readonly string[];
  /** Speak TLS alone, as this host. */
  readonly tls?: RedisTls;
  /** Lines of a configuration file, in front of everything else: Sentinel wants one. */
  readonly config?: readonly string[];
}

export interface RedisTls {
  readonly caPem: string;
  readonly chainPem: string;
  readonly privateKeyPem: string;
}

export interface Redis {
  readonly url: string;
  readonly port: number;
  readonly directory: string;
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
const guard =
  'redis-server "$@" >redis.log 2>&1 & server=$!; echo $server >redis.pid; cat >/dev/null; kill -9 $server 2>/dev/null; wait';

interface Server {
  readonly pid: number;
  readonly end: () => Promise<void>;
}

/** Again, where somebody else took the port between its being found free and being listened on. */
export async function unlessTaken<T>(start: () => Promise<T>, attempts = 5): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (attempts === 1 || !String(error).includes('Address already in use')) throw error;
    return unlessTaken(start, attempts - 1);
  }
}

/** Starts the distribution's redis-server on a free port of the loopback, and waits until it answers. */
export function startRedis(options: RedisOptions = {}): Promise<Redis> {
  return unlessTaken(() => startOnce(options));
}

async function startOnce(options: RedisOptions): Promise<Redis> {
  if (spawnSync('redis-server', ['--version']).error !== undefined) {
    throw new Error('redis-server is not installed: run `apt-get install redis-server`');
  }
  const directory = mkdtempSync(join(tmpdir(), 'alter-redis-'));
  const port = await findFreePort();
  const { tls } = options;
  const configFile = join(directory, 'redis.conf');
  if (options.config !== undefined) writeFileSync(configFile, `${options.config.join('\n')}\n`);
  if (tls !== undefined) {
    for (const name of ['caPem', 'chainPem', 'privateKeyPem'] as const) writeFileSync(join(directory, name), tls[name]);
  }
  const args = [
    ...(options.config === undefined ? [] : [configFile]),
    ...['--bind', '127.0.0.1', '--dir', directory, '--daemonize', 'no'],
    ...(tls === undefined
      ? ['--port', String(port)]
      : [
          ...['--port', '0', '--tls-port', String(port), '--tls-ca-cert-file', join(directory, 'caPem')],
          ...['--tls-cert-file', join(directory, 'chainPem'), '--tls-key-file', join(directory, 'privateKeyPem')],
          ...['--tls-auth-clients', 'no'],
        ]),
    ...(options.config === undefined ? ['--save', ''] : []),
    ...(options.appendonly === true ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []),
    ...(options.args ?? []),
  ];
  const start = () => run({ args, port, directory, caPem: tls?.caPem });
  let server = await start();
  return {
    url: `${tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${port}`,
    port,
    directory,
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
      server = await start();
    },
    cli: async (...words) => {
      const secure = tls === undefined ? [] : ['--tls', '--cacert', join(directory, 'caPem')];
      const { stdout } = await promisify(execFile)('redis-cli', ['-p', String(port), ...secure, ...words]);
      return stdout.trimEnd();
    },
  };
}

async function run(of: {
  readonly args: readonly string[];
  readonly port: number;
  readonly directory: string;
  readonly caPem: string | undefined;
}): Promise<Server> {
  const shell = spawn('/bin/sh', ['-c', guard, 'redis-server', ...of.args], {
    cwd: of.directory,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const exited = once(shell, 'exit');
  const end = async (): Promise<void> => {
    shell.stdin.end();
    await exited;
  };
  const log = join(of.directory, 'redis.log');
  for (let attempt = 0; attempt < 500; attempt++) {
    if (existsSync(log) && readFileSync(log, 'utf8').includes('Address already in use')) break;
    if (await doesAnswer(of)) return { pid: Number(readFileSync(join(of.directory, 'redis.pid'), 'utf8')), end };
    await sleep(10);
  }
  await end();
  throw new Error(`redis-server did not answer on port ${of.port}: ${readFileSync(log, 'utf8')}`);
}

/** Has the server loaded its data, and answers? Whether it wants a password first doesn't matter. */
function doesAnswer({ port, caPem }: { readonly port: number; readonly caPem: string | undefined }): Promise<boolean> {
  return new Promise((resolve) => {
    const ask = () => socket.write('PING\r\n');
    const socket =
      caPem === undefined ? connect(port, '127.0.0.1', ask) : connectTls({ port, host: '127.0.0.1', ca: caPem }, ask);
    socket.once('data', (answer: Buffer) => {
      socket.destroy();
      resolve(/^(\+PONG|-NOAUTH|-DENIED|-NOPERM)/.test(answer.toString()));
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(false));
  });
}

export async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A certificate for 127.0.0.1 that nobody knows, and that its own servers may show to each other as clients. */
export async function makeRedisTls(): Promise<RedisTls> {
  const directory = mkdtempSync(join(tmpdir(), 'alter-redis-tls-'));
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
  ]);
  const [privateKeyPem, chainPem] = [key, certificate].map((path) => readFileSync(path, 'utf8')) as [string, string];
  rmSync(directory, { recursive: true });
  return { caPem: chainPem, chainPem, privateKeyPem };
}
