import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { toAlterError } from '../../core/errors.ts';
import { parseHost } from '../../core/origin.ts';
import { readHttp } from '../../proxy/http/client-connection.ts';
import { FirstLines } from '../../proxy/http/first-lines.ts';
import { type ParsedRequest, parseTunnelRequest } from '../../proxy/request.ts';
import { refuse, refuseSocket } from '../../proxy/respond.ts';
import { inParallel } from '../support/in-parallel.ts';
import { mutate, Random } from '../support/mutate.ts';

/*
 * Our own reader of HTTP beside Node's: what ours takes for a request is what Node's takes for one, and where they differ it
 * is ours that refuses. `npm run fuzz` runs more rounds; the seed repeats a run.
 */
const rounds = Number(process.env.FUZZ_ROUNDS ?? 150);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_007);
const maxHeadBytes = 16_384;
/** Bytes that ask for more end nothing: then it is over when nothing happened for so long. */
const quietMs = 300;
const surelyQuietMs = 3_000;

/** What was read of a connection: each whole request, then perhaps what ended it. */
type Story = string[];
const unfinished = '…';

describe(`our reader of HTTP beside Node's (FUZZ_SEED=${seed}, ${rounds} rounds)`, () => {
  /** By both ports of a connection: two connections of this process to two servers may have one port of their own in common. */
  const stories = new Map<string, Story>();
  const storyOf = ({ localPort, remotePort }: Socket): Story | undefined => stories.get(`${remotePort} ${localPort}`);
  const servers: Server[] = [];
  let ports: { readonly own: number; readonly node: number };

  const origin = { ...parseHost('a.test'), scheme: 'https', port: 443 } as Parameters<typeof parseTunnelRequest>[1];
  const limits = { maxHeaders: 100 };
  const retell = ({ method, target, headers, tags }: ParsedRequest, body: string): string =>
    JSON.stringify([method, target, headers, tags.reason, body]);

  const listen = async (server: Server): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };

  const serveOwn = (): Promise<number> => {
    const reader = readHttp(
      {
        request: (socket, request, response) => {
          try {
            const parsed = parseTunnelRequest(request, origin, limits);
            request.frame(parsed.body);
            if (parsed.expectsContinue) response.askForBody();
            let body = '';
            request.sendTo({
              content: (bytes) => {
                body += bytes.toString('latin1');
              },
              flush: () => {},
              failed: () => response.destroy(),
              end: () => {
                storyOf(socket)?.push(retell(parsed, body));
                response.begin({ status: 200, reason: 'OK', headers: ['Content-Length', '0'], framing: 0 });
                response.end([]);
              },
            });
          } catch (error) {
            response.closeAfter();
            refuse({ request, response }, toAlterError(error), 'id');
          }
        },
        upgrade: (socket) => socket.destroy(),
        connect: (socket) => socket.destroy(),
        malformed: (socket, error) => refuseSocket(socket, error, 'id', false),
      },
      maxHeadBytes,
      new FirstLines(),
    );
    return listen(
      createServer({ allowHalfOpen: true }, (socket) => {
        socket.on('error', () => socket.destroy());
        reader.read(socket);
      }),
    );
  };

  /** Node's parser goes ahead of the answers: what it read before it came to what it refuses, it did read. */
  const serveNode = (): Promise<number> => {
    const server = createHttpServer({ maxHeaderSize: maxHeadBytes, requireHostHeader: false });
    const refused = new WeakSet<Duplex>();
    const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
      const { socket, method = '', url = '', httpVersion, rawHeaders } = req;
      if (refused.has(socket)) return;
      let parsed: ParsedRequest;
      try {
        parsed = parseTunnelRequest({ method, url, httpVersion, rawHeaders }, origin, limits);
      } catch {
        refused.add(socket);
        endSoon(socket);
        return;
      }
      if (parsed.expectsContinue) res.writeContinue();
      let body = '';
      req.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      const story = storyOf(socket) ?? [];
      const isEmpty = parsed.body === 'none' || parsed.body === 0;
      // Not only at its end, which may come behind what makes the parser give up.
      const at = story.push(isEmpty ? retell(parsed, '') : unfinished) - 1;
      req.on('end', () => {
        story[at] = retell(parsed, body);
        res.end();
      });
    };
    const endSoon = (socket: Duplex): void => void setTimeout(() => socket.destroy(), 50);
    for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, onRequest);
    for (const event of ['connect', 'upgrade']) server.on(event, (_, socket: Duplex) => endSoon(socket));
    server.on('clientError', (_, socket) => endSoon(socket));
    return listen(server);
  };

  beforeAll(async () => {
    ports = { own: await serveOwn(), node: await serveNode() };
  });
  afterAll(() => {
    for (const server of servers) server.close();
  });

  /** Sends the pieces one after the other, and waits until nothing happens any more. */
  const send = (port: number, pieces: readonly Buffer[], waitMs = quietMs): Promise<Story> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      const story: Story = [];
      let timer: NodeJS.Timeout;
      const quiet = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => socket.destroy(), waitMs);
      };
      socket.on('error', () => {});
      socket.on('data', quiet);
      socket.once('close', () => {
        clearTimeout(timer);
        stories.delete(ends);
        const end = story.indexOf(unfinished);
        resolve(end === -1 ? story : story.slice(0, end));
      });
      let ends = '';
      const write = async (): Promise<void> => {
        for (const piece of pieces) {
          socket.write(piece);
          await new Promise((next) => setImmediate(next));
        }
        quiet();
      };
      socket.once('connect', () => {
        ends = `${socket.localPort} ${port}`;
        stories.set(ends, story);
        void write();
      });
    });

  const requests = [
    'GET /a HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nX-Alter-Reason: why not\r\n\r\n',
    'POST /b?c=d HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello',
    'PUT /c HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: z\r\n\r\n',
    'DELETE /d HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n',
    'POST /e HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok',
    'GET https://a.test/f HTTP/1.1\r\nHost: a.test\r\n\r\n',
    'GET /g HTTP/1.0\r\n\r\n',
  ];

  it('takes the same requests apart in the same way, however they are cut into pieces', async () => {
    const all = requests.slice(0, 6).join('') + requests[6]!;
    for (const pieceBytes of [1, 7, 64, all.length]) {
      const pieces: Buffer[] = [];
      for (let at = 0; at < all.length; at += pieceBytes)
        pieces.push(Buffer.from(all.slice(at, at + pieceBytes), 'latin1'));
      const [own, node] = await Promise.all([
        send(ports.own, pieces, surelyQuietMs),
        send(ports.node, pieces, surelyQuietMs),
      ]);
      expect(own).toEqual(node);
      expect(own).toHaveLength(requests.length);
    }
  });

  it(
    'never takes for a request what Node takes for another one, or for none',
    async () => {
      let taken = 0;
      let stricter = 0;
      await inParallel(
        Array.from({ length: rounds }, (_, round) => new Random(seed + round)),
        64,
        async (random) => {
          const good = Array.from({ length: random.below(3) }, () => random.pick(requests.slice(0, 6))).join('');
          const bytes = Buffer.concat([
            Buffer.from(good, 'latin1'),
            mutate(Buffer.from(random.pick(requests), 'latin1'), random),
            Buffer.from(random.pick(requests), 'latin1'),
          ]);
          const cut = random.below(bytes.length + 1);
          const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)].filter((piece) => piece.length > 0);
          const both = (waitMs: number): Promise<[Story, Story]> =>
            Promise.all([send(ports.own, pieces, waitMs), send(ports.node, pieces, waitMs)]);
          const isPrefix = ([one, other]: [Story, Story]): boolean => one.every((line, i) => line === other[i]);
          let [own, node] = await both(quietMs);
          if (!isPrefix([own, node])) [own, node] = await both(surelyQuietMs); // one of them may just have been slow
          taken += own.length;
          if (own.length < node.length) stricter++;
          expect({ bytes: bytes.toString('latin1'), story: own }).toEqual({
            bytes: bytes.toString('latin1'),
            story: node.slice(0, own.length),
          });
        },
      );
      expect(taken).toBeGreaterThan(rounds / 10); // or nothing was compared
      expect(stricter).toBeLessThan(rounds / 2);
    },
    30_000 + rounds * 100,
  );
});
