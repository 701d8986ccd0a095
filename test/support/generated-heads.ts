import type { Random } from './mutate.ts';

/* Heads of messages, put together from pieces that are legal, doubtful and wrong; the seed decides which. */

const methods = [
  'GET',
  'POST',
  'PUT',
  'DELETE',
  'PATCH',
  'OPTIONS',
  'HEAD',
  'PROPFIND',
  'REPORT',
  'M-SEARCH',
  'QUERY',
  'get',
  'G',
];
const targets = [
  '/',
  '/a',
  '/a/../b',
  '/a//b',
  '/%2e%2e/a',
  '/a?b=c&b=c',
  '/a?',
  '/?a=%00',
  '/a;b=c',
  '/a%',
  "/a'b",
  '/a|b',
  '/a\\b',
  '/{a}',
  '/a#b',
  '/é',
  '*',
  'a',
  '//a',
  '/a?b?c',
  `/${'a'.repeat(300)}`,
];
const versions = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1'];
const lineEnds = ['\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\n '];
const names = [
  'Accept',
  'accept',
  'X-A',
  'x_a',
  'X-A',
  'Cookie',
  'Content-Type',
  'Content-Encoding',
  'Connection',
  'Keep-Alive',
  'TE',
  'Trailer',
  'Upgrade',
  'Expect',
  'Host',
  'Content-Length',
  'Transfer-Encoding',
  'Proxy-Connection',
  'Proxy-Authenticate',
  'Date',
  'Via',
  'Range',
  'If-Match',
  'Authorization',
  'X-Forwarded-For',
  'Forwarded',
  'HTTP2-Settings',
  'X-Alter-Reason',
  'Content_Length',
  'Transfer_Encoding',
  "!#$%&'*+-.^_`|~",
  '__proto__',
  'constructor',
  'Set-Cookie',
  'Location',
  'Alt-Svc',
  'ETag',
  'X A',
  'X\tA',
  '',
  '(x)',
  'É',
];
const values = [
  'a',
  '',
  ' ',
  'a b',
  '  a\t',
  'a, b',
  '"a"',
  'close',
  'keep-alive',
  'x-a',
  'x-a, close',
  'content-length',
  'upgrade',
  'websocket',
  'h2c',
  'trailers',
  'chunked',
  '0',
  '5',
  '05',
  '+5',
  '5, 5',
  'gzip',
  '100-continue',
  'é',
  '\xff\xfe',
  'a\0b',
  'a\x01b',
  'a\x7fb',
  'a\rb',
  '%0d%0a',
  `${'v'.repeat(200)}`,
  '(a)',
  'a;b=c',
  '/',
  'https://x.test/',
];

function headers(random: Random): string {
  let text = '';
  if (random.below(2) === 0) return text;
  for (let left = random.below(6); left > 0; left--) {
    const colon = random.pick([': ', ': ', ': ', ':', ':\t', ' : ', '']);
    text += `${random.pick(names)}${colon}${random.pick(values)}${random.below(12) === 0 ? random.pick(lineEnds) : '\r\n'}`;
  }
  return text;
}

/** Framing and body that mostly belong together. */
function framed(random: Random): readonly [header: string, body: string] {
  const body = random.pick(['', 'hello', '0\r\n\r\n', 'GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n', '\xff\0\x01']);
  const hex = body.length.toString(16);
  switch (random.below(8)) {
    case 0:
    case 1:
      return ['', ''];
    case 2:
    case 3:
      return [`Content-Length: ${body.length}\r\n`, body];
    case 4:
      return ['Transfer-Encoding: chunked\r\n', body === '' ? '0\r\n\r\n' : `${hex}\r\n${body}\r\n0\r\n\r\n`];
    case 5:
      return ['Transfer-Encoding: chunked\r\n', `${hex};a=b\r\n${body}\r\n0\r\nX-T: a\r\n\r\n`];
    case 6:
      return [`Content-Length: ${body.length + random.below(3)}\r\n`, body];
    default:
      return [
        `${random.pick(['Content-Length', 'Transfer-Encoding', 'content-length'])}: ${random.pick(values)}\r\n`,
        body,
      ];
  }
}

/** One request. `own` are header lines that it needs to be let through; `prefix` stands before a target that is a path. */
export function generateRequest(random: Random, own: string, prefix: string): Buffer {
  const target = random.below(3) === 0 ? random.pick(targets) : `/${random.below(1_000_000)}`;
  const [framing, body] = framed(random);
  const start = `${random.below(3) === 0 ? random.pick(methods) : 'POST'} ${prefix}${target} ${random.pick(versions)}`;
  const end = random.below(20) === 0 ? random.pick(lineEnds) : '\r\n';
  const parts = random.below(2) === 0 ? [own, headers(random), framing] : [own, framing, headers(random)];
  return Buffer.from(`${start}${end}${parts.join('')}\r\n${body}`, 'latin1');
}

const statuses = [
  '200 OK',
  '200 OK',
  '200',
  '201 Created',
  '204 No Content',
  '304 Not Modified',
  '301 Moved',
  '404 Not Found',
  '500 No',
  '100 Continue',
  '103 Hints',
  '101 Switching',
  '407 No',
  '999 x',
  '20 x',
  '2000 x',
  '200 é',
  '200  OK',
];

/** One answer. */
export function generateAnswer(random: Random): Buffer {
  const [framing, body] = framed(random);
  const start = random.below(2) === 0 ? 'HTTP/1.1 200 OK' : `${random.pick(versions)} ${random.pick(statuses)}`;
  const interim = random.below(10) === 0 ? 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' : '';
  const parts = random.below(2) === 0 ? [headers(random), framing] : [framing, headers(random)];
  const behind = random.below(6) === 0 ? 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison' : '';
  return Buffer.from(`${interim}${start}\r\n${parts.join('')}\r\n${body}${behind}`, 'latin1');
}
