import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/** A real WebSocket server behind the proxy, a real client before it. */
describe('a WebSocket', () => {
  let rig: Rig;
  let server: Server;
  let sockets: WebSocketServer;
  let host: string;
  let secret: StoredSecret;
  let key: { id: string; key: string };
  const handshakes: { url: string; headers: readonly string[] }[] = [];
  const upstreams: WebSocket[] = [];

  beforeAll(async () => {
    rig = await Rig.open({ alsoAllow: '127.0.0.1/32' });
    const leaf = rig.authority.leafFor('a.test');
    server = createServer({ cert: leaf.chainPem, key: leaf.privateKeyPem });
    sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 }, maxPayload: 2 ** 28 });
    sockets.on('headers', (headers) => headers.push('Alt-Svc: h3=":443"', 'X-Alter-Fake: 1', 'X-Own: kept'));
    sockets.on('connection', (socket, req) => {
      handshakes.push({ url: req.url ?? '', headers: req.rawHeaders });
      upstreams.push(socket);
      socket.on('error', () => {});
      socket.on('message', (data, isBinary) => {
        if (!isBinary && (data as Buffer).toString() === 'be quiet') socket.pause();
        else socket.send(data, { binary: isBinary });
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    host = `a.test:${(server.address() as AddressInfo).port}`;
    secret = await rig.storeSecret({
      hosts: [host],
      body: { injection_rules: [{ target: 'query', name: 'api_key', format: '{token}' }] },
    });
    key = await rig.mintKey();
  });
  afterAll(async () => {
    for (const socket of sockets?.clients ?? []) socket.terminate();
    server?.close();
    await rig?.close();
  });

  interface Opened {
    readonly ws: WebSocket;
    readonly tunnel: Socket;
    readonly answer: readonly string[];
  }

  const open = async (
    of: {
      secret?: StoredSecret;
      key?: string;
      path?: string;
      headers?: Record<string, string>;
      deflate?: boolean;
      rig?: Rig;
    } = {},
  ): Promise<Opened> => {
    const through = of.rig ?? rig;
    const { socket } = await mustOpen({
      proxyPort: through.proxyPort,
      target: host,
      key: of.key ?? key.key,
      serverName: 'a.test',
      ca: through.service.authorityPem,
    });
    socket.removeAllListeners('data');
    const ws = new WebSocket(`wss://${host}${of.path ?? '/chat?room=1'}`, {
      createConnection: () => socket,
      perMessageDeflate: of.deflate ?? true,
      maxPayload: 2 ** 28,
      headers: { 'X-Alter-Grant': (of.secret ?? secret).grantId, Authorization: 'Bearer mine', ...of.headers },
    });
    let answer: readonly string[] = [];
    ws.on('upgrade', (res) => {
      answer = res.rawHeaders;
    });
    await new Promise<void>((resolve, reject) => {
      ws.once('open', () => resolve());
      ws.once('error', reject);
    });
    return { ws, tunnel: socket, answer };
  };
  const closed = (ws: WebSocket): Promise<{ code: number; afterMs: number }> => {
    const elapsedMs = startStopwatch();
    return new Promise((resolve) => {
      ws.on('error', () => {});
      ws.once('close', (code) => resolve({ code, afterMs: elapsedMs() }));
    });
  };
  const last = <T>(list: readonly T[]): T => list.at(-1)!;
  const outcomeOf = async (path: string) => {
    type Event = { event: string; path: string; status: number; request_id: string; decision: string };
    const { items } = await rig.admin<{ items: Event[] }>('GET', '/audit?order=desc&limit=50');
    return items.filter((event) => event.path === path).map((event) => [event.event, event.status ?? null]);
  };

  it('carries the credential in its handshake, and nothing of ours', async () => {
    const { ws, answer } = await open({ headers: { 'X-Alter-Reason': 'talk', Cookie: 'a=1' } });
    const { url, headers } = last(handshakes);
    const all = (name: string) => headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase() === name);
    expect(all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    expect(all('host')).toEqual([host]);
    expect(all('cookie')).toEqual(['a=1']);
    expect(all('connection')).toEqual(['Upgrade']);
    expect(url).toBe(`/chat?room=1&api_key=${secret.canary}`);
    expect(headers.join('\n')).not.toMatch(/x-alter|proxy-/i);
    const names = answer.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    expect(names).toContain('x-own');
    expect(names).toContain('x-alter-request-id');
    expect(names).not.toContain('alt-svc');
    expect(names).not.toContain('x-alter-fake');
    ws.terminate();
  });

  it.each([true, false])('echoes frames of every size, as they are (compressed: %s)', async (deflate) => {
    const { ws } = await open({ deflate });
    expect(ws.extensions).toBe(deflate ? 'permessage-deflate' : '');
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_048_576]) {
      for (let i = 0; i < (size > 100_000 ? 5 : 50); i++) {
        const message = randomBytes(size);
        const echo = new Promise<Buffer>((resolve) => ws.once('message', (data: Buffer) => resolve(data)));
        ws.send(message);
        expect((await echo).equals(message)).toBe(true);
      }
    }
    ws.terminate();
  });

  it('passes pings, fragments and the close code of the client', async () => {
    const { ws } = await open();
    const pong = new Promise<string>((resolve) => ws.once('pong', (data) => resolve(String(data))));
    ws.ping('are you there');
    expect(await pong).toBe('are you there');
    const echo = new Promise<string>((resolve) => ws.once('message', (data: Buffer) => resolve(data.toString())));
    ws.send('in two ', { fin: false });
    ws.send('parts', { fin: true });
    expect(await echo).toBe('in two parts');
    const seen = new Promise<number>((resolve) => last(upstreams).once('close', resolve));
    ws.close(4_242, 'enough');
    expect(await seen).toBe(4_242);
  });

  it('passes the close code of the upstream', async () => {
    const { ws } = await open();
    const end = closed(ws);
    last(upstreams).close(4_001, 'go');
    expect((await end).code).toBe(4_001);
  });

  it('ends at the upstream within a second of the client going away, and the reverse', async () => {
    const first = await open();
    const upstreamEnd = closed(last(upstreams));
    first.tunnel.destroy();
    expect((await upstreamEnd).afterMs).toBeLessThan(1_000);
    const second = await open();
    const clientEnd = closed(second.ws);
    last(upstreams).terminate();
    expect((await clientEnd).afterMs).toBeLessThan(1_000);
  });

  it('is on record: the decision before, and its end with status 101', async () => {
    const path = `/record/${randomBytes(4).toString('hex')}`;
    const { ws } = await open({ path });
    expect(await outcomeOf(path)).toEqual([['request.decided', null]]);
    ws.close();
    await eventually(async () => (await outcomeOf(path)).length === 2);
    expect(await outcomeOf(path)).toEqual([
      ['request.completed', 101],
      ['request.decided', null],
    ]);
  });

  it('holds back a sender where the reader does not read', async () => {
    const { ws } = await open({ deflate: false });
    ws.send('be quiet');
    await eventually(() => last(upstreams).isPaused);
    const chunk = randomBytes(1_048_576);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 64; i++) ws.send(chunk);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    // What the client could not send is still with the client: the proxy took a few buffers full.
    expect(ws.bufferedAmount).toBeGreaterThan(40 * 1_048_576);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1_048_576);
    const received: number[] = [];
    ws.on('message', (data: Buffer) => received.push(data.length));
    last(upstreams).resume();
    await eventually(() => received.length === 64);
    ws.terminate();
  });

  it('is cut within two seconds of the grant, the key or the secret being taken back', async () => {
    const ways: ((of: StoredSecret, keyId: string) => Promise<unknown>)[] = [
      (of) => rig.admin('POST', `/grants/${of.grantId}/revoke`, {}),
      (_, keyId) => rig.admin('POST', `/keys/${keyId}/revoke`, {}),
      (of) => rig.admin('DELETE', `/managed-secrets/${of.id}`),
      (of) => rig.admin('PUT', `/managed-secrets/${of.id}/allowed-hosts`, { hosts: [] }),
    ];
    await Promise.all(
      ways.map(async (takeBack) => {
        const own = await rig.storeSecret({ hosts: [host] });
        const ownKey = await rig.mintKey();
        const { ws } = await open({ secret: own, key: ownKey.key });
        await new Promise((resolve) => setTimeout(resolve, 1_100));
        expect(ws.readyState).toBe(WebSocket.OPEN);
        const end = closed(ws);
        const elapsedMs = startStopwatch();
        await takeBack(own, ownKey.id);
        const askedMs = elapsedMs();
        expect((await end).afterMs - askedMs).toBeLessThan(2_000); // from when it was acknowledged
      }),
    );
  });

  it('is refused like any request, in a response that the client can read', async () => {
    const other = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const before = handshakes.length;
    await expect(open({ secret: other })).rejects.toThrow('403');
    await rig.admin('POST', `/grants/${other.grantId}/revoke`, {});
    await expect(open({ secret: other })).rejects.toThrow('403');
    expect(handshakes).toHaveLength(before);
  });

  it('that idles is closed, and one that talks is not', async () => {
    const impatient = await Rig.open({
      alsoAllow: '127.0.0.1/32',
      settings: { ALTER_TUNNEL_IDLE_TIMEOUT: '1s', ALTER_UPSTREAM_CA: rig.authority.material.certificatePem },
    });
    try {
      const own = await impatient.storeSecret({ hosts: [host] });
      const ownKey = (await impatient.mintKey()).key;
      const { ws } = await open({ rig: impatient, secret: own, key: ownKey });
      for (let i = 0; i < 15; i++) {
        ws.send('still here');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      expect(ws.readyState).toBe(WebSocket.OPEN);
      expect((await closed(ws)).afterMs).toBeLessThan(2_500);
    } finally {
      await impatient.close();
    }
  });

  it('is closed with 1001 at both ends when the proxy drains, also where a message is under way', async () => {
    const own = await Rig.open({
      alsoAllow: '127.0.0.1/32',
      settings: { ALTER_UPSTREAM_CA: rig.authority.material.certificatePem },
    });
    try {
      const stored = await own.storeSecret({ hosts: [host] });
      const ownKey = (await own.mintKey()).key;
      const quiet = await open({ rig: own, secret: stored, key: ownKey });
      const ends = [closed(quiet.ws), closed(last(upstreams))];
      const busy = await open({ rig: own, secret: stored, key: ownKey, deflate: false });
      ends.push(closed(busy.ws), closed(last(upstreams)));
      const chunk = randomBytes(300_000);
      const timer = setInterval(() => {
        if (busy.ws.readyState === WebSocket.OPEN) busy.ws.send(chunk);
      }, 1);
      await new Promise((resolve) => setTimeout(resolve, 200));
      const elapsedMs = startStopwatch();
      await own.service.proxy!.drain();
      clearInterval(timer);
      expect(elapsedMs()).toBeLessThan(3_000);
      expect((await Promise.all(ends)).map((end) => end.code)).toEqual([1_001, 1_001, 1_001, 1_001]);
    } finally {
      await own.close();
    }
  });
});
