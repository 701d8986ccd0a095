import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { storeKinds } from '../support/rig.ts';
import { ServedRig } from '../support/served-rig.ts';
import type { AnswerReader } from '../support/tunnel-client.ts';

/** Several processes behind one port: what they promise together is what one alone promises. */
describe.each(storeKinds)('two workers on %s', (kind) => {
  let rig: ServedRig;
  let redis: Redis | null = null;
  let grantId: string;
  beforeEach(async () => {
    redis = kind === 'redis' ? await startRedis() : null;
    rig = await ServedRig.open({ redis, settings: { ALTER_WORKERS: '2', ALTER_LOG_LEVEL: 'warn' } });
    grantId = (await rig.storeSecret()).grantId;
  });
  afterEach(async () => {
    await rig?.close();
    await redis?.stop();
  });

  /** The processes that the service started and that are alive. */
  const workers = (): number[] =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) === rig.child.pid;
        } catch {
          return false; // it ended in the meantime
        }
      });

  const connectionsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

  const get = async (tunnel: { socket: { write(text: string): unknown }; reader: AnswerReader }) => {
    tunnel.socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.target}\r\nX-Alter-Grant: ${grantId}\r\n\r\n`);
    return tunnel.reader.next();
  };
  const openMany = (key: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => rig.openTunnel(key)));

  it('never let more requests through than a rate allows, and record every one', async () => {
    const { key } = await rig.mintKey({ rate_limit_rpm: 50 });
    const before = workers().map(connectionsOf);
    const tunnels = await openMany(key, 100);
    const after = workers().map(connectionsOf);
    expect(after.map((count, i) => count - before[i]!).every((grown) => grown > 0)).toBe(true); // both serve
    const msLeft = 60_000 - (Date.now() % 60_000);
    if (msLeft < 5_000) await new Promise((resolve) => setTimeout(resolve, msLeft)); // the window is that of the clock
    const answers = (await Promise.all(tunnels.map(async (tunnel) => [await get(tunnel), await get(tunnel)]))).flat();
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(50);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(150);
    expect(rig.sink.requests).toHaveLength(50);
    for (const { socket } of tunnels) socket.destroy();

    await eventually(async () => (await rig.metric('alter_requests_total')) === 200);
    await eventually(async () => (await rig.metric('alter_connections_open')) === 0);
    const audit = await rig.admin<{ items: { event: string; decision: string; status: number | null }[] }>(
      'GET',
      '/audit?limit=1000&order=asc',
    );
    expect(audit.items.filter((event) => event.event === 'request.completed' && event.status === 200)).toHaveLength(50);
    expect(audit.items.filter((event) => event.event === 'request.decided' && event.decision === 'deny')).toHaveLength(
      150,
    );
  });

  it('both refuse a key when its revocation was acknowledged: at once on one machine, within a second through Redis', async () => {
    for (let round = 0; round < 5; round++) {
      const { id, key } = await rig.mintKey();
      const tunnels = await openMany(key, 30);
      expect((await Promise.all(tunnels.map(get))).every(({ status }) => status === 200)).toBe(true);
      await rig.admin('POST', `/keys/${id}/revoke`);
      if (kind === 'redis') await sleep(1_000);
      rig.sink.forget();
      expect(new Set((await Promise.all(tunnels.map(get))).map(({ status }) => status))).toEqual(new Set([407]));
      expect(rig.sink.requests).toHaveLength(0);
      for (const { socket } of tunnels) socket.destroy();
    }
  });

  it('go on when one of them is killed, which comes back', async () => {
    const { key } = await rig.mintKey();
    const [victim, other] = workers();
    expect(other).toBeDefined();
    for (const { socket, status } of await Promise.all(
      (await openMany(key, 60)).map(async (tunnel) => ({ ...tunnel, status: (await get(tunnel)).status })),
    )) {
      expect(status).toBe(200);
      socket.destroy();
    }
    const recorded = async () =>
      (await rig.admin<{ items: { event: string }[] }>('GET', '/audit?limit=1000')).items.filter(
        ({ event }) => event === 'request.completed',
      ).length;
    await eventually(async () => (await recorded()) === 60);
    process.kill(victim!, 'SIGKILL');
    await eventually(() => !workers().includes(victim!));
    for (let i = 0; i < 20; i++) {
      const tunnel = await rig.openTunnel(key);
      expect((await get(tunnel)).status).toBe(200);
      tunnel.socket.destroy();
    }
    expect((await rig.ops('/readyz')).status).toBe(200);
    await eventually(() => workers().length === 2);
    expect(workers()).toContain(other);
    const answers = await Promise.all((await openMany(key, 40)).map(get));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(rig.stderr + rig.stdout).toContain('A worker ended (SIGKILL)');
    rig.child.kill('SIGTERM');
    expect(await rig.exit).toBe(0);
    // Of the main process, of the two workers, and as the case may be of the new one. That of the killed one ends where it did.
    const { chains, events } = await rig.readAuditAtRest();
    expect(chains).toBeGreaterThanOrEqual(3);
    expect(events.filter(({ event, status }) => event === 'request.completed' && status === 200)).toHaveLength(120);
  });

  it('let requests under way finish when the service is told to stop, and record how they ended', async () => {
    const { key } = await rig.mintKey();
    const release: (() => void)[] = [];
    rig.sink.answer = (_, res) => void release.push(() => res.end('late'));
    const tunnels = await openMany(key, 20);
    const answers = tunnels.map(get);
    await eventually(() => release.length === 20);
    rig.child.kill('SIGTERM');
    await eventually(async () => (await rig.ops('/readyz')).status === 503);
    for (const answer of release) answer();
    expect((await Promise.all(answers)).map(({ status, body }) => `${status} ${body}`)).toEqual(
      Array.from({ length: 20 }, () => '200 late'),
    );
    expect(await rig.exit).toBe(0);
    expect(workers()).toEqual([]);
    const { events } = await rig.readAuditAtRest();
    expect(events.filter(({ event, status }) => event === 'request.completed' && status === 200)).toHaveLength(20);
  });

  it('end with the main process, however that ends', async () => {
    const pids = workers();
    expect(pids).toHaveLength(2);
    rig.child.kill('SIGKILL');
    await rig.exit;
    await eventually(() => pids.every((pid) => !isAlive(pid)), 5_000);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
