import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { WebSocketServer } from 'ws';
import type { Service } from '../../serve/service.ts';
import { eventually } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { Rig } from '../support/rig.ts';
import { StallingRelay } from '../support/stalling-relay.ts';
import { letPass, startStopwatch } from '../support/stopwatch.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/*
 * What streams through a second proxy is taken back at the first one: an upload, events, and a WebSocket, each with a grant
 * of its own. What counts is when the upstream has lost it.
 */
let redis: Redis;
let relay: StallingRelay;
let rig: Rig;
let beside: Service;
let upstream: Server;
let webSockets: WebSocketServer;
let target: string;
let key: string;

interface Heard {
  readonly text: string;
  bytes: number;
  isOver: boolean;
}
/** By path. */
const heard = new Map<string, Heard>();

beforeAll(async () => {
  redis = await startRedis({ appendonly: true });
  relay = await StallingRelay.open(redis.port);
  // Long enough that being cut off from the store ends nothing by itself.
  const settings = { ALTER_STORE_URL: redis.url, ALTER_MAX_STALENESS: '30s' };
  rig = await Rig.open({ settings, alsoAllow: '127.0.0.1/32' });
  beside = await rig.startBeside('proxy', { ALTER_STORE_URL: `redis://127.0.0.1:${relay.port}` });
  key = (await rig.mintKey()).key;
  const leaf = rig.authority.leafFor('a.test');
  upstream = createServer({ cert: leaf.chainPem, key: leaf.privateKeyPem }, (request, response) => {
    const entry = hear(request);
    request.on('data', (chunk: Buffer) => {
      entry.bytes += chunk.length;
    });
    if (request.method === 'POST') return;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const timer = setInterval(() => response.write('data: tick\n\n'), 50);
    response.once('close', () => clearInterval(timer));
  });
  webSockets = new WebSocketServer({ server: upstream });
  webSockets.on('connection', (socket, request) => {
    hear(request);
    socket.on('error', () => {});
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  target = `a.test:${(upstream.address() as AddressInfo).port}`;
});
afterAll(async () => {
  relay?.goOn();
  await beside?.close();
  await rig?.close();
  webSockets?.close();
  upstream?.closeAllConnections();
  upstream?.close();
  await relay?.close();
  await redis?.stop();
});

function hear(request: IncomingMessage): Heard {
  const entry: Heard = { text: request.rawHeaders.join('\n'), bytes: 0, isOver: false };
  heard.set(request.url!, entry);
  request.on('error', () => {});
  request.socket.once('close', () => {
    entry.isOver = true;
  });
  return entry;
}

const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
const streams = {
  upload: { method: 'POST', head: ['Transfer-Encoding: chunked'], says: '5\r\nbytes\r\n' },
  events: { method: 'GET', head: [], says: null },
  // A ping, whose mask is 0.
  websocket: {
    method: 'GET',
    head: [...upgrade, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
    says: Buffer.from('898000000000', 'hex'),
  },
} as const;

/** All three, open through the second proxy, with what they were granted. */
async function openAll(round: string): Promise<readonly { grantId: string; path: string; socket: Socket }[]> {
  return Promise.all(
    Object.entries(streams).map(async ([name, { method, head, says }]) => {
      const { grantId, canary } = await rig.storeSecret({ hosts: [target] });
      const path = `/${name}/${round}`;
      const { socket } = await mustOpen({
        proxyPort: beside.proxy!.address.port,
        ...{ target, key, serverName: 'a.test', ca: rig.service.authorityPem },
      });
      const lines = [`${method} ${path} HTTP/1.1`, `Host: ${target}`, `X-Alter-Grant: ${grantId}`, ...head];
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      let received = 0;
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      if (says !== null) {
        const timer = setInterval(() => socket.write(says), 50);
        socket.once('close', () => clearInterval(timer));
      }
      await eventually(() => received > 0 || (heard.get(path)?.bytes ?? 0) > 0);
      expect(heard.get(path)!.text).toContain(canary);
      return { grantId, path, socket };
    }),
  );
}

const isOver = ({ path }: { readonly path: string }): boolean => heard.get(path)!.isOver;

it('an upload, events and a WebSocket are cut within two seconds after their grants are revoked', async () => {
  const open = await openAll('whole');
  await Promise.all(open.map(({ grantId }) => rig.admin('POST', `/grants/${grantId}/revoke`)));
  const elapsedMs = startStopwatch();
  await eventually(() => open.every(isOver));
  expect(elapsedMs()).toBeLessThan(2_000);
  const { bytes } = heard.get('/upload/whole')!;
  await letPass(200);
  expect(heard.get('/upload/whole')!.bytes).toBe(bytes);
  expect(open.every(({ socket }) => socket.destroyed)).toBe(true);
});

it.each([
  ['shortly', 1_000],
  ['for so long that its connections are given up', 3_500],
])(
  'what was revoked while the proxy was cut off from the store %s is cut within two seconds after that is over',
  async (_, ms) => {
    const open = await openAll(String(ms));
    relay.stall();
    await Promise.all(open.map(({ grantId }) => rig.admin('POST', `/grants/${grantId}/revoke`)));
    await sleep(ms);
    expect(open.filter(isOver)).toEqual([]); // or it was not the healing that ended them
    relay.goOn();
    const elapsedMs = startStopwatch();
    await eventually(() => open.every(isOver));
    expect(elapsedMs()).toBeLessThan(2_000);
  },
);
