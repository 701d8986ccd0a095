import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { type RawConnection, RawUpstream } from '../support/raw-upstream.ts';
import { Rig, run, type StoredSecret } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { type AnswerReader, mustOpen } from '../support/tunnel-client.ts';

/** What a proxy has to get right between two peers that speak when they like; each end is played byte for byte, or by curl. */
const mebibyte = 1_048_576;

describe('a request and its answer, as they stream', () => {
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
    mustOpen({ proxyPort: rig.proxyPort, target: host, key, serverName: 'a.test', ca: rig.service.authorityPem });
  const head = (method: string, ...lines: readonly string[]): string =>
    [`${method} /p HTTP/1.1`, `Host: ${host}`, `X-Alter-Grant: ${secret.grantId}`, ...lines, '', ''].join('\r\n');
  /** Answers every request of a connection with the same bytes, once its head is there. */
  const answering =
    (bytes: string) =>
    async (connection: RawConnection): Promise<void> => {
      for (let count = 1; connection.closedAt === null; count++) {
        await eventually(() => connection.heads >= count || connection.closedAt !== null);
        if (connection.heads >= count) connection.socket.write(bytes);
      }
    };
  const text = (reader: AnswerReader): string => reader.buffered.toString('latin1');
  const until = (reader: AnswerReader, part: string): Promise<void> =>
    eventually(() => text(reader).includes(part), 3_000);
  const gone = (socket: TLSSocket, withinMs = 1_000): Promise<void> => eventually(() => socket.destroyed, withinMs);
  const curl = (args: readonly string[]) => rig.curl(['-H', `X-Alter-Grant: ${secret.grantId}`, ...args], { key });

  describe('downwards', () => {
    it('shows the first of server-sent events while the upstream is silent, and the head before that', async () => {
      upstream.behave = async (connection) => {
        await connection.head();
        connection.socket.write(
          'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
        );
      };
      const { socket, reader } = await tunnel();
      socket.write(head('GET', 'Accept: text/event-stream'));
      await until(reader, 'text/event-stream');
      for (const event of ['one', 'two', 'three']) {
        const elapsedMs = startStopwatch();
        upstream.connections[0]!.socket.write(`${(event.length + 8).toString(16)}\r\ndata: ${event}\n\n\r\n`);
        await until(reader, `data: ${event}\n\n`);
        expect(elapsedMs()).toBeLessThan(200);
      }
      socket.destroy();
    });

    it('shows them to curl too', async () => {
      upstream.behave = async (connection) => {
        await connection.head();
        connection.socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n');
      };
      const asked = curl(['-N', '--max-time', '1', `https://${host}/p`]);
      const { code, stdout } = await asked;
      expect([code, stdout]).toEqual([28, 'data: one\n\n']); // 28: the time was over, and the event had come
    });

    it('passes chunks and trailers, without those that frame, route or are ours', async () => {
      upstream.behave = answering(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\n' +
          'X-Sum: abc\r\nContent-Type: a\r\nSet-Cookie: a=1\r\nX-Alter-Request-Id: mine\r\n\r\n',
      );
      const { socket, reader } = await tunnel();
      socket.write(head('GET', 'TE: trailers'));
      await until(reader, '0\r\nX-Sum: abc\r\n\r\n');
      expect(text(reader)).toMatch(/\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n$/i);
      socket.write(head('GET'));
      await eventually(() => text(reader).split('hello').length === 3);
      expect(upstream.connections).toHaveLength(1);
      socket.destroy();
    });

    it.each([
      ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n', 'Content-Length: 1000'],
      ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 204 No Content'],
      ['GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1000\r\n\r\n', 'ETag: "a"'],
    ])('gives the answer to %s without a body at once, and goes on (%#)', async (method, answer, part) => {
      upstream.behave = answering(answer);
      const { socket, reader } = await tunnel();
      for (let i = 1; i <= 3; i++) {
        socket.write(head(method));
        await eventually(() => text(reader).split('X-Alter-Request-Id').length === i + 1, 2_000);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(text(reader)).toContain(part);
      expect(text(reader)).toMatch(/\r\n\r\n$/);
      expect(text(reader).split('\r\n\r\n')).toHaveLength(4);
      expect(text(reader)).not.toMatch(/transfer-encoding/i);
      socket.destroy();
    });

    it.each(['102 Processing', '103 Early Hints'])('waits behind %s for the answer', async (interim) => {
      upstream.behave = async (connection) => {
        await connection.head();
        connection.socket.write(`HTTP/1.1 ${interim}\r\nLink: </a>\r\n\r\n`);
        await new Promise((resolve) => setTimeout(resolve, 30));
        connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      };
      const { socket, reader } = await tunnel();
      socket.write(`${head('POST', 'Content-Length: 2')}hi`);
      expect(await reader.next()).toMatchObject({ status: 200, body: 'ok' });
      socket.destroy();
    });

    it('says of its connection what it says, also where an interim answer has said the same', async () => {
      const lines = 'Content-Length: 0\r\nConnection: close\r\n\r\n';
      upstream.behave = answering(`HTTP/1.1 102 Processing\r\n${lines}HTTP/1.1 200 OK\r\n${lines}`);
      const { socket, reader } = await tunnel();
      for (let i = 1; i <= 2; i++) {
        socket.write(head('GET'));
        expect((await reader.next()).status).toBe(200);
      }
      expect(upstream.connections).toHaveLength(2);
      socket.destroy();
    });

    it('is passed on behind a 100 Continue that nobody asked for, which some servers send to any body', async () => {
      upstream.behave = answering('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      const { socket, reader } = await tunnel();
      socket.write(`${head('POST', 'Content-Length: 2')}hi`);
      const answer = await reader.next();
      expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
      socket.destroy();
    });

    it.each([
      ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'],
      ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
      ['chunks, in one of them', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf'],
    ])('shows an answer with %s to be incomplete, at once, when the upstream dies', async (_, answer) => {
      for (const die of ['destroy', 'end'] as const) {
        upstream.forget();
        upstream.behave = answering(answer);
        const { socket, reader } = await tunnel();
        socket.write(head('GET'));
        await until(reader, 'half');
        upstream.connections[0]!.socket[die]();
        await gone(socket);
        expect(text(reader)).not.toMatch(/\r\n0\r\n/);
        expect((await reader.next()).cut).toBe(true);
      }
    });

    it('takes the end of the connection for the end of an answer that has no other', async () => {
      upstream.behave = async (connection) => {
        await connection.head();
        connection.socket.end('HTTP/1.1 200 OK\r\n\r\nall of it');
      };
      const { socket, reader } = await tunnel();
      socket.write(head('GET'));
      expect(await reader.next()).toMatchObject({ status: 200, body: 'all of it', cut: false });
      socket.destroy();
    });

    it('ends at the upstream within a second of the client going away', async () => {
      upstream.behave = answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
      for (const part of ['half', null]) {
        upstream.forget();
        if (part === null) upstream.behave = () => {};
        const { socket, reader } = await tunnel();
        socket.write(head('GET'));
        if (part !== null) await until(reader, part);
        else await eventually(() => upstream.connections[0]?.heads === 1);
        socket.destroy();
        await eventually(() => upstream.connections[0]!.closedAt !== null, 1_000);
      }
    });
  });

  describe('upwards', () => {
    it.each(['GET', 'DELETE', 'OPTIONS', 'POST', 'PATCH'])('carries the body of a %s, framed anew', async (method) => {
      upstream.behave = async (connection) => {
        await eventually(() => connection.received.includes('llo'));
        connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      };
      for (const [lines, body] of [
        [['Content-Length: 5'], 'hello'],
        [
          ['Transfer-Encoding: chunked', 'Trailer: X-T'],
          '2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\nX-Alter-Grant: x\r\n\r\n',
        ],
      ] as const) {
        upstream.forget();
        const { socket, reader } = await tunnel();
        socket.write(head(method, ...lines) + body.slice(0, 12));
        await new Promise((resolve) => setTimeout(resolve, 20));
        socket.write(body.slice(12));
        expect((await reader.next()).status).toBe(200);
        const { received } = upstream.connections[0]!;
        expect(received.split('\r\n\r\n')[0]!.match(/content-length|transfer-encoding/gi)).toHaveLength(1);
        expect(received).not.toMatch(/x-t|ext=1|x-alter/i);
        socket.destroy();
      }
    });

    it('answers Expect: 100-continue after the decision, and only where it lets the request through', async () => {
      upstream.behave = async (connection) => {
        await eventually(() => connection.received.endsWith('hello'));
        connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      };
      const allowed = await tunnel();
      allowed.socket.write(head('POST', 'Expect: 100-continue', 'Content-Length: 5'));
      await until(allowed.reader, 'HTTP/1.1 100 Continue\r\n\r\n');
      allowed.socket.write('hello');
      expect((await allowed.reader.next()).status).toBe(200);
      expect(upstream.connections[0]!.received).not.toMatch(/expect/i);
      allowed.socket.destroy();

      const other = await rig.storeSecret({ hosts: [rig.authorityOf()] });
      const denied = await tunnel();
      denied.socket.write(
        head('POST', 'Expect: 100-continue', 'Content-Length: 5').replace(secret.grantId, other.grantId),
      );
      await until(denied.reader, '\r\n\r\n');
      expect(text(denied.reader)).toMatch(/^HTTP\/1\.1 403 /);
      expect(text(denied.reader)).not.toContain('100 Continue');
      await gone(denied.socket);
      expect(upstream.connections).toHaveLength(1);
    });

    it.each([
      ['401', 'Content-Length: 6\r\n\r\nwrong!', 'wrong!'],
      ['413', 'Transfer-Encoding: chunked\r\n\r\n6\r\nwrong!\r\n0\r\n\r\n', 'wrong!'],
      ['503', 'Content-Length: 0\r\n\r\n', ''],
    ])(
      'stops, and shows the answer, where the upstream says %s before it has everything',
      async (status, rest, body) => {
        upstream.behave = async (connection) => {
          await connection.head();
          connection.socket.write(`HTTP/1.1 ${status} No\r\n${rest}`);
        };
        for (const framing of ['Content-Length: 1000000000', 'Transfer-Encoding: chunked']) {
          upstream.forget();
          const { socket, reader } = await tunnel();
          const chunk = framing.startsWith('T') ? `10000\r\n${'x'.repeat(65_536)}\r\n` : 'x'.repeat(65_536);
          socket.write(head('POST', framing) + chunk);
          // A client that writes for as long as it can, and reads only now and then.
          let sent = 0;
          const timer = setInterval(() => {
            if (socket.destroyed || !socket.writable) return;
            for (let i = 0; i < 8; i++) socket.write(chunk);
            sent += 8;
          }, 2);
          expect(await reader.next()).toMatchObject({ status: Number(status), body, cut: false });
          await eventually(() => upstream.connections[0]!.closedAt !== null, 1_000);
          await eventually(() => socket.destroyed, 3_000);
          clearInterval(timer);
          expect(sent).toBeGreaterThan(0);
          expect(upstream.connections).toHaveLength(1);
          expect(upstream.connections[0]!.bytes).toBeLessThan(32 * mebibyte);
          // The next one has a connection of its own.
          const second = await tunnel();
          second.socket.write(head('GET'));
          expect((await second.reader.next()).status).toBe(Number(status));
          expect(upstream.connections).toHaveLength(2);
          second.socket.destroy();
        }
      },
    );

    it('shows an early answer to curl, which sends a large file', async () => {
      const file = join(rig.directory, 'large');
      await writeFile(file, Buffer.alloc(16 * mebibyte));
      upstream.behave = async (connection) => {
        await connection.head();
        connection.socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig');
      };
      const { code, stdout, stderr } = await curl([
        ...['-H', 'Expect:', '--data-binary', `@${file}`, '-w', '%{http_code}', `https://${host}/p`],
      ]);
      expect([code, stdout, stderr]).toEqual([0, 'big413', '']);
    });

    it('ends at the upstream within a second of a client that goes away in the middle of its body', async () => {
      const { socket } = await tunnel();
      socket.write(`${head('POST', 'Content-Length: 100')}half`);
      await eventually(() => upstream.connections[0]?.received.endsWith('half') === true);
      socket.destroy();
      await eventually(() => upstream.connections[0]!.closedAt !== null, 1_000);
    });

    it('answers 502 at once where the upstream dies while the client sends', async () => {
      const { socket, reader } = await tunnel();
      socket.write(`${head('POST', 'Content-Length: 100')}half`);
      await eventually(() => upstream.connections[0]?.received.endsWith('half') === true);
      upstream.connections[0]!.socket.destroy();
      const answer = await reader.next();
      expect([answer.status, answer.headers['x-alter-error']]).toEqual([502, 'upstream_incomplete']);
      await gone(socket);
    });

    it('is given up where the client closes its half of the connection, as when it goes away altogether', async () => {
      const { socket } = await tunnel();
      socket.write(head('GET'));
      await eventually(() => upstream.connections[0]?.heads === 1);
      socket.end();
      await eventually(() => upstream.connections[0]!.closedAt !== null, 1_000);
    });
  });

  // The main run moves 64 MiB; `TEST_BODY_MIB=1024` is the long one.
  describe('of any size', () => {
    const size = Number(process.env.TEST_BODY_MIB ?? 64) * mebibyte;
    const piece = randomBytes(mebibyte);
    /** Of this process, which is the proxy, the client and the upstream at once; the same for every size. */
    const maxGrowth = 160 * mebibyte;

    /** What the process takes at most while the work goes on, beyond what it took before. */
    const growthDuring = async (work: Promise<unknown>): Promise<number> => {
      const before = process.memoryUsage().rss;
      let peak = before;
      const timer = setInterval(() => {
        peak = Math.max(peak, process.memoryUsage().rss);
      }, 20);
      await work;
      clearInterval(timer);
      return peak - before;
    };

    it('comes down whole to a slow reader, in bounded memory', async () => {
      let pushed = 0;
      upstream.behave = async ({ socket, ...connection }) => {
        void connection;
        socket.once('data', () => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
          const pump = (): void => {
            while (pushed < size && !socket.destroyed) {
              pushed += piece.length;
              if (!socket.write(piece)) break;
            }
            if (pushed < size) socket.once('drain', pump);
          };
          pump();
        });
      };
      const { socket } = await tunnel();
      socket.removeAllListeners('data');
      let received = 0;
      const ended = new Promise<void>((resolve) => {
        socket.on('data', (chunk: Buffer) => {
          received += chunk.length;
          if (received >= size) resolve();
        });
      });
      socket.write(head('GET'));
      socket.pause();
      await new Promise((resolve) => setTimeout(resolve, 700));
      expect(pushed).toBeLessThan(24 * mebibyte); // what the buffers on the way hold
      const slow = setInterval(() => {
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      }, 25);
      socket.resume();
      const growth = await growthDuring(ended);
      clearInterval(slow);
      expect(received).toBeGreaterThan(size);
      expect(growth).toBeLessThan(maxGrowth);
      socket.destroy();
    }, 600_000);

    it('goes up whole to a slow reader, in bounded memory', async () => {
      upstream.keep = false;
      let connected: RawConnection | undefined;
      upstream.behave = async (connection) => {
        connected = connection;
        connection.socket.pause();
      };
      const { socket, reader } = await tunnel();
      let pushed = 0;
      socket.write(head('PUT', `Content-Length: ${size}`));
      const pump = (): void => {
        while (pushed < size && !socket.destroyed) {
          pushed += piece.length;
          if (!socket.write(piece)) break;
        }
        if (pushed < size) socket.once('drain', pump);
      };
      pump();
      await new Promise((resolve) => setTimeout(resolve, 700));
      expect(pushed).toBeLessThan(24 * mebibyte);
      const slow = setInterval(() => {
        connected!.socket.pause();
        setTimeout(() => connected!.socket.resume(), 5);
      }, 25);
      connected!.socket.resume();
      const growth = await growthDuring(eventually(() => connected!.bytes > size, 590_000));
      clearInterval(slow);
      connected!.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      expect((await reader.next()).status).toBe(200);
      expect(growth).toBeLessThan(maxGrowth);
      socket.destroy();
    }, 600_000);
  });

  it('is the same through a real client of another make', async () => {
    upstream.behave = answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n');
    const { stdout } = await run('curl', ['--version'], { PATH: process.env.PATH ?? '' });
    expect(stdout).toContain('curl');
    expect((await curl(['-X', 'DELETE', '-d', 'a=1', `https://${host}/p`])).stdout).toBe('ok');
    expect((await curl(['-I', `https://${host}/p`])).stdout).toMatch(/^HTTP\/1\.1 200/m);
  });
});
