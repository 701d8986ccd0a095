import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { endWithUs } from './end-with-us.ts';
import { eventually } from './in-parallel.ts';
import type { TestAuthority } from './sink.ts';

export const parserNames = ['node', 'nginx', 'haproxy'] as const;
export type ParserName = (typeof parserNames)[number];

/** One request as the sink's parser read it; `bad` is what it could not read as one. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  /** Only Node's tells it. */
  readonly body?: string;
}

/** An upstream whose HTTP is read by a program of somebody else's. TLS ends before it, where every byte is kept. */
export class ParsingSink {
  readonly #parser: Parser;
  readonly #front: TlsServer;
  readonly #sockets = new Set<Socket>();
  readonly #raw: Buffer[] = [];

  private constructor(parser: Parser, front: TlsServer) {
    this.#parser = parser;
    this.#front = front;
    front.on('tlsClientError', () => {});
    front.on('secureConnection', (socket) => {
      const behind = connect(parser.path);
      for (const end of [socket, behind]) {
        this.#sockets.add(end);
        end.on('error', () => {});
        end.once('close', () => {
          this.#sockets.delete(end);
          socket.destroy();
          behind.destroy();
        });
      }
      socket.on('data', (chunk: Buffer) => this.#raw.push(chunk));
      socket.pipe(behind).pipe(socket);
    });
  }

  static async open(name: ParserName, authority: TestAuthority, host: string): Promise<ParsingSink> {
    const parser = await openParser(name);
    const leaf = authority.leafFor(host);
    const front = createTlsServer({ cert: leaf.chainPem, key: leaf.privateKeyPem });
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    return new ParsingSink(parser, front);
  }

  get port(): number {
    return (this.#front.address() as AddressInfo).port;
  }

  /** Every byte that came in after TLS. */
  get raw(): string {
    return Buffer.concat(this.#raw).toString('latin1');
  }

  /** What the parser made of it. A program that writes a log may need a moment. */
  requests(): Promise<ReadRequest[]> {
    return this.#parser.requests();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#front.close();
    await this.#parser.close();
  }
}

interface Parser {
  /** Of its unix socket. */
  readonly path: string;
  requests(): Promise<ReadRequest[]>;
  close(): Promise<void>;
}

async function openParser(name: ParserName): Promise<Parser> {
  const directory = await mkdtemp(join(tmpdir(), 'alter-sink-'));
  const path = join(directory, 'socket');
  if (name === 'node') return openNode(directory, path);
  const program = findProgram(name);
  if (program === null) throw new Error(`${name} is not on this machine`);
  return name === 'nginx' ? openNginx(program, directory, path) : openHaproxy(program, directory, path);
}

/** Whether a sink of this kind can be opened here. */
export function hasParser(name: ParserName): boolean {
  return name === 'node' || findProgram(name) !== null;
}

/** Debian keeps servers in a folder that is not in everybody's PATH. */
function findProgram(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file)) ?? null;
}

async function openNode(directory: string, path: string): Promise<Parser> {
  const read: ReadRequest[] = [];
  const server: HttpServer = createHttpServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('error', () => {});
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const body = Buffer.concat(chunks).toString('latin1');
      read.push({ method: req.method ?? '', target: req.url ?? '', body });
      res.end('ok');
    });
  });
  server.on('upgrade', (req, socket) => {
    read.push({ method: req.method ?? '', target: req.url ?? '' });
    socket.destroy();
  });
  server.on('clientError', (error: Error & { readonly code?: string }, socket) => {
    if (error.code !== 'ECONNRESET') read.push({ method: 'bad', target: error.code ?? '' });
    socket.destroy();
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    path,
    requests: () => Promise.resolve([...read]),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function openNginx(program: string, directory: string, path: string): Promise<Parser> {
  const log = join(directory, 'access.log');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const configuration = `
daemon off;
master_process off;
pid ${join(directory, 'pid')};
error_log ${join(directory, 'error.log')} crit;
events { worker_connections 4096; }
http {
  log_format read '$status $request_method $request_uri';
  access_log ${log} read;
  keepalive_requests 1000000;
  ${temporary.map((what) => `${what}_temp_path ${join(directory, what)};`).join('\n  ')}
  server {
    listen unix:${path};
    location / { return 200 ok; }
  }
}`;
  await writeFile(join(directory, 'nginx.conf'), configuration);
  const child = spawn(program, ['-p', directory, '-c', join(directory, 'nginx.conf')], { stdio: 'ignore' });
  endWithUs(child);
  await eventually(() => existsSync(path));
  return {
    path,
    // A request that was left unfinished is logged as well, with a status of nginx's own.
    requests: async () => readLog(await readFile(log, 'utf8')),
    close: () => end(child, directory),
  };
}

async function openHaproxy(program: string, directory: string, path: string): Promise<Parser> {
  const configuration = `
global
  log stdout format raw daemon
  maxconn 4000
defaults
  mode http
  log global
  option http-keep-alive
  option http-buffer-request
  timeout connect 30s
  timeout client 30s
  timeout server 30s
  timeout http-request 30s
  log-format "%ST %HM %HU"
frontend read
  bind unix@${path}
  http-request return status 200 content-type text/plain string ok
`;
  await writeFile(join(directory, 'haproxy.cfg'), configuration);
  const child = spawn(program, ['-f', join(directory, 'haproxy.cfg')], { stdio: ['ignore', 'pipe', 'ignore'] });
  endWithUs(child);
  let log = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  await eventually(() => existsSync(path));
  return { path, requests: () => Promise.resolve(readLog(log)), close: () => end(child, directory) };
}

/** Lines of status, method and target. Only what was answered with 200 was read as a whole request. */
function readLog(log: string): ReadRequest[] {
  return log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [status = '', method = '', target = ''] = line.split(' ');
      return status === '200' ? { method, target } : { method: 'bad', target: line };
    });
}

async function end(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await rm(directory, { recursive: true, force: true });
}
