import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/in-parallel.ts';
import { Random } from '../support/mutate.ts';
import { Sink, TestAuthority } from '../support/sink.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/*
 * The whole service on its embedded store, killed under load at a random moment and started again. TEST_KILL_ROUNDS says
 * how often, TEST_SEED repeats the moments.
 */
const rounds = Number(process.env.TEST_KILL_ROUNDS ?? 3);
const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
/** What a user waits for at most. */
const restartMs = 10_000;

const random = new Random(seed);
const canary = `canary-${randomBytes(18).toString('hex')}`;
const directory = mkdtempSync(join(tmpdir(), 'alter-killed-'));
let sink: Sink;
let env: Record<string, string>;
let service: Service;

interface Service {
  readonly child: ChildProcess;
  readonly exit: Promise<unknown>;
  readonly proxyPort: number;
  readonly adminUrl: string;
  /** Less what the machine had no time for; and by the clock. */
  readonly startedInMs: number;
  readonly startedByClockMs: number;
}

interface Minted {
  readonly id: string;
  readonly key: string;
}

async function start(): Promise<Service> {
  const begunAt = performance.now();
  const child = endWithUs(
    spawn(process.execPath, [resolve('dist/cli/bin.js'), 'serve'], { cwd: directory, env, stdio: 'pipe' }),
  );
  const elapsedMs = startStopwatch(child.pid!);
  const exit = new Promise((done) => child.once('close', done));
  let printed = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  await eventually(() => printed.includes('alter audit list') || child.exitCode !== null, 30_000);
  if (child.exitCode !== null) throw new Error(`it did not start: ${printed}`);
  return {
    child,
    exit,
    proxyPort: Number(/^ {2}proxy {2}http:\/\/127\.0\.0\.1:(\d+)$/m.exec(printed)![1]),
    adminUrl: /^ {2}admin {2}(\S+)/m.exec(printed)![1]!,
    startedInMs: elapsedMs(),
    startedByClockMs: performance.now() - begunAt,
  };
}

async function admin<T>(method: string, path: string, body?: object): Promise<T> {
  const operator = readFileSync(join(directory, '.alter', 'operator.env'), 'utf8');
  const [, pat] = /ALTER_PAT=(\S+)/.exec(operator)!;
  const [, appId] = /ALTER_APP_ID=(\S+)/.exec(operator)!;
  const response = await fetch(`${service.adminUrl}/v1/apps/${appId}${path}`, {
    method,
    headers: { authorization: `Bearer ${pat}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

/** One request with the key, at a path of its own. Rejects where the service goes meanwhile. */
async function use(key: string, path: string): Promise<number> {
  const socket = await connectTo(service.proxyPort);
  try {
    const target = `a.test:${sink.port}`;
    const head = [
      `GET https://${target}${path} HTTP/1.1`,
      `Host: ${target}`,
      `Proxy-Authorization: ${basic('auto', key)}`,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    return (await new AnswerReader(socket).next()).status;
  } finally {
    socket.destroy();
  }
}

const mint = () => admin<Minted>('POST', '/keys', { name: 'k', scopes: ['proxy:execute'] });

beforeAll(async () => {
  const authority = await TestAuthority.create();
  sink = await Sink.open({ authority, host: 'a.test' });
  env = {
    PATH: '/usr/bin:/bin',
    ALTER_PROXY_LISTEN: '127.0.0.1:0',
    ALTER_ADMIN_LISTEN: '127.0.0.1:0',
    ALTER_OPS_LISTEN: '127.0.0.1:0',
    ALTER_HOSTS: 'a.test=127.0.0.1',
    ALTER_ALLOW_ADDRESSES: `127.0.0.1:${sink.port}`,
    ALTER_UPSTREAM_CA: authority.material.certificatePem,
  };
  service = await start();
});
afterAll(async () => {
  service.child.kill('SIGKILL');
  await service.exit;
  await sink.close();
  rmSync(directory, { recursive: true, force: true });
});

it(
  `comes back after ${rounds} kills with all that it acknowledged, every use on record (seed ${seed})`,
  async () => {
    const secret = await admin<{ id: string }>('POST', '/managed-secrets', { name: 'one', credential_value: canary });
    await admin('PUT', `/managed-secrets/${secret.id}/allowed-hosts`, { hosts: [`a.test:${sink.port}`] });
    const { key } = await mint();
    const acknowledged = { live: new Map<string, string>(), revoked: new Map<string, string>() };
    const restarts: number[] = [];
    const byClock: number[] = [];
    let requests = 0;

    for (let round = 0; round < rounds; round += 1) {
      let isKilled = false;
      const lane = async (work: () => Promise<unknown>): Promise<void> => {
        try {
          while (!isKilled) await work();
        } catch (error) {
          if (!isKilled) throw error;
        }
      };
      const lanes = [
        ...Array.from({ length: 4 }, () => lane(async () => expect(await use(key, `/${requests++}`)).toBe(200))),
        lane(async () => {
          const minted = await mint();
          acknowledged.live.set(minted.id, minted.key);
          if (random.below(2) === 0) return;
          acknowledged.live.delete(minted.id); // until it is acknowledged, it may be either
          await admin('POST', `/keys/${minted.id}/revoke`, {});
          acknowledged.revoked.set(minted.id, minted.key);
        }),
      ];
      await wait(100 + random.below(400));
      isKilled = true;
      service.child.kill('SIGKILL');
      await service.exit;
      await Promise.all(lanes);
      service = await start();
      restarts.push(service.startedInMs);
      byClock.push(service.startedByClockMs);
      for (const one of acknowledged.revoked.values()) expect(await use(one, '/revoked')).toBe(407);
      for (const one of acknowledged.live.values()) expect(await use(one, '/live')).toBe(200);
      acknowledged.live.clear();
      acknowledged.revoked.clear();
    }

    if (process.env.TEST_KILL_ROUNDS !== undefined) {
      const sorted = [...byClock].sort((a, b) => a - b).map(Math.round);
      const last = byClock.slice(-10).map(Math.round);
      process.stdout.write(
        `starts: median ${sorted[rounds >> 1]} ms, longest ${sorted.at(-1)} ms; the last ${last.join(', ')}\n`,
      );
    }
    expect(Math.max(...restarts)).toBeLessThan(restartMs);
    expect(await admin('POST', '/audit/verify', {})).toMatchObject({ intact: true, break: null });
    const recorded = new Set<string>();
    for (let after = ''; ; ) {
      const query = `?order=asc&limit=1000&event=request.decided&decision=allow${after}`;
      const page = await admin<{ items: { path: string }[]; next: string | null }>('GET', `/audit${query}`);
      for (const { path } of page.items) recorded.add(path);
      if (page.next === null) break;
      after = `&after=${page.next}`;
    }
    const arrived = sink.requests
      .filter(({ rawHeaders }) => rawHeaders.some((text) => text.includes(canary)))
      .map(({ url }) => url);
    expect(arrived.length).toBeGreaterThan(rounds);
    for (const path of arrived) expect([path, recorded.has(path)]).toEqual([path, true]);
    expect(arrived).not.toContain('/revoked');
  },
  60_000 + rounds * 20_000,
);
