import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, inParallel } from '../support/in-parallel.ts';
import { ServedRig } from '../support/served-rig.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/*
 * Many clients at once that hold their connections by doing next to nothing, on the port and inside tunnels, against a proxy
 * in a process of its own, while others want to work. STALLED_ATTACKERS sets how many.
 */
const attackers = Number(process.env.STALLED_ATTACKERS ?? 120);
const limitMs = 2_000;
/** Until the last of them is gone, from when it has begun to stall. */
const graceMs = 5_000;
const perSecond = 50;

function* endless(): Generator<Buffer> {
  const chunk = Buffer.alloc(65_536);
  for (;;) yield chunk;
}

describe('a crowd of clients that stall', () => {
  let rig: ServedRig;
  let grantId: string;
  let key: string;
  let other: string;

  beforeAll(async () => {
    const timeouts = ['FIRST_BYTE', 'TLS', 'HEADER', 'BODY_IDLE', 'TUNNEL_IDLE', 'STREAM_IDLE'];
    rig = await ServedRig.open({
      settings: {
        ...Object.fromEntries(timeouts.map((name) => [`ALTER_${name}_TIMEOUT`, `${limitMs}ms`])),
        ALTER_MAX_CONNECTIONS_PER_KEY: '5000',
        ALTER_LOG_LEVEL: 'warn',
      },
    });
    ({ grantId } = await rig.storeSecret());
    ({ key } = await rig.mintKey());
    ({ key: other } = await rig.mintKey());
    rig.sink.answer = (req, res) => {
      if (req.url === '/large')
        Readable.from(endless())
          .on('error', () => {})
          .pipe(res);
      else res.end('ok');
    };
  });
  afterAll(() => rig?.close());

  const connectLine = () =>
    `CONNECT ${rig.target} HTTP/1.1\r\nHost: ${rig.target}\r\nProxy-Authorization: ${basic('x', key)}\r\n`;
  const requestLine = (path: string, method = 'POST') =>
    `${method} ${path} HTTP/1.1\r\nHost: ${rig.target}\r\nX-Alter-Grant: ${grantId}\r\n`;
  const onPort = (bytes: () => string) => async (): Promise<Socket> => {
    const socket = await connectTo(rig.proxyPort);
    socket.resume().write(bytes());
    return socket;
  };
  const inTunnel = (bytes: () => string) => async (): Promise<Socket> => {
    const { socket } = await rig.openTunnel(key);
    socket.resume().write(bytes());
    return socket;
  };

  /** How each of them holds its connection; `drip` is sent again and again. */
  const kinds: readonly { readonly begin: () => Promise<Socket>; readonly drip?: string }[] = [
    { begin: onPort(() => '') },
    { begin: onPort(connectLine), drip: 'X' },
    { begin: onPort(() => `${connectLine()}\r\n`) },
    { begin: onPort(() => `${connectLine()}\r\n\x16\x03\x01\x02\x00\x01`) },
    { begin: inTunnel(() => '') },
    { begin: inTunnel(() => requestLine('/p')), drip: 'X' },
    { begin: inTunnel(() => `${requestLine('/p')}Content-Length: 100\r\n\r\nabc`) },
    {
      begin: async () => {
        const { socket } = await rig.openTunnel(key);
        socket.pause().write(`${requestLine('/large', 'GET')}\r\n`);
        return socket;
      },
    },
  ];

  const good = async (): Promise<string> => {
    const socket = await connectTo(rig.proxyPort);
    const reader = new AnswerReader(socket);
    socket.write(
      `GET https://${rig.target}/ HTTP/1.1\r\nHost: ${rig.target}\r\nProxy-Authorization: ${basic('x', other)}\r\nX-Alter-Grant: ${grantId}\r\n\r\n`,
    );
    const { status, body } = await reader.next();
    socket.destroy();
    return `${status} ${body}`;
  };

  it(`is gone when its time is up, and ${perSecond} requests a second of others go on: ${attackers} of them`, async () => {
    expect(await good()).toBe('200 ok');
    const before = await rig.metric('alter_connections_open');
    const open = new Set<Socket>();
    const drips: NodeJS.Timeout[] = [];
    let working = true;
    const outcomes: Promise<string>[] = [];
    const traffic = setInterval(() => {
      if (working) outcomes.push(good());
    }, 1_000 / perSecond);

    let last = 0;
    let stalled = 0;
    await inParallel([...Array(attackers).keys()], 16, async (index) => {
      const { begin, drip } = kinds[index % kinds.length]!;
      // On a busy machine one may be too slow for what it means to do, and gone before it stalls.
      const socket = await begin().catch(() => null);
      if (socket === null) return;
      stalled++;
      last = Date.now();
      open.add(socket);
      if (drip !== undefined) drips.push(setInterval(() => socket.write(drip), 100));
      // Who does not read is not told of the end.
      const gone = (): boolean => open.delete(socket);
      socket.once('close', gone).once('end', gone);
    });
    await eventually(async () => (await rig.metric('alter_connections_open')) <= before + 10, limitMs + graceMs);
    const lasted = Date.now() - last;
    working = false;
    clearInterval(traffic);
    for (const drip of drips) clearInterval(drip);
    const results = await Promise.all(outcomes);
    for (const socket of open) socket.destroy();

    expect(stalled).toBeGreaterThan(attackers * 0.8);
    expect(lasted).toBeLessThan(limitMs + graceMs);
    expect(results.length).toBeGreaterThan(perSecond);
    const wrong = results.filter((result) => result !== '200 ok');
    expect(wrong.slice(Math.floor(results.length / 1_000))).toEqual([]);
  });
});
