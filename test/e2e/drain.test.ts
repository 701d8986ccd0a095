import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ReadAuditEvent } from '../../vault/audit/audit-reader.ts';
import { eventually } from '../support/in-parallel.ts';
import { ServedRig } from '../support/served-rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/** A service that is told to stop: what began may finish, nothing begins, and everything is on record afterwards. */
describe('a service that is told to stop', () => {
  let rig: ServedRig;
  let grantId: string;
  let key: string;
  const open = async (settings: Record<string, string> = {}): Promise<void> => {
    rig = await ServedRig.open({ settings: { ALTER_LOG_LEVEL: 'warn', ...settings } });
    grantId = (await rig.storeSecret()).grantId;
    key = (await rig.mintKey()).key;
  };
  const clients: Socket[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await rig?.close();
  });

  const head = (method: string, path: string, lines = '') =>
    `${method} ${path} HTTP/1.1\r\nHost: ${rig.target}\r\nX-Alter-Grant: ${grantId}\r\n${lines}\r\n`;
  const openTunnel = async () => {
    const tunnel = await rig.openTunnel(key);
    clients.push(tunnel.socket);
    return tunnel;
  };
  const completed = async (): Promise<ReadAuditEvent[]> =>
    (await rig.readAuditAtRest()).events.filter(({ event }) => event === 'request.completed');

  describe('with time to finish', () => {
    beforeEach(() => open());

    it('finishes requests and uploads, hangs up on the idle, takes nothing new, and exits with 0', async () => {
      const release: (() => void)[] = [];
      rig.sink.answer = (req, res, body) => {
        if (req.url === '/idle') res.end('ok');
        else release.push(() => res.end(`${req.method} ${body.length}`));
      };
      const idle = await Promise.all(Array.from({ length: 10 }, openTunnel));
      for (const { socket } of idle) socket.write(head('GET', '/idle'));
      for (const { reader } of idle) expect((await reader.next()).headers.connection).not.toBe('close');

      const slow = await Promise.all(Array.from({ length: 20 }, openTunnel));
      for (const { socket } of slow) socket.write(head('GET', '/slow'));
      const uploads = await Promise.all(Array.from({ length: 10 }, openTunnel));
      for (const { socket } of uploads) socket.write(`${head('PUT', '/upload', 'Content-Length: 100000\r\n')}half`);
      await eventually(() => release.length === 20 && rig.sink.raw.includes('half'));
      const bystander = await openTunnel(); // connected, and asks only later
      const late = await connectTo(rig.proxyPort);
      clients.push(late);

      rig.child.kill('SIGTERM');
      await eventually(async () => (await rig.ops('/readyz')).status === 503);
      expect((await rig.ops('/livez')).status).toBe(200);
      await eventually(() => idle.every(({ socket }) => socket.destroyed || socket.readableEnded));
      const refused = await connectTo(rig.proxyPort);
      expect(refused.destroyed || refused.connecting).toBe(true);
      const lateReader = new AnswerReader(late);
      late.write(
        `CONNECT ${rig.target} HTTP/1.1\r\nHost: ${rig.target}\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`,
      );
      expect((await lateReader.next()).headers['x-alter-error']).toBe('draining');
      bystander.socket.write(head('GET', '/new'));
      const said = await bystander.reader.next();
      expect([said.status, said.headers['x-alter-error'], said.headers.connection]).toEqual([503, 'draining', 'close']);

      await sleep(300);
      expect(rig.child.exitCode).toBeNull(); // it waits
      for (const { socket } of uploads) socket.write('x'.repeat(100_000 - 4));
      await eventually(() => release.length === 30);
      for (const answer of release) answer();
      for (const { reader, socket } of slow) {
        const { status, body, cut, headers } = await reader.next();
        expect([status, body, cut, headers.connection]).toEqual([200, 'GET 0', false, 'close']);
        socket.destroy();
      }
      for (const { reader } of uploads) {
        const { status, body, cut, headers } = await reader.next();
        expect([status, body, cut, headers.connection]).toEqual([200, 'PUT 100000', false, 'close']);
      }
      expect(await rig.exit).toBe(0);
      const outcomes = await completed();
      expect(outcomes.map(({ path, status }) => `${path} ${status}`).sort()).toEqual(
        [
          ...Array.from({ length: 10 }, () => '/idle 200'),
          ...Array.from({ length: 20 }, () => '/slow 200'),
          ...Array.from({ length: 10 }, () => '/upload 200'),
        ].sort(),
      );
    });

    it('ends at once, with exit code 1, when it is told a second time', async () => {
      rig.sink.answer = () => {};
      const { socket } = await openTunnel();
      socket.write(head('GET', '/never'));
      await eventually(() => rig.sink.requests.length === 1);
      rig.child.kill('SIGTERM');
      await eventually(async () => (await rig.ops('/readyz')).status === 503);
      const elapsedMs = startStopwatch();
      rig.child.kill('SIGTERM');
      expect(await rig.exit).toBe(1);
      expect(elapsedMs()).toBeLessThan(1_000);
    });

    it('ends at once where nothing is under way', async () => {
      const { socket, reader } = await openTunnel();
      socket.write(head('GET', '/p'));
      expect((await reader.next()).status).toBe(200);
      const elapsedMs = startStopwatch();
      rig.child.kill('SIGINT');
      expect(await rig.exit).toBe(0);
      expect(elapsedMs()).toBeLessThan(2_000);
    });
  });

  it('cuts what is not over within ALTER_DRAIN_TIMEOUT, records that too, and exits with 0', async () => {
    await open({ ALTER_DRAIN_TIMEOUT: '500ms' });
    rig.sink.answer = (req, res) => {
      if (req.url === '/stream') res.write('begun');
    };
    const never = await openTunnel();
    never.socket.write(head('GET', '/never'));
    const stream = await openTunnel();
    stream.socket.write(head('GET', '/stream'));
    await eventually(() => rig.sink.requests.length === 2 && stream.reader.buffered.includes('begun'));
    const elapsedMs = startStopwatch();
    const begunAt = performance.now();
    rig.child.kill('SIGTERM');
    expect((await never.reader.next()).cut).toBe(true);
    expect(await rig.exit).toBe(0);
    expect(performance.now() - begunAt).toBeGreaterThan(450); // by the clock, as the process has it
    expect(elapsedMs()).toBeLessThan(3_000);
    expect(new Set((await completed()).map(({ path }) => path))).toEqual(new Set(['/never', '/stream']));
  });

  it('lets a blind tunnel go on until the deadline, and records its end', async () => {
    const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket));
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    const { port } = echo.address() as AddressInfo;
    try {
      rig = await ServedRig.open({
        settings: {
          ALTER_LOG_LEVEL: 'warn',
          ALTER_DRAIN_TIMEOUT: '1s',
          ALTER_HOSTS: 'a.test=127.0.0.1,echo.test=127.0.0.1',
          ALTER_ALLOW_ADDRESSES: `127.0.0.1:${port}`,
        },
      });
      key = (await rig.mintKey()).key;
      const socket = await connectTo(rig.proxyPort);
      clients.push(socket);
      const target = `echo.test:${port}`;
      const reader = new AnswerReader(socket);
      socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`);
      expect((await reader.next({ bodyless: true })).status).toBe(200);
      rig.child.kill('SIGTERM');
      await eventually(async () => (await rig.ops('/readyz')).status === 503);
      socket.write('still here');
      await eventually(() => reader.buffered.toString() === 'still here');
      expect(await rig.exit).toBe(0);
      const { events } = await rig.readAuditAtRest();
      expect(events.map(({ event }) => event)).toContain('tunnel.completed');
    } finally {
      echo.close();
    }
  });
});
