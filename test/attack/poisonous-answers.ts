import type { RawConnection } from '../support/raw-upstream.ts';

/* Answers of an upstream that could be taken for the answer to somebody else's request, or be read with two different ends. */

const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
export const ok = (body: string, ...lines: readonly string[]): string =>
  ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...lines, '', body].join('\r\n');
const head = (...lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface Behaviour {
  readonly name: string;
  readonly method?: string;
  readonly answer: (connection: RawConnection) => void | Promise<void>;
  /** What the one who asked may see. 'own': a whole answer of the upstream; 502: a refusal; 'cut': less than a whole one. */
  readonly sees: readonly ('own' | 502 | 'cut')[];
}
const writes =
  (bytes: string): Behaviour['answer'] =>
  ({ socket }) => {
    socket.write(bytes, 'latin1');
  };

export const behaviours: readonly Behaviour[] = [
  { name: 'two answers in one segment', answer: writes(ok('own') + poison), sees: ['own'] },
  {
    name: 'a second answer 30 ms later',
    answer: async ({ socket }) => {
      socket.write(ok('own'));
      await pause(30);
      socket.write(poison);
    },
    sees: ['own'],
  },
  {
    name: 'half of a second answer, and the rest later',
    answer: async ({ socket }) => {
      socket.write(ok('own') + poison.slice(0, 20));
      await pause(30);
      socket.write(poison.slice(20));
    },
    sees: ['own'],
  },
  { name: 'a line end too many', answer: writes(`${ok('own')}\r\n`), sees: ['own'] },
  {
    name: 'a Content-Length that is too small',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: 3')}own${poison}`),
    sees: ['own'],
  },
  {
    name: 'a Content-Length that is too large, and the end',
    answer: ({ socket }) => socket.end(`${head('HTTP/1.1 200 OK', 'Content-Length: 30')}own`) as unknown as undefined,
    sees: ['cut'],
  },
  {
    name: 'Content-Length and Transfer-Encoding',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: 3', 'Transfer-Encoding: chunked')}0\r\n\r\n${poison}`),
    sees: [502],
  },
  {
    name: 'Transfer-Encoding and Content-Length',
    answer: writes(
      `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Content-Length: 3')}3\r\nown\r\n0\r\n\r\n${poison}`,
    ),
    sees: [502],
  },
  {
    name: 'two lengths',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: 3', 'Content-Length: 9')}own${poison}`),
    sees: [502],
  },
  {
    name: 'one length twice',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: 3', 'Content-Length: 3')}own`),
    sees: [502],
  },
  { name: 'a list of lengths', answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: 3, 3')}own`), sees: [502] },
  { name: 'a signed length', answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: +3')}own`), sees: [502] },
  { name: 'a hexadecimal length', answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: 0x3')}own`), sees: [502] },
  {
    name: 'a length beyond 64 bits',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length: 18446744073709551619')}own`),
    sees: [502],
  },
  {
    name: 'an unknown Transfer-Encoding',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Transfer-Encoding: xchunked')}3\r\nown\r\n0\r\n\r\n`),
    sees: [502],
  },
  {
    name: 'chunked twice',
    answer: writes(
      `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}3\r\nown\r\n0\r\n\r\n`,
    ),
    sees: [502],
  },
  {
    name: 'chunked, then something else',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked, gzip')}3\r\nown\r\n0\r\n\r\n`),
    sees: [502],
  },
  { name: 'lines that end with a bare LF', answer: writes('HTTP/1.1 200 OK\nContent-Length: 3\n\nown'), sees: [502] },
  {
    name: 'a bare CR in a value',
    answer: writes(`${head('HTTP/1.1 200 OK', 'X-A: 1\rContent-Length: 0', 'Content-Length: 3')}own`),
    sees: [502],
  },
  { name: 'a NUL in a value', answer: writes(ok('own', 'X-A: a\0b')), sees: [502] },
  {
    name: 'a folded header',
    answer: writes(`${head('HTTP/1.1 200 OK', 'X-A: 1', ' Content-Length: 0', 'Content-Length: 3')}own`),
    sees: ['own', 502],
  },
  {
    name: 'a space before the colon',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Content-Length : 3')}own${poison}`),
    sees: [502],
  },
  {
    name: 'a header without a name',
    answer: writes(`${head('HTTP/1.1 200 OK', ': x', 'Content-Length: 3')}own`),
    sees: [502],
  },
  {
    name: 'a thousand hints',
    answer: writes(head('HTTP/1.1 103 Early Hints', 'Link: </a>').repeat(1_000) + ok('own')),
    sees: [502],
  },
  {
    name: 'hints without end',
    answer: async ({ socket, ...connection }) => {
      void connection;
      while (!socket.destroyed) {
        socket.write(head('HTTP/1.1 103 Early Hints'));
        await pause(1);
      }
    },
    sees: [502],
  },
  {
    name: 'a 204 with a body',
    answer: writes(`${head('HTTP/1.1 204 No Content', 'Content-Length: 55')}${poison}`),
    sees: ['own', 502],
  },
  {
    name: 'a 204 with chunks',
    answer: writes(`${head('HTTP/1.1 204 No Content', 'Transfer-Encoding: chunked')}3\r\nown\r\n0\r\n\r\n${poison}`),
    sees: ['own', 502],
  },
  { name: 'a 204 with an answer behind it', answer: writes(head('HTTP/1.1 204 No Content') + poison), sees: ['own'] },
  {
    name: 'a 304 with a body',
    answer: writes(`${head('HTTP/1.1 304 Not Modified', 'Content-Length: 55')}${poison}`),
    sees: ['own'],
  },
  { name: 'an answer to HEAD with a body', method: 'HEAD', answer: writes(ok(poison)), sees: ['own'] },
  {
    name: 'an answer to HEAD with chunks',
    method: 'HEAD',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}6\r\npoison\r\n0\r\n\r\n${poison}`),
    sees: ['own'],
  },
  {
    name: 'a 101 that nobody asked for',
    answer: writes(head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade') + poison),
    sees: [502],
  },
  { name: 'a 101 without more', answer: writes(head('HTTP/1.1 101 Switching Protocols') + poison), sees: [502, 'own'] },
  {
    name: 'a 407',
    answer: writes(
      head('HTTP/1.1 407 Proxy Authentication Required', 'Proxy-Authenticate: Basic realm="x"', 'Content-Length: 0') +
        poison,
    ),
    sees: [502],
  },
  { name: 'a status below 100', answer: writes(head('HTTP/1.1 099 Odd', 'Content-Length: 0') + poison), sees: [502] },
  {
    name: 'a status beyond 599',
    answer: writes(`${head('HTTP/1.1 999 Odd', 'Content-Length: 3')}own`),
    sees: [502, 'own'],
  },
  {
    name: 'a head of 1 MiB',
    answer: writes(head('HTTP/1.1 200 OK', `X-A: ${'a'.repeat(1_048_576)}`, 'Content-Length: 3')),
    sees: [502],
  },
  {
    name: 'a head of 100,000 fields',
    answer: writes(head('HTTP/1.1 200 OK', ...Array.from({ length: 100_000 }, () => 'a: b'))),
    sees: [502],
  },
  {
    name: 'a head that never ends',
    answer: async ({ socket, ...connection }) => {
      void connection;
      socket.write('HTTP/1.1 200 OK\r\n');
      while (!socket.destroyed) {
        socket.write(`X-A: ${'a'.repeat(8_192)}\r\n`);
        await pause(1);
      }
    },
    sees: [502],
  },
  {
    name: 'a chunk size beyond 64 bits',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}ffffffffffffffffff\r\nown`),
    sees: ['cut', 502],
  },
  {
    name: 'a chunk size that is no number',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}x\r\nown`),
    sees: ['cut', 502],
  },
  {
    name: 'a chunk without its line end',
    answer: writes(`${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}3\r\nownX\r\n0\r\n\r\n${poison}`),
    sees: ['cut', 502],
  },
  {
    name: 'a Content-Length in the trailers',
    answer: writes(
      `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}3\r\nown\r\n0\r\nContent-Length: 9\r\n\r\n${poison}`,
    ),
    sees: ['cut', 502, 'own'],
  },
  {
    name: 'trailers without end',
    answer: writes(
      `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}3\r\nown\r\n0\r\n${'X-A: aaaaaaaa\r\n'.repeat(20_000)}`,
    ),
    sees: ['cut', 502],
  },
  {
    name: 'HTTP/1.0 that keeps the connection',
    answer: writes(`${head('HTTP/1.0 200 OK', 'Connection: keep-alive', 'Content-Length: 3')}own${poison}`),
    sees: ['own'],
  },
  {
    name: 'HTTP/1.0 with chunks',
    answer: ({ socket }) =>
      socket.end(
        `${head('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked')}3\r\nown\r\n0\r\n\r\n${poison}`,
      ) as unknown as undefined,
    sees: ['own', 502, 'cut'],
  },
  { name: 'HTTP/2', answer: writes(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]).toString('latin1')), sees: [502] },
  { name: 'HTTP/3.7', answer: writes(`${head('HTTP/3.7 200 OK', 'Content-Length: 3')}own`), sees: [502] },
  { name: 'another protocol', answer: writes('220 mail.test ESMTP\r\n'), sees: [502] },
  { name: 'random bytes', answer: writes('\x00\xff\x16\x03\x01HTTP/1.1 200 OK\r\n\r\n'), sees: [502] },
  { name: 'nothing but an end', answer: ({ socket }) => socket.end() as unknown as undefined, sees: [502] },
];
