import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig } from '../support/rig.ts';
import { ServedRig } from '../support/served-rig.ts';
import { AnswerReader, basic, connectTo, openTunnel } from '../support/tunnel-client.ts';

/** More connections than the proxy may hold: it says so, serves whom it serves, and is as before when they are gone. */
describe('a flood of connections', () => {
  describe('on a process that may open 256 files', () => {
    let rig: ServedRig;
    let grantId: string;
    let key: string;
    beforeAll(async () => {
      rig = await ServedRig.open({ openFiles: 256, settings: { ALTER_LOG_LEVEL: 'warn' } });
      grantId = (await rig.storeSecret()).grantId;
      key = (await rig.mintKey()).key;
    });
    afterAll(() => rig?.close());

    const openFiles = (): number => readdirSync(`/proc/${rig.child.pid}/fd`).length;
    const cpuTicks = (): number => {
      const fields = readFileSync(`/proc/${rig.child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
      return Number(fields[11]) + Number(fields[12]);
    };
    const request = () => `GET /p HTTP/1.1\r\nHost: ${rig.target}\r\nX-Alter-Grant: ${grantId}\r\n\r\n`;

    it('is answered 503 overloaded beyond the limit, and takes nothing from those inside, from admin, audit and probes', async () => {
      const inside = await rig.openTunnel(key);
      inside.socket.write(request());
      expect((await inside.reader.next()).status).toBe(200);
      await rig.ops('/readyz');
      const before = openFiles();

      const flood: Socket[] = [];
      for (let batch = 0; batch < 10; batch++)
        flood.push(...(await Promise.all(Array.from({ length: 60 }, () => connectTo(rig.proxyPort)))));
      const idle = cpuTicks();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect(cpuTicks() - idle).toBeLessThan(40); // no loop around accept(): ticks of 10 ms
      expect(openFiles()).toBeLessThan(250);

      const turnedAway = await connectTo(rig.proxyPort);
      const reader = new AnswerReader(turnedAway);
      turnedAway.write(`CONNECT ${rig.target} HTTP/1.1\r\nHost: ${rig.target}\r\n\r\n`);
      const answer = await reader.next();
      expect([answer.status, answer.headers['x-alter-error'], answer.headers['retry-after']]).toEqual([
        503,
        'overloaded',
        '1',
      ]);
      turnedAway.destroy();

      for (let i = 0; i < 5; i++) {
        inside.socket.write(request());
        expect((await inside.reader.next()).status).toBe(200);
      }
      await rig.storeSecret();
      const { items } = await rig.admin<{ items: { event: string }[] }>('GET', '/audit?limit=100&order=desc');
      expect(items.map(({ event }) => event)).toContain('request.completed');
      expect((await rig.ops('/livez')).status).toBe(200);
      expect(await rig.metric('alter_connections_open')).toBeGreaterThan(30);

      for (const socket of flood) socket.destroy();
      inside.socket.destroy();
      await eventually(async () => (await rig.metric('alter_connections_open')) === 0);
      await eventually(() => openFiles() <= before + 10);
      const again = await rig.openTunnel(key);
      again.socket.write(request());
      expect((await again.reader.next()).status).toBe(200);
      again.socket.destroy();
      expect(rig.child.exitCode).toBeNull();
    });
  });

  describe('of one key', () => {
    let rig: Rig;
    beforeAll(async () => {
      rig = await Rig.open({ settings: { ALTER_MAX_CONNECTIONS_PER_KEY: '4', ALTER_MAX_CONNECTIONS: '20' } });
      await rig.storeSecret({ hosts: [rig.authorityOf()] });
    });
    afterAll(() => rig?.close());

    const open = (key: string) =>
      openTunnel({
        proxyPort: rig.proxyPort,
        target: rig.authorityOf(),
        key,
        serverName: 'a.test',
        ca: rig.service.authorityPem,
      });

    it('is answered 503 overloaded, leaves the others alone, and counts requests in absolute form too', async () => {
      const [greedy, modest] = [(await rig.mintKey()).key, (await rig.mintKey()).key];
      const held: Socket[] = [];
      for (let i = 0; i < 3; i++) {
        const opened = await open(greedy);
        if (opened.kind !== 'open') throw new Error(opened.kind);
        held.push(opened.socket);
      }
      const socket = await connectTo(rig.proxyPort);
      const reader = new AnswerReader(socket);
      const ask = async () => {
        socket.write(
          `GET https://${rig.authorityOf()}/ HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n` +
            `Proxy-Authorization: ${basic('x', greedy)}\r\n\r\n`,
        );
        return reader.next();
      };
      expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]); // one connection, counted once
      held.push(socket);

      const refused = await open(greedy);
      if (refused.kind !== 'refused') throw new Error(refused.kind);
      expect([refused.answer.status, refused.answer.headers['x-alter-error']]).toEqual([503, 'overloaded']);
      expect(JSON.parse(refused.answer.body).detail).toContain('ALTER_MAX_CONNECTIONS_PER_KEY');
      const other = await open(modest);
      expect(other.kind).toBe('open');
      if (other.kind === 'open') other.socket.destroy();

      held.shift()!.destroy();
      await eventually(async () => {
        const opened = await open(greedy);
        if (opened.kind === 'open') held.push(opened.socket);
        return opened.kind === 'open';
      });
      for (const one of held) one.destroy();
      await eventually(() => rig.service.proxy!.connections() === 0);
      for (let i = 0; i < 4; i++) {
        const opened = await open(greedy);
        expect(opened.kind).toBe('open');
        if (opened.kind === 'open') opened.socket.destroy();
        await eventually(() => rig.service.proxy!.connections() === 0);
      }
    });
  });

  describe('on a proxy that speaks TLS', () => {
    it('ends without a word beyond the limit, and the proxy is as before afterwards', async () => {
      const { TestAuthority } = await import('../support/sink.ts');
      const leaf = (await TestAuthority.create()).leafFor('localhost');
      const rig = await Rig.open({
        settings: {
          ALTER_PROXY_TLS_CERT: leaf.chainPem,
          ALTER_PROXY_TLS_KEY: leaf.privateKeyPem,
          ALTER_MAX_CONNECTIONS: '10',
        },
      });
      try {
        const flood = await Promise.all(Array.from({ length: 100 }, () => connectTo(rig.proxyPort)));
        await eventually(() => flood.filter((socket) => socket.resume().destroyed).length === 90);
        expect(rig.service.proxy!.connections()).toBe(10);
        for (const socket of flood) socket.destroy();
        await eventually(() => rig.service.proxy!.connections() === 0);
      } finally {
        await rig.close();
      }
    });
  });
});
