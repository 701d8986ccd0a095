import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, inParallel } from '../support/in-parallel.ts';
import { mutate, Random } from '../support/mutate.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { basic, connectTo, openTunnel } from '../support/tunnel-client.ts';

/*
 * A query of death: bytes that end the process, or leave something behind. `npm run fuzz` runs the same for longer; a seed
 * from the output repeats a run.
 */
const rounds = Number(process.env.FUZZ_ROUNDS ?? 150);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_007);
const answerWithinMs = 60;

describe(`with mutated bytes (FUZZ_SEED=${seed}, ${rounds} rounds each)`, () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  let hostile: Server;
  let hostileSecret: StoredSecret;
  let reply: Buffer = Buffer.alloc(0);
  const surprises: unknown[] = [];
  const surprised = (error: unknown): unknown => surprises.push(error);

  beforeAll(async () => {
    process.on('unhandledRejection', surprised);
    rig = await Rig.open({
      settings: {
        ALTER_FIRST_BYTE_TIMEOUT: '1s',
        ALTER_HEADER_TIMEOUT: '1s',
        ALTER_TLS_TIMEOUT: '1s',
        ALTER_BODY_IDLE_TIMEOUT: '1s',
        ALTER_LOG_LEVEL: 'error',
        ALTER_MAX_KEY_FAILURES_PER_MINUTE: '1000000', // mutated keys are to be read, not waved off
      },
      alsoAllow: '127.0.0.0/8',
    });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
    const leaf = rig.authority.leafFor('a.test');
    hostile = createTlsServer({ cert: leaf.chainPem, key: leaf.privateKeyPem }, (socket: Socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(reply));
    });
    hostile.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
    hostileSecret = await rig.storeSecret({ hosts: [`a.test:${portOf(hostile)}`] });
  });
  afterAll(async () => {
    process.off('unhandledRejection', surprised);
    hostile?.close();
    await rig?.close();
  });

  const portOf = (server: Server): number => (server.address() as AddressInfo).port;

  /** Sends and gives the peer a moment to answer or close. */
  const push = async (socket: Socket, bytes: Buffer): Promise<void> => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, answerWithinMs);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      socket.once('data', done).once('close', done).once('error', done);
      socket.write(bytes);
    });
    socket.destroy();
  };
  const many = async (label: number, work: (random: Random) => Promise<void>): Promise<void> => {
    await inParallel(
      Array.from({ length: rounds }, (_, round) => new Random(seed + label * 1_000_003 + round)),
      32,
      work,
    );
  };
  const request = (): Buffer =>
    Buffer.from(
      `POST /v1/x?a=1 HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\nTransfer-Encoding: chunked\r\nAccept: */*\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    );

  it('on the proxy port, in the head of a CONNECT', async () => {
    const honest = Buffer.from(
      `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nProxy-Authorization: ${basic('auto', key)}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`,
    );
    await many(1, async (random) => push(await connectTo(rig.proxyPort), mutate(honest, random)));
  }, 600_000);

  it('on the proxy port, in a request in absolute form', async () => {
    const honest = Buffer.from(
      request()
        .toString('latin1')
        .replace('POST /', `POST https://${rig.authorityOf()}/`)
        .replace('Accept', `Proxy-Authorization: ${basic('x', key)}\r\nAccept`),
      'latin1',
    );
    await many(2, async (random) => push(await connectTo(rig.proxyPort), mutate(honest, random)));
  }, 600_000);

  it('in a ClientHello', async () => {
    const hello = await new Promise<Buffer>((resolve) => {
      const server = createServer((socket) =>
        socket.once('data', (bytes: Buffer) => {
          socket.destroy();
          server.close();
          resolve(bytes);
        }),
      );
      server.listen(0, '127.0.0.1', () => {
        void import('node:tls').then(({ connect }) =>
          connect({ port: portOf(server), host: '127.0.0.1', servername: 'a.test' }).on('error', () => {}),
        );
      });
    });
    await many(3, async (random) => {
      const socket = await connectTo(rig.proxyPort);
      socket.write(
        `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`,
      );
      await new Promise<void>((resolve) => socket.once('data', () => resolve()).once('close', () => resolve()));
      await push(socket, mutate(hello, random));
    });
  }, 600_000);

  it('in a request inside the tunnel', async () => {
    await many(4, async (random) => {
      const tunnel = await openTunnel({
        proxyPort: rig.proxyPort,
        target: rig.authorityOf(),
        key,
        serverName: 'a.test',
        ca: rig.service.authorityPem,
      });
      if (tunnel.kind === 'open') await push(tunnel.socket, mutate(request(), random));
    });
  }, 600_000);

  it('in the answer of an upstream', async () => {
    const honest = Buffer.from(
      'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n',
    );
    const target = `a.test:${portOf(hostile)}`;
    await many(5, async (random) => {
      reply = mutate(honest, random);
      const tunnel = await openTunnel({
        proxyPort: rig.proxyPort,
        target,
        key,
        serverName: 'a.test',
        ca: rig.service.authorityPem,
      });
      if (tunnel.kind === 'open')
        await push(
          tunnel.socket,
          Buffer.from(`GET / HTTP/1.1\r\nHost: ${target}\r\nX-Alter-Grant: ${hostileSecret.grantId}\r\n\r\n`),
        );
    });
  }, 600_000);

  it('nothing was thrown that nobody caught, nothing is left open, and the next request works', async () => {
    expect(surprises).toEqual([]);
    expect(rig.logText).not.toContain('failed inside the proxy');
    await eventually(() => rig.service.proxy!.connections() === 0);
    const { stdout, stderr } = await rig.curl(
      ['-H', `X-Alter-Grant: ${secret.grantId}`, `https://${rig.authorityOf()}/`],
      {
        key,
      },
    );
    expect([stdout, stderr]).toEqual(['ok', '']);
    // Only what was granted carried the credential, and it never went anywhere else.
    for (const seen of rig.sink().requests)
      expect(seen.all('authorization').every((value) => value === `Bearer ${secret.canary}`)).toBe(true);
  });
});
