import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ProxyServer } from 'http-proxy-3';
import { eventually } from '../support/in-parallel.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { basic, exchangeRaw, mustOpen } from '../support/tunnel-client.ts';

/*
 * A channel that nobody reads is a way around every check: after an upgrade the proxy passes bytes on unseen. So there must
 * be one only where both ends agreed on a WebSocket, and nothing that a client sends may slip through before or beside it.
 */
const marker = 'GET /marker HTTP/1.1\r\nHost: a.test\r\n\r\n';
const clientKey = 'dGhlIHNhbXBsZSBub25jZQ==';
const accepted = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='; // of the key above, RFC 6455 section 1.3

describe('an upgrade that is none', () => {
  let rig: Rig;
  let upstream: RawUpstream;
  let host: string;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ alsoAllow: '127.0.0.1/32' });
    upstream = await RawUpstream.open(rig.authority);
    host = `a.test:${upstream.port}`;
    secret = await rig.storeSecret({ hosts: [host] });
    key = (await rig.mintKey()).key;
  });
  afterEach(() => upstream.forget());
  afterAll(async () => {
    await upstream?.close();
    await rig?.close();
  });

  const tunnel = () =>
    mustOpen({
      proxyPort: rig.proxyPort,
      target: host,
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
  const handshake = (...lines: readonly string[]): string =>
    [
      'GET /chat HTTP/1.1',
      `Host: ${host}`,
      `X-Alter-Grant: ${secret.grantId}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Key: ${clientKey}`,
      'Sec-WebSocket-Version: 13',
      ...lines,
      '',
      '',
    ].join('\r\n');
  const head = (...lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
  const rightHeaders = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accepted}`];
  const switching = 'HTTP/1.1 101 Switching Protocols';

  it.each<[string, string, number]>([
    ['101 without Sec-WebSocket-Accept', head(switching, 'Upgrade: websocket', 'Connection: Upgrade'), 502],
    [
      '101 with an accept for another key',
      head(switching, ...rightHeaders.slice(0, 2), 'Sec-WebSocket-Accept: AAAA'),
      502,
    ],
    ['101 with two accepts', head(switching, ...rightHeaders, `Sec-WebSocket-Accept: ${accepted}`), 502],
    ['101 to h2c', head(switching, 'Upgrade: h2c', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accepted}`), 502],
    ['101 to two protocols', head(switching, ...rightHeaders, 'Upgrade: h2c'), 502],
    ['101 without Upgrade', head(switching, 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accepted}`), 502],
    ['101 without Connection', head(switching, 'Upgrade: websocket', `Sec-WebSocket-Accept: ${accepted}`), 502],
    ['101 and nothing else', head(switching), 502],
    ['200', `${head('HTTP/1.1 200 OK', 'Content-Length: 2', ...rightHeaders)}ok`, 200],
    ['200 without a length', `${head('HTTP/1.1 200 OK', 'Connection: close')}ok`, 200],
    ['204', head('HTTP/1.1 204 No Content', ...rightHeaders), 204],
    ['426', head('HTTP/1.1 426 Upgrade Required', 'Content-Length: 0'), 426],
    ['407', head('HTTP/1.1 407 Proxy Authentication Required', 'Content-Length: 0'), 502],
    ['a thousand hints', head('HTTP/1.1 103 Early Hints').repeat(1_000), 502],
    ['two lengths', `${head('HTTP/1.1 200 OK', 'Content-Length: 2', 'Content-Length: 3')}okk`, 502],
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n', 502],
    ['an end', '', 502],
  ])('leaves no channel where the upstream answers %s', async (_, answer, status) => {
    upstream.behave = async (connection) => {
      await connection.head();
      if (answer === '') connection.socket.end();
      else connection.socket.write(answer);
      if (answer.includes('close')) connection.socket.end();
    };
    for (const early of ['', marker]) {
      upstream.forget();
      const { socket, reader } = await tunnel();
      socket.write(handshake() + early);
      const answered = await reader.next();
      for (let i = 0; i < 5; i++) {
        if (!socket.destroyed) socket.write(marker);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(answered.status).toBe(status);
      if (status === 502) expect(answered.headers['x-alter-error']).toMatch(/^upstream_/);
      await eventually(() => upstream.connections.every((connection) => connection.closedAt !== null));
      await eventually(() => socket.destroyed);
      expect(upstream.connections).toHaveLength(1);
      expect(upstream.connections[0]!.received).not.toContain('marker');
      expect(upstream.connections[0]!.received).toContain(secret.canary);
    }
  });

  it('is told apart from one that was accepted, which passes bytes both ways from the first on', async () => {
    upstream.behave = async (connection) => {
      await connection.head();
      connection.socket.write(`${head(switching, ...rightHeaders)}early from the upstream `);
    };
    const { socket, reader } = await tunnel();
    socket.write(`${handshake()}early from the client `);
    await eventually(() => upstream.connections[0]?.received.endsWith('early from the client ') === true);
    upstream.connections[0]!.socket.write('late');
    await eventually(() => reader.buffered.toString().endsWith('early from the upstream late'));
    expect(reader.buffered.toString()).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(upstream.connections[0]!.heads).toBe(1);
    socket.destroy();
  });

  it.each<[string, (handshake: string, more: (line: string) => string) => string]>([
    ['a POST', (plain) => plain.replace('GET', 'POST')],
    ['HTTP/1.0', (plain) => plain.replace('HTTP/1.1', 'HTTP/1.0')],
    ['a body', (_, more) => `${more('Content-Length: 5')}hello`],
    ['a chunked body', (_, more) => `${more('Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`],
    ['no key', (plain) => plain.replace(/Sec-WebSocket-Key.*\r\n/, '')],
    ['two keys', (_, more) => more(`Sec-WebSocket-Key: ${clientKey}`)],
    ['a key of another length', (plain) => plain.replace(clientKey, 'AAAA')],
    ['an old version', (plain) => plain.replace('Version: 13', 'Version: 8')],
    ['two versions', (_, more) => more('Sec-WebSocket-Version: 13')],
  ])('does not leave where its handshake has %s', async (_, change) => {
    const { socket, reader } = await tunnel();
    socket.write(change(handshake(), handshake) + marker);
    const answer = await reader.next();
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([400, 'request_malformed']);
    await eventually(() => socket.destroyed);
    expect(upstream.connections).toHaveLength(0);
  });

  it.each([
    ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
    ['Upgrade: TLS/1.0, HTTP/1.1', 'Connection: Upgrade'],
    ['Upgrade: websocket, h2c', 'Connection: Upgrade'],
    ['Upgrade: websocket', 'Upgrade: h2c', 'Connection: Upgrade'],
    ['Upgrade: websocket', 'Connection: keep-alive'],
    ['Upgrade: connect-udp', 'Connection: Upgrade'],
  ])('goes on as a plain request, without the header, where it is not for a WebSocket (%s, %s)', async (...lines) => {
    upstream.behave = async (connection) => {
      await connection.head();
      connection.socket.write(`${head('HTTP/1.1 200 OK', 'Content-Length: 2')}ok`);
    };
    const { socket, reader } = await tunnel();
    socket.write(
      `GET /plain HTTP/1.1\r\nHost: ${host}\r\nX-Alter-Grant: ${secret.grantId}\r\n${lines.join('\r\n')}\r\n\r\n`,
    );
    expect((await reader.next()).status).toBe(200);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(marker);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(upstream.connections).toHaveLength(1);
    expect(upstream.connections[0]!.heads).toBe(1);
    expect(upstream.connections[0]!.received).not.toMatch(/upgrade|http2-settings|PRI|marker/i);
    socket.destroy();
  });

  it('is not read from behind a request that waits for its answer', async () => {
    const { socket } = await tunnel();
    socket.write(`GET /slow HTTP/1.1\r\nHost: ${host}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n${handshake()}`);
    await eventually(() => socket.destroyed);
    expect(upstream.connections.every((connection) => !connection.received.includes('/chat'))).toBe(true);
  });

  it('does not leave in clear text with a credential', async () => {
    const target = `a.test:${rig.sink().port}`;
    rig.sink().forget();
    for (const [scheme, code] of [
      ['http', 'plaintext_forbidden'],
      ['ws', 'request_malformed'],
    ] as const) {
      const own = await rig.storeSecret({ hosts: [target] });
      const answer = await exchangeRaw(
        rig.proxyPort,
        handshake(`Proxy-Authorization: ${basic('x', key)}`)
          .replace('GET /chat', `GET ${scheme}://${target}/chat`)
          .replace(`Host: ${host}`, `Host: ${target}`)
          .replace(secret.grantId, own.grantId),
      );
      expect(answer.headers['x-alter-error']).toBe(code);
    }
    expect(rig.sink().accepts).toBe(0);
  });

  it('is no CONNECT inside the tunnel either', async () => {
    const { socket, reader } = await tunnel();
    socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n${marker}`);
    expect((await reader.next()).headers['x-alter-error']).toBe('method_refused');
    await eventually(() => socket.destroyed);
    expect(upstream.connections).toHaveLength(0);
  });

  it('would be joined by http-proxy-3 on its own, which is why the proxy checks the answer before', async () => {
    let received = '';
    const naive = createTcpServer((socket) => {
      socket.on('data', (chunk) => {
        received += chunk.toString();
        if (!received.includes('marker')) socket.write(head(switching, 'Upgrade: websocket', 'Connection: Upgrade'));
      });
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => {
      naive.listen(0, '127.0.0.1', resolve);
    });
    const proxy = new ProxyServer({ target: { host: '127.0.0.1', port: (naive.address() as AddressInfo).port } });
    proxy.on('error', () => {});
    const front = createServer();
    front.on('upgrade', (req, socket, early) => proxy.ws(req, socket, early));
    await new Promise<void>((resolve) => {
      front.listen(0, '127.0.0.1', resolve);
    });
    const client = connect({ host: '127.0.0.1', port: (front.address() as AddressInfo).port });
    client.on('error', () => {});
    client.write(handshake() + marker);
    await eventually(() => received.includes('/marker'));
    client.destroy();
    front.close();
    naive.close();
    expect(received).toContain('/marker');
  });
});
