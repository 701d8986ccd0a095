import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { basic, connectTo, type OpenedTunnel, openTunnel } from '../support/tunnel-client.ts';

/*
 * Clients that hold a connection by doing nothing, or next to nothing, at every point where the proxy waits for them. The
 * timers of Node's HTTP server do not reach inside a tunnel, so these are the proxy's own.
 */
const limitMs = 300;
const slackMs = 20_000; // what is asked is whether it is let go at all

describe('a client that stalls', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    const settings = Object.fromEntries(
      ['FIRST_BYTE', 'TLS', 'HEADER', 'BODY_IDLE', 'TUNNEL_IDLE', 'STREAM_IDLE'].map((name) => [
        `ALTER_${name}_TIMEOUT`,
        `${limitMs}ms`,
      ]),
    );
    // An honest answer may take longer than that on a busy machine.
    rig = await Rig.open({ settings: { ...settings, ALTER_RESPONSE_TIMEOUT: '3s' } });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  /** How long the proxy kept the connection; fails where it kept it for good. `drip` is sent again and again. */
  const lifetimeOf = async (socket: Socket, drip: string | null): Promise<number> => {
    const startedAt = Date.now();
    const timer = drip === null ? undefined : setInterval(() => socket.write(drip), 50);
    const closed = await new Promise<boolean>((resolve) => {
      socket.resume();
      socket.once('close', () => resolve(true));
      socket.once('end', () => resolve(true));
      setTimeout(() => resolve(false), limitMs + slackMs).unref();
    });
    clearInterval(timer);
    socket.destroy();
    expect(closed).toBe(true);
    return Date.now() - startedAt;
  };

  /** So may a handshake. */
  const tunnel = async (): Promise<Extract<OpenedTunnel, { kind: 'open' }>> => {
    const { proxyPort, service } = rig;
    const of = { proxyPort, target: rig.authorityOf(), key, serverName: 'a.test', ca: service.authorityPem };
    for (let attempt = 0; ; attempt++) {
      const opened = await openTunnel(of);
      if (opened.kind === 'open') return opened;
      if (attempt === 20) throw new Error(`the tunnel did not open: ${JSON.stringify(opened)}`);
    }
  };
  /** A tunnel in which a request was answered. */
  const answered = async (): Promise<Socket> => {
    let open: Socket | null = null;
    await eventually(async () => {
      const { socket, reader } = await tunnel();
      open = socket;
      socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
      return (await reader.next()).status === 200;
    });
    return open!;
  };
  const connectHead = () =>
    `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nProxy-Authorization: ${basic('x', key)}\r\n`;
  const requestHead = () => `POST /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n`;

  it('before its first byte is let go', async () => {
    await lifetimeOf(await connectTo(rig.proxyPort), null);
  });

  it('in the head of its CONNECT is let go, also where it drips', async () => {
    const socket = await connectTo(rig.proxyPort);
    socket.write(connectHead());
    await lifetimeOf(socket, 'X-Drip: 1\r\n');
  });

  it('after its CONNECT, before the TLS handshake, is let go', async () => {
    const socket = await connectTo(rig.proxyPort);
    socket.write(`${connectHead()}\r\n`);
    await lifetimeOf(socket, null);
  });

  it('in the middle of the TLS handshake is let go', async () => {
    const socket = await connectTo(rig.proxyPort);
    socket.write(`${connectHead()}\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
    await lifetimeOf(socket, '\0');
  });

  it('after the handshake, before a request, is let go', async () => {
    await lifetimeOf((await tunnel()).socket, null);
  });

  it('in the head of a request inside the tunnel is let go, also where it drips', async () => {
    const { socket } = await tunnel();
    socket.write(requestHead());
    await lifetimeOf(socket, 'X-Drip: 1\r\n');
  });

  it('in the head of its second request is let go', async () => {
    const socket = await answered();
    socket.write('GET /p');
    await lifetimeOf(socket, 'q');
  });

  it('in the body of a request is let go', async () => {
    const { socket } = await tunnel();
    socket.write(`${requestHead()}Content-Length: 100\r\n\r\nhello`);
    await lifetimeOf(socket, null);
  });

  it('between two requests is let go', async () => {
    const socket = await answered();
    await lifetimeOf(socket, null);
  });

  it('that does not read its answer is let go', async () => {
    rig.sink().answer = (_, res) => {
      res.on('error', () => {});
      const chunk = Buffer.alloc(1_048_576);
      const pump = (): void => {
        while (!res.destroyed && res.write(chunk));
        res.once('drain', pump);
      };
      pump();
    };
    const { socket } = await tunnel();
    socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    socket.pause();
    const before = rig.service.proxy!.connections();
    await eventually(() => rig.service.proxy!.connections() < before);
    socket.destroy();
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
  });

  it('is told so where it is the upstream that does not answer', async () => {
    rig.sink().answer = () => {};
    const { socket, reader } = await tunnel();
    socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    const answer = await reader.next();
    socket.destroy();
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([504, 'upstream_timeout']);
  });

  it('does not keep others waiting, and leaves nothing behind', async () => {
    const idle = await Promise.all(Array.from({ length: 200 }, () => connectTo(rig.proxyPort)));
    const socket = await answered();
    socket.destroy();
    await eventually(() => rig.service.proxy!.connections() === 0);
    for (const each of idle) each.destroy();
  });
});
