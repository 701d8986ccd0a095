/*
 * Requests that two readers may frame differently, as data. Each is followed on its connection by a marker request, and what
 * is compared is what a server behind the proxy made of all that.
 *
 * `{p}` is the target of the request and `{m}` that of the marker; `{h}` is an honest Host header (and what the caller has to
 * say of itself); `{own}` is the same without Host, `{a}` the authority; `{n}` is the length of what stands behind the head.
 */

/**
 * - `refused`: not a byte of it reaches the server, and the connection is over.
 * - `cut`: the head is fine and the body is not: the server never gets a whole request, nor the marker.
 * - `one`: one request; the marker is part of its body.
 * - `two`: a request and the marker, one after the other.
 */
export type Expectation = 'refused' | 'cut' | 'one' | 'two';

export interface Payload {
  readonly name: string;
  readonly expect: Expectation;
  readonly raw: string;
  /** What a server reads as its body, where it is read as a request. */
  readonly body?: string;
}

type Row = readonly [name: string, header: string, body?: string];

const hello = '5\r\nhello\r\n0\r\n\r\n';

function posts(expect: Expectation, rows: readonly Row[], read?: string): Payload[] {
  return rows.map(([name, header, body = '']) => ({
    name,
    expect,
    raw: `POST {p} HTTP/1.1\r\n{h}${header}\r\n${body}`,
    ...(read === undefined ? {} : { body: read }),
  }));
}

function chunked(expect: Expectation, rows: readonly (readonly [name: string, body: string])[], read?: string) {
  return posts(
    expect,
    rows.map(([name, body]) => [name, 'Transfer-Encoding: chunked\r\n', body] as const),
    read,
  );
}

function heads(expect: Expectation, rows: readonly (readonly [name: string, raw: string])[]): Payload[] {
  return rows.map(([name, raw]) => ({ name, expect, raw }));
}

const contentLength: Payload[] = [
  ...posts('refused', [
    ['Content-Length twice, the same', 'Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'],
    ['Content-Length twice, longer later', 'Content-Length: 0\r\nContent-Length: 44\r\n'],
    ['Content-Length twice, shorter later', 'Content-Length: 44\r\nContent-Length: 0\r\n'],
    ['Content-Length twice, in two cases', 'Content-Length: 5\r\ncontent-length: 6\r\n', 'hello'],
    [
      'Content-Length twice, with another header between',
      'Content-Length: 5\r\nX-A: b\r\nContent-Length: 0\r\n',
      'hello',
    ],
    ['Content-Length three times', 'Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 5\r\n', 'hello'],
    ['Content-Length as a list of the same', 'Content-Length: 5, 5\r\n', 'hello'],
    ['Content-Length as a list of two', 'Content-Length: 5, 44\r\n', 'hello'],
    ['Content-Length as a list without spaces', 'Content-Length: 5,5\r\n', 'hello'],
    ['Content-Length with a comma behind', 'Content-Length: 5,\r\n', 'hello'],
    ['Content-Length with a comma before', 'Content-Length: ,5\r\n', 'hello'],
    ['Content-Length as a list by semicolon', 'Content-Length: 5;5\r\n', 'hello'],
    ['Content-Length with a plus', 'Content-Length: +5\r\n', 'hello'],
    ['Content-Length with a minus', 'Content-Length: -5\r\n', 'hello'],
    ['Content-Length of minus nothing', 'Content-Length: -0\r\n'],
    ['Content-Length in hex', 'Content-Length: 0x5\r\n', 'hello'],
    ['Content-Length in upper-case hex', 'Content-Length: 0X5\r\n', 'hello'],
    ['Content-Length with a hex digit', 'Content-Length: 5a\r\n', 'hello'],
    ['Content-Length in octal', 'Content-Length: 0o5\r\n', 'hello'],
    ['Content-Length in binary', 'Content-Length: 0b101\r\n', 'hello'],
    ['Content-Length with a leading zero', 'Content-Length: 05\r\n', 'hello'],
    ['Content-Length with many leading zeros', `Content-Length: ${'0'.repeat(40)}5\r\n`, 'hello'],
    ['Content-Length of two zeros', 'Content-Length: 00\r\n'],
    ['Content-Length with a decimal point', 'Content-Length: 5.0\r\n', 'hello'],
    ['Content-Length with an exponent', 'Content-Length: 5e0\r\n', 'hello'],
    ['Content-Length with an underscore', 'Content-Length: 1_0\r\n', 'hellohello'],
    ['Content-Length with a space inside', 'Content-Length: 1 0\r\n', 'hellohello'],
    ['Content-Length with a tab inside', 'Content-Length: 1\t0\r\n', 'hellohello'],
    ['Content-Length in quotes', 'Content-Length: "5"\r\n', 'hello'],
    ['Content-Length in single quotes', "Content-Length: '5'\r\n", 'hello'],
    ['Content-Length with a letter behind', 'Content-Length: 5abc\r\n', 'hello'],
    ['Content-Length with a letter before', 'Content-Length: a5\r\n', 'hello'],
    ['Content-Length that is a word', 'Content-Length: chunked\r\n', hello],
    ['Content-Length without a value', 'Content-Length:\r\n'],
    ['Content-Length of spaces', 'Content-Length:   \r\n'],
    ['Content-Length of 2^64', 'Content-Length: 18446744073709551616\r\n', 'hello'],
    ['Content-Length of 2^64 + 5', 'Content-Length: 18446744073709551621\r\n', 'hello'],
    ['Content-Length of 2^63 + 5', 'Content-Length: 9223372036854775813\r\n', 'hello'],
    ['Content-Length of 400 digits', `Content-Length: ${'9'.repeat(400)}\r\n`, 'hello'],
    ['Content-Length with a NUL behind', 'Content-Length: 5\0\r\n', 'hello'],
    ['Content-Length with a vertical tab before', 'Content-Length: \x0b5\r\n', 'hello'],
    ['Content-Length with a form feed behind', 'Content-Length: 5\x0c\r\n', 'hello'],
    ['Content-Length in full-width digits', 'Content-Length: \xef\xbc\x95\r\n', 'hello'],
    ['Content-Length behind a no-break space', 'Content-Length: \xa05\r\n', 'hello'],
    ['Content-Length with an encoded digit', 'Content-Length: %35\r\n', 'hello'],
    ['Content-Length with a comment', 'Content-Length: 5 (five)\r\n', 'hello'],
    ['Content-Length with a parameter', 'Content-Length: 5;q=1\r\n', 'hello'],
  ]),
  ...posts('two', [['Content-Length with spaces around', 'Content-Length:  5 \r\n', 'hello']], 'hello'),
  ...posts('two', [['Content-Length with tabs around', 'Content-Length:\t5\t\r\n', 'hello']], 'hello'),
  ...posts('two', [['Content-Length without a space', 'Content-Length:5\r\n', 'hello']], 'hello'),
  ...posts('two', [['Content-Length of nothing', 'Content-Length: 0\r\n']], ''),
];

const transferEncoding: Payload[] = posts('refused', [
  ['Transfer-Encoding twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', hello],
  ['Transfer-Encoding twice, identity later', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', hello],
  ['Transfer-Encoding twice, identity first', 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', hello],
  ['Transfer-Encoding twice, the first empty', 'Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n', hello],
  ['Transfer-Encoding twice, nonsense later', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n', hello],
  ['Transfer-Encoding twice, in two cases', 'Transfer-Encoding: chunked\r\ntransfer-encoding: x\r\n', hello],
  ['Transfer-Encoding: identity', 'Transfer-Encoding: identity\r\n'],
  ['Transfer-Encoding: identity, chunked', 'Transfer-Encoding: identity, chunked\r\n', hello],
  ['Transfer-Encoding: chunked, identity', 'Transfer-Encoding: chunked, identity\r\n', hello],
  ['Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: chunked, chunked\r\n', hello],
  ['Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: gzip, chunked\r\n', hello],
  ['Transfer-Encoding: chunked, gzip', 'Transfer-Encoding: chunked, gzip\r\n', hello],
  ['Transfer-Encoding: gzip', 'Transfer-Encoding: gzip\r\n', hello],
  ['Transfer-Encoding: deflate', 'Transfer-Encoding: deflate\r\n', hello],
  ['Transfer-Encoding: compress', 'Transfer-Encoding: compress\r\n', hello],
  ['Transfer-Encoding: xchunked', 'Transfer-Encoding: xchunked\r\n', hello],
  ['Transfer-Encoding: chunkedx', 'Transfer-Encoding: chunkedx\r\n', hello],
  ['Transfer-Encoding: chunke', 'Transfer-Encoding: chunke\r\n', hello],
  ['Transfer-Encoding: chunked with a parameter', 'Transfer-Encoding: chunked;q=1\r\n', hello],
  ['Transfer-Encoding: chunked behind a semicolon', 'Transfer-Encoding: ;chunked\r\n', hello],
  ['Transfer-Encoding with a comma behind', 'Transfer-Encoding: chunked,\r\n', hello],
  ['Transfer-Encoding with a comma before', 'Transfer-Encoding: ,chunked\r\n', hello],
  ['Transfer-Encoding in quotes', 'Transfer-Encoding: "chunked"\r\n', hello],
  ['Transfer-Encoding in single quotes', "Transfer-Encoding: 'chunked'\r\n", hello],
  ['Transfer-Encoding in brackets', 'Transfer-Encoding: [chunked]\r\n', hello],
  ['Transfer-Encoding without a value', 'Transfer-Encoding:\r\n'],
  ['Transfer-Encoding of spaces', 'Transfer-Encoding:   \r\n'],
  ['Transfer-Encoding with a vertical tab', 'Transfer-Encoding: \x0bchunked\r\n', hello],
  ['Transfer-Encoding with a form feed', 'Transfer-Encoding: chunked\x0c\r\n', hello],
  ['Transfer-Encoding with a NUL behind', 'Transfer-Encoding: chunked\0\r\n', hello],
  ['Transfer-Encoding with a NUL inside', 'Transfer-Encoding: chun\0ked\r\n', hello],
  ['Transfer-Encoding with a backspace', 'Transfer-Encoding: \x08chunked\r\n', hello],
  ['Transfer-Encoding with a DEL', 'Transfer-Encoding: chunked\x7f\r\n', hello],
  ['Transfer-Encoding with a byte of 0xff', 'Transfer-Encoding: \xffchunked\r\n', hello],
  ['Transfer-Encoding behind a no-break space', 'Transfer-Encoding: \xa0chunked\r\n', hello],
  ['Transfer-Encoding with a dotless i and a Kelvin sign', 'Transfer-Encoding: chun\xe2\x84\xaaed\r\n', hello],
  ['Transfer-Encoding with a bare CR before', 'Transfer-Encoding: \rchunked\r\n', hello],
  ['Transfer-Encoding with a bare CR behind', 'Transfer-Encoding: chunked\r \r\n', hello],
  ['Transfer-Encoding with a colon', 'Transfer-Encoding: : chunked\r\n', hello],
  ['Transfer-Encoding with an encoded letter', 'Transfer-Encoding: %63hunked\r\n', hello],
  ['Transfer-Encoding with a space inside', 'Transfer-Encoding: chu nked\r\n', hello],
  ['Transfer-Encoding with a word behind', 'Transfer-Encoding: chunked identity\r\n', hello],
  ['Transfer-Encoding: trailers', 'Transfer-Encoding: trailers\r\n', hello],
  ['Transfer-Encoding that is a number', 'Transfer-Encoding: 5\r\n', 'hello'],
]);

const both: Payload[] = posts('refused', [
  ['Content-Length, then Transfer-Encoding', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  ['Transfer-Encoding, then Content-Length', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'],
  ['both, and they agree', 'Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n', hello],
  ['both, with a length of nothing', 'Content-Length: 0\r\nTransfer-Encoding: chunked\r\n', hello],
  ['both, with a long length', 'Content-Length: 4096\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  ['both, with a header between', 'Content-Length: 5\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  ['both, and identity', 'Content-Length: 5\r\nTransfer-Encoding: identity\r\n', 'hello'],
  ['both, and a coding that nobody knows', 'Content-Length: 5\r\nTransfer-Encoding: cow\r\n', 'hello'],
  ['both, and an empty coding', 'Content-Length: 5\r\nTransfer-Encoding:\r\n', 'hello'],
  ['both, and a tab before the coding', 'Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n', '0\r\n\r\n'],
  ['both, and CHUNKED', 'Content-Length: 5\r\nTransfer-Encoding: CHUNKED\r\n', '0\r\n\r\n'],
  [
    'both, and two codings',
    'Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n',
    'hello',
  ],
  ['both, the length malformed', 'Content-Length: 5x\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  ['both, the length empty', 'Content-Length:\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  [
    'both, and Connection takes the coding away',
    'Connection: transfer-encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n',
    '0\r\n\r\n',
  ],
  [
    'both, and Connection takes the length away',
    'Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n',
    '0\r\n\r\n',
  ],
  [
    'both, with a whole request in the chunked body',
    'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n',
    '20\r\nGET {m} HTTP/1.1\r\nHost: {a}\r\n\r\n\r\n0\r\n\r\n',
  ],
]);

const names: Payload[] = [
  ...posts('refused', [
    ['a space before the colon of Content-Length', 'Content-Length : 5\r\n', 'hello'],
    ['a tab before the colon of Content-Length', 'Content-Length\t: 5\r\n', 'hello'],
    ['a space before the colon of Transfer-Encoding', 'Transfer-Encoding : chunked\r\n', hello],
    ['a tab before the colon of Transfer-Encoding', 'Transfer-Encoding\t: chunked\r\n', hello],
    ['a vertical tab before the colon', 'Transfer-Encoding\x0b: chunked\r\n', hello],
    ['a bare CR before the colon', 'Transfer-Encoding\r: chunked\r\n', hello],
    ['a line end before the colon', 'Transfer-Encoding\r\n : chunked\r\n', hello],
    ['a space before the first name', ' Content-Length: 5\r\n', 'hello'],
    ['a space inside the name', 'Content Length: 5\r\n', 'hello'],
    ['a NUL inside the name', 'Content-\0Length: 5\r\n', 'hello'],
    ['a NUL behind the name', 'Transfer-Encoding\0: chunked\r\n', hello],
    ['a control character before the name', '\x01Transfer-Encoding: chunked\r\n', hello],
    ['a bare CR before the name', '\rTransfer-Encoding: chunked\r\n', hello],
    ['a form feed before the name', '\x0cTransfer-Encoding: chunked\r\n', hello],
    ['a byte beyond ASCII in the name', 'Transfer-Encod\xefng: chunked\r\n', hello],
    ['quotes around the name', '"Content-Length": 5\r\n', 'hello'],
    ['brackets in the name', 'Content[Length]: 5\r\n', 'hello'],
    ['a slash in the name', 'Content/Length: 5\r\n', 'hello'],
    ['a name without a colon', 'Content-Length 5\r\n', 'hello'],
    ['a name alone', 'Content-Length\r\n', 'hello'],
    ['a colon alone', ':\r\n'],
    ['no name', ': 5\r\n'],
    ['an equals sign instead of the colon', 'Content-Length= 5\r\n', 'hello'],
    ['a value alone', '5\r\n'],
    ['a header that was folded by a space', 'Transfer-Encoding:\r\n chunked\r\n', hello],
    ['a header that was folded by a tab', 'Transfer-Encoding:\r\n\tchunked\r\n', hello],
    ['a length that was folded', 'Content-Length:\r\n 5\r\n', 'hello'],
    ['a length that goes on in the next line', 'Content-Length: 1\r\n 0\r\n', 'hellohello'],
    ['a coding in the fold of another header', 'X-A: b\r\n Transfer-Encoding: chunked\r\n', hello],
    ['a length in the fold of another header', 'X-A: b\r\n\tContent-Length: 44\r\n'],
    ['a fold of nothing', 'X-A: b\r\n \r\n'],
    ['a fold at the end of the head', 'X-A: b\r\n \r\n\r\n'],
  ]),
  // Servers of the CGI kind read `_` and `-` as one character.
  ...posts('refused', [
    ['Content_Length', 'Content_Length: 44\r\n'],
    ['Transfer_Encoding', 'Transfer_Encoding: chunked\r\n'],
    ['Content_Length beside Content-Length', 'Content_Length: 44\r\nContent-Length: 0\r\n'],
    ['Transfer_Encoding beside Content-Length', 'Transfer_Encoding: chunked\r\nContent-Length: 0\r\n'],
    [
      'Content_Length in odd case, behind Transfer-Encoding',
      'Transfer-Encoding: chunked\r\ncONTENT_lENGTH: 5\r\n',
      hello,
    ],
    ['Keep_Alive', 'Keep_Alive: timeout=5\r\nContent-Length: 0\r\n'],
    ['HTTP2_Settings', 'HTTP2_Settings: AAMAAABkAAQAAP__\r\nContent-Length: 0\r\n'],
  ]),
  ...posts('two', [
    ['names that only resemble', 'X-Content-Length: 44\r\nContent-Lengths: 44\r\nTransferEncoding: chunked\r\n'],
    ['a length that Connection names', 'Connection: content-length\r\nContent-Length: 0\r\n'],
  ]),
  ...posts(
    'two',
    [
      ['a coding that Connection names', 'Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n', hello],
      ['names in odd case', 'tRANSFER-eNCODING: ChUnKeD\r\n', hello],
      ['a length that Connection takes away', 'Connection: content-length\r\nContent-Length: 5\r\n', 'hello'],
      ['a coding with spaces around', 'Transfer-Encoding:   chunked  \r\n', hello],
      ['a coding behind a tab', 'Transfer-Encoding:\tchunked\r\n', hello],
    ],
    'hello',
  ),
];

const lineEnds: Payload[] = [
  ...posts('refused', [
    ['a bare LF behind a header', 'X-A: b\nContent-Length: 5\r\n', 'hello'],
    ['a bare LF behind the length', 'Content-Length: 5\nX-A: b\r\n', 'hello'],
    ['a bare LF behind the coding', 'Transfer-Encoding: chunked\nX-A: b\r\n', hello],
    ['a bare CR behind a header', 'X-A: b\rContent-Length: 5\r\n', 'hello'],
    ['a bare CR inside a value', 'X-A: b\rc\r\n'],
    ['two CRs before the LF', 'X-A: b\r\r\n'],
    ['a NUL inside a value', 'X-A: b\0c\r\n'],
    ['a NUL before the line end', 'X-A: b\0\r\n'],
    ['a control character inside a value', 'X-A: b\x01c\r\n'],
    ['a DEL inside a value', 'X-A: b\x7fc\r\n'],
  ]),
  ...heads('refused', [
    ['a bare LF behind the first line', 'POST {p} HTTP/1.1\n{h}Content-Length: 0\r\n\r\n'],
    ['a bare CR behind the first line', 'POST {p} HTTP/1.1\r{h}Content-Length: 0\r\n\r\n'],
    ['bare LFs only', 'GET {p} HTTP/1.1\nHost: {a}\n\n'],
    ['a bare LF at the end of the head', 'POST {p} HTTP/1.1\r\n{h}Content-Length: 0\r\n\n'],
    ['a bare CR at the end of the head', 'POST {p} HTTP/1.1\r\n{h}Content-Length: 0\r\n\r'],
    ['a space at the end of the first line', 'POST {p} HTTP/1.1 \r\n{h}Content-Length: 0\r\n\r\n'],
    ['a line of spaces before the head ends', 'POST {p} HTTP/1.1\r\n{h}X-A: b\r\n   \r\nContent-Length: 0\r\n\r\n'],
    ['a header before the first line', 'Content-Length: 5\r\nPOST {p} HTTP/1.1\r\n{h}\r\n'],
    ['a space before the first header', 'POST {p} HTTP/1.1\r\n {h}Content-Length: 0\r\n\r\n'],
  ]),
  ...heads('refused', [
    ['a line end before the first line', '\r\nGET {p} HTTP/1.1\r\n{h}\r\n'],
    ['many line ends before the first line', `${'\r\n'.repeat(8)}GET {p} HTTP/1.1\r\n{h}\r\n`],
    ['a bare LF before the first line', '\nGET {p} HTTP/1.1\r\n{h}\r\n'],
  ]),
];

const firstLines: Payload[] = [
  ...heads('refused', [
    ['no version', 'GET {p}\r\n{h}\r\n'],
    ['HTTP/0.9', 'GET {p} HTTP/0.9\r\n{h}\r\n'],
    ['HTTP/1.2', 'GET {p} HTTP/1.2\r\n{h}\r\n'],
    ['HTTP/2.0', 'GET {p} HTTP/2.0\r\n{h}\r\n'],
    ['HTTP/1.10', 'GET {p} HTTP/1.10\r\n{h}\r\n'],
    ['HTTP/01.1', 'GET {p} HTTP/01.1\r\n{h}\r\n'],
    ['HTTP/1', 'GET {p} HTTP/1\r\n{h}\r\n'],
    ['HTTP/1,1', 'GET {p} HTTP/1,1\r\n{h}\r\n'],
    ['http/1.1', 'GET {p} http/1.1\r\n{h}\r\n'],
    ['HTTP /1.1', 'GET {p} HTTP /1.1\r\n{h}\r\n'],
    ['HTTPS/1.1', 'GET {p} HTTPS/1.1\r\n{h}\r\n'],
    ['ICY/1.0', 'GET {p} ICY/1.0\r\n{h}\r\n'],
    ['a version with a sign', 'GET {p} HTTP/1.+1\r\n{h}\r\n'],
    ['a tab behind the method', 'GET\t{p} HTTP/1.1\r\n{h}\r\n'],
    ['a tab before the version', 'GET {p}\tHTTP/1.1\r\n{h}\r\n'],
    ['a space inside the target', 'GET {p}/a b HTTP/1.1\r\n{h}\r\n'],
    ['a whole request in the target', 'GET {p} HTTP/1.1 GET {m} HTTP/1.1\r\n{h}\r\n'],
    ['a bare CR inside the target', 'GET {p}\r/x HTTP/1.1\r\n{h}\r\n'],
    ['a NUL inside the target', 'GET {p}\0/x HTTP/1.1\r\n{h}\r\n'],
    ['a control character inside the target', 'GET {p}\x01 HTTP/1.1\r\n{h}\r\n'],
    ['a byte beyond ASCII in the target', 'GET {p}\xe9 HTTP/1.1\r\n{h}\r\n'],
    ['a fragment in the target', 'GET {p}#x HTTP/1.1\r\n{h}\r\n'],
    ['no target', 'GET  HTTP/1.1\r\n{h}\r\n'],
    ['a target that is no path', 'GET x HTTP/1.1\r\n{h}\r\n'],
    ['an asterisk with GET', 'GET * HTTP/1.1\r\n{h}\r\n'],
    ['a method in lower case', 'get {p} HTTP/1.1\r\n{h}\r\n'],
    ['a method that nobody knows', 'GOT {p} HTTP/1.1\r\n{h}\r\n'],
    ['a method with a NUL', 'GE\0T {p} HTTP/1.1\r\n{h}\r\n'],
    ['a method with a colon', 'GET: {p} HTTP/1.1\r\n{h}\r\n'],
    ['a method in quotes', '"GET" {p} HTTP/1.1\r\n{h}\r\n'],
    ['no method', ' {p} HTTP/1.1\r\n{h}\r\n'],
    ['a space before the method', ' GET {p} HTTP/1.1\r\n{h}\r\n'],
    ['TRACE', 'TRACE {p} HTTP/1.1\r\n{h}\r\n'],
    ['TRACE with a body', 'TRACE {p} HTTP/1.1\r\n{h}Content-Length: 5\r\n\r\nhello'],
    ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a byte order mark', '\xef\xbb\xbfGET {p} HTTP/1.1\r\n{h}\r\n'],
    ['a TLS record', '\x16\x03\x01\x00\x05hello'],
    ['nothing that is HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['RTSP/1.0', 'GET {p} RTSP/1.0\r\n{h}\r\n'],
    ['two spaces before the version', 'GET {p}  HTTP/1.1\r\n{h}\r\n'],
  ]),
];

const hosts: Payload[] = heads('refused', [
  ['no Host', 'GET {p} HTTP/1.1\r\n{own}\r\n'],
  ['two Hosts, the same', 'GET {p} HTTP/1.1\r\n{h}Host: {a}\r\n\r\n'],
  ['two Hosts, another later', 'GET {p} HTTP/1.1\r\n{h}Host: x.test\r\n\r\n'],
  ['two Hosts, another first', 'GET {p} HTTP/1.1\r\nHost: x.test\r\n{h}\r\n'],
  ['a list of Hosts', 'GET {p} HTTP/1.1\r\n{own}Host: {a}, x.test\r\n\r\n'],
  ['a Host with a path', 'GET {p} HTTP/1.1\r\n{own}Host: {a}/x\r\n\r\n'],
  ['a Host with a user', 'GET {p} HTTP/1.1\r\n{own}Host: u@{a}\r\n\r\n'],
  ['a Host with a space inside', 'GET {p} HTTP/1.1\r\n{own}Host: {a} x.test\r\n\r\n'],
  ['a Host with a space before its colon', 'GET {p} HTTP/1.1\r\n{own}Host : {a}\r\n\r\n'],
  ['a folded Host', 'GET {p} HTTP/1.1\r\n{own}Host:\r\n {a}\r\n\r\n'],
  ['an empty Host', 'GET {p} HTTP/1.1\r\n{own}Host:\r\n\r\n'],
  ['a Host with a scheme', 'GET {p} HTTP/1.1\r\n{own}Host: https://{a}\r\n\r\n'],
  ['another Host', 'GET {p} HTTP/1.1\r\n{own}Host: x.test\r\n\r\n'],
  ['a Host with a NUL', 'GET {p} HTTP/1.1\r\n{own}Host: {a}\0\r\n\r\n'],
  ['a Host with another port', 'GET {p} HTTP/1.1\r\n{own}Host: {a}1\r\n\r\n'],
]);

const chunks: Payload[] = [
  ...chunked('cut', [
    ['a chunk size that is no number', 'g\r\nhello\r\n0\r\n\r\n'],
    ['no chunk size', '\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with a plus', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with a minus', '-5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with an h', '5h\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with an underscore', '0_5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with a decimal point', '5.0\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size in quotes', '"5"\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size of 2^64 + 5', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size of 2^68 + 1', 'ffffffffffffffff1\r\nhello\r\n0\r\n\r\n'],
    ['a space before the chunk size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a tab before the chunk size', '\t5\r\nhello\r\n0\r\n\r\n'],
    ['a comma behind the chunk size', '5,5\r\nhello\r\n0\r\n\r\n'],
    ['a NUL behind the chunk size', '5\0\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the chunk size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare CR behind the chunk size', '5\rhello\r\n0\r\n\r\n'],
    ['two CRs behind the chunk size', '5\r\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the chunk', '5\r\nhello\n0\r\n\r\n'],
    ['a bare CR behind the chunk', '5\r\nhello\r0\r\n\r\n'],
    ['nothing behind the chunk', '5\r\nhello0\r\n\r\n'],
    ['two bytes too many in the chunk', '3\r\nhello\r\n0\r\n\r\n'],
    ['spaces instead of a line end behind the chunk', '5\r\nhello  0\r\n\r\n'],
    ['a bare LF behind the last chunk', '5\r\nhello\r\n0\n\r\n'],
    ['a bare CR behind the last chunk', '5\r\nhello\r\n0\r\r\n'],
    ['a last chunk with a minus', '5\r\nhello\r\n-0\r\n\r\n'],
    ['a bare LF behind an extension', '5;a=b\nhello\r\n0\r\n\r\n'],
    ['a bare CR inside an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['a NUL inside an extension', '5;a\0b\r\nhello\r\n0\r\n\r\n'],
    [
      'a request hidden behind the LF of an extension',
      '2;\nxx\r\n4c\r\n0\r\n\r\nGET {m} HTTP/1.1\r\nHost: {a}\r\n\r\n',
    ],
    ['a trailer without a colon', '5\r\nhello\r\n0\r\nX-T\r\n\r\n'],
    ['a trailer with a space before its colon', '5\r\nhello\r\n0\r\nX-T : a\r\n\r\n'],
    ['a trailer with a bare LF', '5\r\nhello\r\n0\r\nX-T: a\nX-U: b\r\n\r\n'],
    ['a trailer with a NUL', '5\r\nhello\r\n0\r\nX-T: a\0\r\n\r\n'],
    ['a trailer that begins with a space', '5\r\nhello\r\n0\r\n X-T: a\r\n\r\n'],
  ]),
  ...chunked('cut', [
    ['a space behind the chunk size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a tab behind the chunk size', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['an extension without a name', '5;\r\nhello\r\n0\r\n\r\n'],
    ['an extension of 4 KiB', `5;${'a'.repeat(4_096)}\r\nhello\r\n0\r\n\r\n`],
    ['an extension of 64 KiB', `5;${'a'.repeat(65_536)}\r\nhello\r\n0\r\n\r\n`],
    ['more leading zeros than a size has digits', '0000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a length as a trailer', '5\r\nhello\r\n0\r\nContent-Length: 44\r\n\r\n'],
    ['a coding as a trailer', '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a Host as a trailer', '5\r\nhello\r\n0\r\nHost: x.test\r\n\r\n'],
    ['trailers beyond the limit of a head', `5\r\nhello\r\n0\r\n${'X-T: aaaaaaaa\r\n'.repeat(1_400)}\r\n`],
  ]),
  ...chunked(
    'two',
    [
      ['an extension', '5;a=b\r\nhello\r\n0\r\n\r\n'],
      ['an extension in quotes', '5;a="b;c"\r\nhello\r\n0\r\n\r\n'],
      ['an extension on the last chunk', '5\r\nhello\r\n0;a=b\r\n\r\n'],
      ['many zeros as the last chunk', '5\r\nhello\r\n000000\r\n\r\n'],
      ['leading zeros', '00005\r\nhello\r\n0\r\n\r\n'],
      ['a trailer', '5\r\nhello\r\n0\r\nX-T: a\r\n\r\n'],
    ],
    'hello',
  ),
  ...chunked('two', [['upper-case sizes', 'A\r\nhellohello\r\n0\r\n\r\n']], 'hellohello'),
  ...chunked('two', [['one byte a chunk', '1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n']], 'hello'),
  ...chunked('two', [['no chunk but the last', '0\r\n\r\n']], ''),
  ...chunked(
    'two',
    [['what looks like the last chunk inside a chunk', 'c\r\n\r\n0\r\n\r\nGET /\r\n0\r\n\r\n']],
    '\r\n0\r\n\r\nGET /',
  ),
];

const oldVersion: Payload[] = [
  ...heads('refused', [
    ['HTTP/1.0 with a coding', 'POST {p} HTTP/1.0\r\n{h}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['HTTP/1.0 with both', 'POST {p} HTTP/1.0\r\n{h}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    [
      'HTTP/1.0 with a coding, kept alive',
      'POST {p} HTTP/1.0\r\n{h}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['HTTP/1.0 with two lengths', 'POST {p} HTTP/1.0\r\n{h}Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello'],
  ]),
];

const expectations: Payload[] = [
  ...posts('refused', [
    ['another expectation', 'Expect: 200-maybe\r\nContent-Length: 5\r\n', 'hello'],
    ['two expectations', 'Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n', 'hello'],
    [
      'an expectation and both framings',
      'Expect: 100-continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n',
      '0\r\n\r\n',
    ],
    ['an expectation and two lengths', 'Expect: 100-continue\r\nContent-Length: 5\r\nContent-Length: 0\r\n', 'hello'],
  ]),
  ...posts(
    'two',
    [['an expectation without waiting for it', 'Expect: 100-continue\r\nContent-Length: 5\r\n', 'hello']],
    'hello',
  ),
  ...posts('two', [['an expectation in odd case', 'Expect: 100-Continue\r\nContent-Length: 5\r\n', 'hello']], 'hello'),
];

const hidden: Payload[] = [
  ...heads('two', [
    [
      'a request in the body of GET',
      'GET {p} HTTP/1.1\r\n{h}Content-Length: {n}\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {a}\r\n\r\n',
    ],
    [
      'a request in the body of DELETE',
      'DELETE {p} HTTP/1.1\r\n{h}Content-Length: {n}\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {a}\r\n\r\n',
    ],
    [
      'a request in the body of OPTIONS',
      'OPTIONS {p} HTTP/1.1\r\n{h}Content-Length: {n}\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {a}\r\n\r\n',
    ],
    [
      'a request in the body of PATCH',
      'PATCH {p} HTTP/1.1\r\n{h}Content-Length: {n}\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {a}\r\n\r\n',
    ],
  ]).map((payload) => ({ ...payload, body: 'GET /hidden HTTP/1.1\r\nHost: {a}\r\n\r\n' })),
  ...heads('two', [
    ['a chunked body of GET', `GET {p} HTTP/1.1\r\n{h}Transfer-Encoding: chunked\r\n\r\n${hello}`],
    ['a chunked body of DELETE', `DELETE {p} HTTP/1.1\r\n{h}Transfer-Encoding: chunked\r\n\r\n${hello}`],
    ['a chunked body of OPTIONS', `OPTIONS {p} HTTP/1.1\r\n{h}Transfer-Encoding: chunked\r\n\r\n${hello}`],
  ]).map((payload) => ({ ...payload, body: 'hello' })),
  ...heads('one', [
    // The marker completes the body: 5 bytes and the whole of it.
    ['a length that covers the marker', 'POST {p} HTTP/1.1\r\n{h}Content-Length: {n+m}\r\n\r\nhello'],
    ['a length of GET that covers the marker', 'GET {p} HTTP/1.1\r\n{h}Content-Length: {n+m}\r\n\r\nhello'],
  ]),
  ...heads('cut', [
    ['a length that is never reached', 'POST {p} HTTP/1.1\r\n{h}Content-Length: 999999\r\n\r\nhello'],
    ['a chunk that is never filled', 'POST {p} HTTP/1.1\r\n{h}Transfer-Encoding: chunked\r\n\r\nfffff\r\nhello'],
  ]),
  ...heads('two', [
    [
      'a change to h2c',
      'GET {p} HTTP/1.1\r\n{h}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
    ],
    ['a change to TLS/1.0', 'GET {p} HTTP/1.1\r\n{h}Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n'],
    [
      'a change to h2c with a body',
      'POST {p} HTTP/1.1\r\n{h}Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello',
    ],
  ]),
  ...heads('refused', [
    [
      'a change to WebSocket with a body',
      'GET {p} HTTP/1.1\r\n{h}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 5\r\n\r\nhello',
    ],
    [
      'a change to WebSocket by POST',
      'POST {p} HTTP/1.1\r\n{h}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ],
    [
      'a change to WebSocket without a key',
      'GET {p} HTTP/1.1\r\n{h}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n',
    ],
  ]),
];

export const desyncPayloads: readonly Payload[] = [
  ...contentLength,
  ...transferEncoding,
  ...both,
  ...names,
  ...lineEnds,
  ...firstLines,
  ...hosts,
  ...chunks,
  ...oldVersion,
  ...expectations,
  ...hidden,
];
