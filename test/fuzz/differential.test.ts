import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTlsServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateAnswer, generateRequest } from '../support/generated-heads.ts';
import { inParallel } from '../support/in-parallel.ts';
import { mutate, Random } from '../support/mutate.ts';
import { type ReadMessage, readAnswer, readAnswerIn, readRequests } from '../support/node-reading.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { AnswerReader, basic, connectTo, mustOpen } from '../support/tunnel-client.ts';

/*
 * Two readers of the same bytes: Node's own parser, and what comes out behind the proxy. What comes out is what Node reads,
 * or nothing. The proxy may refuse more than Node does, and never less. A seed from the output repeats a run.
 */
const rounds = Number(process.env.FUZZ_ROUNDS ?? 120);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_007);
const width = 8;

/** Of this hop, or the proxy's own, or what it injects: not compared one by one. */
const ofThisHop = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'trailer',
  'upgrade',
  'http2-settings',
  'transfer-encoding',
  'content-length',
  'alt-svc',
  'host',
  'expect',
  'authorization',
]);

describe(`beside Node's parser (FUZZ_SEED=${seed}, ${rounds} rounds each)`, () => {
  const hosts = Array.from({ length: width }, (_, lane) => `a${lane}.test`);
  let rig: Rig;
  let key: string;
  const secrets: StoredSecret[] = [];
  const hostile: { server: Server; secret: StoredSecret; bytes: Buffer }[] = [];

  beforeAll(async () => {
    rig = await Rig.open({
      sinks: hosts,
      alsoAllow: '127.0.0.0/8',
      settings: { ALTER_LOG_LEVEL: 'error', ALTER_AUDIT: 'buffered', ALTER_RESPONSE_TIMEOUT: '1s' },
    });
    key = (await rig.mintKey()).key;
    for (const host of hosts) {
      secrets.push(await rig.storeSecret({ hosts: [rig.authorityOf(host)] }));
      const leaf = rig.authority.leafFor(host);
      const server = createTlsServer({ cert: leaf.chainPem, key: leaf.privateKeyPem });
      server.on('tlsClientError', () => {});
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const secret = await rig.storeSecret({ hosts: [`${host}:${portOf(server)}`] });
      const lane = { server, secret, bytes: Buffer.alloc(0) };
      server.on('secureConnection', (socket: Socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end(lane.bytes));
      });
      hostile.push(lane);
    }
  });
  afterAll(async () => {
    for (const { server } of hostile) server.close();
    await rig?.close();
  });

  /** Rounds are shared out among lanes, each with an upstream of its own, so that what arrives is known to be whose. */
  const run = async (label: number, work: (random: Random, lane: number) => Promise<string | null>): Promise<void> => {
    const wrong: string[] = [];
    await inParallel([...hosts.keys()], width, async (lane) => {
      for (let round = lane; round < rounds; round += width) {
        const problem = await work(new Random(seed + label * 1_000_003 + round), lane);
        if (problem !== null) wrong.push(problem);
      }
    });
    expect(wrong).toEqual([]);
  };
  const tunnelTo = (target: string, host: string, grantId: string) =>
    mustOpen({
      proxyPort: rig.proxyPort,
      target,
      key,
      serverName: host,
      ca: rig.service.authorityPem,
      headers: [`X-Alter-Grant: ${grantId}`],
    });

  it.each(['in a tunnel', 'in absolute form'])(
    'a request %s comes out as Node reads it, or not at all',
    async (form) => {
      let passed = 0;
      await run(form.length, async (random, lane) => {
        const host = hosts[lane]!;
        const sink = rig.sink(host);
        const authority = rig.authorityOf(host);
        const { grantId } = secrets[lane]!;
        const inTunnel = form === 'in a tunnel';
        const own = inTunnel
          ? `Host: ${authority}\r\n`
          : `Host: ${authority}\r\nProxy-Authorization: ${basic('x', key)}\r\nX-Alter-Grant: ${grantId}\r\n`;
        const prefix = inTunnel ? '' : `https://${authority}`;
        const one = generateRequest(random, own, prefix);
        const bytes = random.below(3) === 0 ? mutate(one, random) : one;
        const expected = await readRequests(bytes);

        sink.forget();
        let socket: Socket;
        let reader: AnswerReader;
        if (inTunnel) ({ socket, reader } = await tunnelTo(authority, host, grantId));
        else {
          socket = await connectTo(rig.proxyPort);
          reader = new AnswerReader(socket);
        }
        const cut = random.below(bytes.length + 1);
        socket.write(bytes.subarray(0, cut));
        if (cut < bytes.length) socket.write(bytes.subarray(cut));
        for (let left = Math.max(1, expected.length); left > 0; left--) {
          const answer = await Promise.race([
            reader.next({ bodyless: bytes.subarray(0, 4).toString() === 'HEAD' }),
            pause(expected.length === 0 ? 40 : 2_000),
          ]);
          if (answer === null || answer.status === 0) break;
        }
        socket.destroy();
        const seen = [...sink.requests];
        passed += seen.length;
        return seen.length > expected.length
          ? `${seen.length} requests came out of ${expected.length}: ${JSON.stringify(bytes.toString('latin1'))}`
          : (seen
              .map((request, index) =>
                differenceOf(expected[index]!, {
                  start: `${request.method} ${prefix}${request.url}`,
                  rawHeaders: request.rawHeaders,
                  body: request.body.toString('latin1'),
                }),
              )
              .map((difference) => difference && `${difference} of ${JSON.stringify(bytes.toString('latin1'))}`)
              .find((difference) => difference !== null) ?? null);
      });
      expect(passed).toBeGreaterThan(rounds / 20);
    },
    600_000,
  );

  it('an answer is passed on as Node reads it, or not at all', async () => {
    let passed = 0;
    await run(3, async (random, lane) => {
      const { server, secret } = hostile[lane]!;
      const host = hosts[lane]!;
      const target = `${host}:${portOf(server)}`;
      const one = generateAnswer(random);
      const bytes = random.below(3) === 0 ? mutate(one, random) : one;
      hostile[lane]!.bytes = bytes;
      const method = random.pick(['GET', 'GET', 'POST', 'HEAD']);

      const { socket } = await tunnelTo(target, host, secret.grantId);
      socket.removeAllListeners('data');
      const seen = await readAnswer(socket, { method, host: target });
      socket.destroy();
      if (seen === null || refused(seen)) return null;
      passed++;
      const expected = readAnswerIn(bytes, method);
      const difference = expected === null ? 'Node reads nothing' : differenceOf(expected, seen);
      return difference && `${difference} of ${JSON.stringify(bytes.toString('latin1'))}, to ${method}`;
    });
    expect(passed).toBeGreaterThan(rounds / 20);
  }, 600_000);
});

/** What one reader sees and the other does not, or null. */
function differenceOf(expected: ReadMessage, seen: ReadMessage): string | null {
  if (expected.start !== seen.start)
    return `${JSON.stringify(seen.start)} instead of ${JSON.stringify(expected.start)}`;
  const [one, other] = [endToEnd(expected.rawHeaders), endToEnd(seen.rawHeaders)];
  if (one !== other) return `headers ${other} instead of ${one}`;
  return expected.body === seen.body
    ? null
    : `body ${JSON.stringify(seen.body)} instead of ${JSON.stringify(expected.body)}`;
}

function endToEnd(rawHeaders: readonly string[]): string {
  const nominated = new Set<string>();
  const pairs = rawHeaders
    .map((name, i) => [name.toLowerCase(), rawHeaders[i + 1] ?? ''] as const)
    .filter((_, i) => i % 2 === 0);
  for (const [name, value] of pairs)
    if (name === 'connection' || name === 'proxy-connection')
      for (const token of value.split(',')) nominated.add(token.trim().toLowerCase());
  return JSON.stringify(
    pairs.filter(
      ([name]) =>
        !ofThisHop.has(name) && !nominated.has(name) && !name.startsWith('proxy-') && !name.startsWith('x-alter-'),
    ),
  );
}

function refused(answer: ReadMessage): boolean {
  return answer.rawHeaders.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'x-alter-error');
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function pause(ms: number): Promise<null> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(null), ms).unref();
  });
}
