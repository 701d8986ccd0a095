import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readHttp } from '../../proxy/http/client-connection.ts';
import { readHttpWithNode } from '../../proxy/http/client-message-node.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { letPass } from '../support/stopwatch.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/*
 * Request smuggling: a message that two readers frame differently, with a second request hidden in what one of them takes
 * for the body. What is ambiguous must not reach the upstream at all, and the hidden request never.
 */
describe.each([
  ['our reader', readHttp],
  ['the one of Node', readHttpWithNode],
])('a request that is framed ambiguously, read by %s', (_, reader) => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ readHttp: reader });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => rig.sink().forget());
  afterAll(() => rig?.close());

  const send = async (bytes: string): Promise<number[]> => {
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
      headers: [`X-Alter-Grant: ${secret.grantId}`],
    });
    tunnel.socket.write(bytes, 'latin1');
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const answer = await Promise.race([tunnel.reader.next(), letPass(1_000).then(() => null)]);
      if (answer === null || answer.status === 0) break;
      statuses.push(answer.status);
      if (answer.headers.connection === 'close') break;
    }
    tunnel.socket.destroy();
    return statuses;
  };
  const host = () => `Host: ${rig.authorityOf()}\r\n`;
  const marker = () => `GET /marker HTTP/1.1\r\n${host()}\r\n`;

  const refused: readonly (readonly [title: string, head: string, body: string])[] = [
    ['Content-Length and Transfer-Encoding', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
    ['Transfer-Encoding and Content-Length', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'],
    ['two Content-Lengths that differ', 'Content-Length: 0\r\nContent-Length: 40\r\n', ''],
    ['two Content-Lengths that agree', 'Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'],
    ['a list of Content-Lengths', 'Content-Length: 5, 5\r\n', 'hello'],
    ['a signed Content-Length', 'Content-Length: +5\r\n', 'hello'],
    ['a negative Content-Length', 'Content-Length: -5\r\n', 'hello'],
    ['a hexadecimal Content-Length', 'Content-Length: 0x5\r\n', 'hello'],
    ['a Content-Length with a leading zero', 'Content-Length: 05\r\n', 'hello'],
    ['a Content-Length with a space in it', 'Content-Length: 1 0\r\n', 'hello'],
    ['an empty Content-Length', 'Content-Length: \r\n', ''],
    ['a Content-Length beyond 2^64', 'Content-Length: 18446744073709551621\r\n', 'hello'],
    ['two Transfer-Encodings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
    ['a list of Transfer-Encodings', 'Transfer-Encoding: identity, chunked\r\n', '0\r\n\r\n'],
    ['an unknown Transfer-Encoding', 'Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'],
    ['a quoted Transfer-Encoding', 'Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n'],
    ['a Transfer-Encoding with a tail', 'Transfer-Encoding: chunked;x=1\r\n', '0\r\n\r\n'],
    ['identity', 'Transfer-Encoding: identity\r\n', ''],
    ['a space before the colon', 'Content-Length : 5\r\n', 'hello'],
    ['a folded header', 'Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n'],
    ['a folded header of the client', 'X-A: 1\r\n\tContent-Length: 40\r\n', ''],
    ['a header without a name', ': 5\r\n', ''],
    ['a header without a colon', 'Content-Length 5\r\n', ''],
    ['a NUL in a value', 'X-A: a\0b\r\n', ''],
    ['a bare CR in a value', 'X-A: a\rContent-Length: 40\r\n', ''],
    ['a vertical tab around the value', 'Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n'],
    ['another expectation', 'Expect: 200-maybe\r\n', ''],
  ];

  it.each(refused)('is refused, and nothing of it reaches the upstream: %s', async (_, head, body) => {
    const [status] = await send(`POST /p HTTP/1.1\r\n${host()}${head}\r\n${body}${marker()}`);
    expect(status === undefined || (status >= 400 && status < 500)).toBe(true);
    expect(rig.sink().requests).toHaveLength(0);
  });

  const badChunks: readonly (readonly [title: string, body: string])[] = [
    ['a size that is no number', 'g\r\nhello\r\n0\r\n\r\n'],
    ['a size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a size with a prefix', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a size that overflows', 'ffffffffffffffff1\r\nhello\r\n0\r\n\r\n'],
    ['a chunk that is longer than its size', '3\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare CR behind the size', '5\rhello\r\n0\r\n\r\n'],
    ['a space before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
  ];

  it.each(badChunks)(
    'ends the exchange where a chunk is malformed, and the hidden request is not sent: %s',
    async (_, body) => {
      await send(`POST /p HTTP/1.1\r\n${host()}Transfer-Encoding: chunked\r\n\r\n${body}${marker()}`);
      expect(rig.sink().requests.filter((request) => request.url === '/marker')).toHaveLength(0);
      expect(rig.sink().requests.filter((request) => request.url === '/p')).toHaveLength(0);
    },
  );

  it.each([
    ['a bare LF', 'GET /p HTTP/1.1\nHost: a.test\n\n'],
    ['HTTP/0.9', 'GET /p\r\n\r\n'],
    ['HTTP/2 in the request line', 'GET /p HTTP/2.0\r\n\r\n'],
    ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a space in the target', 'GET /p q HTTP/1.1\r\n\r\n'],
    ['a fragment in the target', 'GET /p#f HTTP/1.1\r\n\r\n'],
    ['a control character in the target', 'GET /p\x01 HTTP/1.1\r\n\r\n'],
    ['a byte beyond ASCII in the target', 'GET /p\xe9 HTTP/1.1\r\n\r\n'],
    ['a target that is no path', 'GET p HTTP/1.1\r\n\r\n'],
    ['no bytes of HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ])('is refused in its first line: %s', async (_, bytes) => {
    const [status] = await send(bytes.replace('\r\n\r\n', `\r\n${host()}\r\n`));
    expect(status === undefined || (status >= 400 && status < 500)).toBe(true);
    expect(rig.sink().raw).toHaveLength(0);
  });

  it('refuses a CONNECT inside a tunnel', async () => {
    expect(await send(`CONNECT x.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n`)).toEqual([405]);
    expect(rig.sink().accepts).toBe(0);
  });

  it('sends a body of GET, DELETE and OPTIONS re-framed, and two pipelined requests as two', async () => {
    for (const method of ['GET', 'DELETE', 'OPTIONS']) {
      rig.sink().forget();
      const statuses = await send(
        `${method} /p HTTP/1.1\r\n${host()}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${marker()}`,
      );
      expect(statuses).toEqual([200, 200]);
      expect(rig.sink().requests.map((request) => [request.method, request.url, request.body.toString()])).toEqual([
        [method, '/p', 'hello'],
        ['GET', '/marker', ''],
      ]);
    }
  });

  it('refuses a head that is too large, and one with too many headers, with a code', async () => {
    expect(await send(`GET /p HTTP/1.1\r\n${host()}X-Big: ${'a'.repeat(17_000)}\r\n\r\n`)).toEqual([431]);
    expect(await send(`GET /p HTTP/1.1\r\n${host()}${'X-N: 1\r\n'.repeat(101)}\r\n`)).toEqual([431]);
    expect(rig.sink().accepts).toBe(0);
  });
});
