import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toAlterError } from '../../core/errors.ts';
import { FirstLines } from '../../proxy/http/first-lines.ts';
import { findHeadEnd, HeadReader } from '../../proxy/http/message-head.ts';

/*
 * A reader that keeps the header lines of the head before must read every head as one that begins afresh does.
 */
const lines = [
  'Host: a.test',
  'Host: b.test',
  'HOST: a.test',
  'A:b',
  'A: \t b \t',
  'A: b\r\n c',
  'A : b',
  ': b',
  'A: \0',
  'A:',
  'no colon',
  `Long: ${'x'.repeat(5_000)}`,
];
const head = (starts: readonly string[]): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...starts), fc.array(fc.constantFrom(...lines), { maxLength: 3 }))
    .map(([start, chosen]) => `${[start, ...chosen].join('\r\n')}\r\n\r\n`);

function outcomeOf(read: (bytes: Buffer, from: number, end: number) => object, text: string): unknown {
  // In the middle of something else, as heads stand in what came in one piece.
  const bytes = Buffer.from(`before${text}GET behind`, 'latin1');
  try {
    return { ...read(bytes, 6, findHeadEnd(bytes, 6, 'request_malformed')), repeats: 'or not' };
  } catch (error) {
    return toAlterError(error).code;
  }
}

describe('a reader that keeps header lines', () => {
  it('reads requests as one that begins afresh', () => {
    const starts = [
      'GET / HTTP/1.1',
      'GET / HTTP/1.0',
      'POST /p HTTP/1.1',
      'GET  / HTTP/1.1',
      'GET /\t HTTP/1.1',
      'GET /',
    ];
    fc.assert(
      fc.property(fc.array(head(starts), { minLength: 2, maxLength: 6 }), (heads) => {
        const kept = new HeadReader('request_malformed');
        for (const text of heads) {
          const afresh = new HeadReader('request_malformed');
          expect(outcomeOf((...of) => kept.readRequest(...of), text)).toEqual(
            outcomeOf((...of) => afresh.readRequest(...of), text),
          );
        }
      }),
    );
  });

  it('reads answers as one that begins afresh', () => {
    const starts = [
      'HTTP/1.1 200 OK',
      'HTTP/1.0 204',
      'HTTP/1.1 200',
      'HTTP/1.1 2000',
      'HTTP/1.1 1e2 OK',
      'HTTP/1.1 200 \0',
    ];
    fc.assert(
      fc.property(fc.array(head(starts), { minLength: 2, maxLength: 6 }), (heads) => {
        const kept = new HeadReader('upstream_protocol');
        for (const text of heads) {
          const afresh = new HeadReader('upstream_protocol');
          expect(outcomeOf((...of) => kept.readResponse(...of), text)).toEqual(
            outcomeOf((...of) => afresh.readResponse(...of), text),
          );
        }
      }),
    );
  });

  it('reads requests as one that begins afresh, where it knows with which lines other connections began', () => {
    const starts = ['GET / HTTP/1.1', 'POST /p HTTP/1.0', 'GET /\t HTTP/1.1'];
    fc.assert(
      fc.property(fc.array(head(starts), { minLength: 2, maxLength: 8 }), (heads) => {
        const firstLines = new FirstLines();
        for (const text of heads) {
          const knowing = new HeadReader('request_malformed', firstLines);
          const afresh = new HeadReader('request_malformed');
          for (let i = 0; i < 2; i++)
            expect(outcomeOf((...of) => knowing.readRequest(...of), text)).toEqual(
              outcomeOf((...of) => afresh.readRequest(...of), text),
            );
        }
      }),
    );
  });

  it('knows the first lines of other connections, and of those only what some connection began with lately', () => {
    const firstLines = new FirstLines();
    const text = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
    const read = (lines = text) => {
      const reader = new HeadReader('request_malformed', firstLines);
      return reader.readRequest(Buffer.from(lines, 'latin1'), 0, lines.length);
    };
    const first = read();
    expect([first.repeats, read().repeats]).toEqual([false, true]);
    expect(read().rawHeaders).toBe(first.rawHeaders);
    firstLines.sweep(6_000);
    expect(read().rawHeaders).toBe(first.rawHeaders);
    firstLines.sweep(12_000);
    firstLines.sweep(12_500); // too early to count
    expect(read().rawHeaders).toBe(first.rawHeaders);
    firstLines.sweep(18_000);
    firstLines.sweep(24_000);
    expect(read().repeats).toBe(false);
    for (let i = 0; i < 1_000; i++) read(`GET / HTTP/1.1\r\nHost: ${i}.test\r\n\r\n`);
    expect(read().repeats).toBe(false);
    const long = `GET / HTTP/1.1\r\nLong: ${'x'.repeat(5_000)}\r\n\r\n`;
    read(long);
    expect(read(long).repeats).toBe(false);
  });

  it('says that lines repeat only where every byte does', () => {
    const reader = new HeadReader('request_malformed');
    const read = (text: string) => reader.readRequest(Buffer.from(text, 'latin1'), 0, text.length);
    const first = read('GET /1 HTTP/1.1\r\nHost: a.test\r\nA: b\r\n\r\n');
    const same = read('POST /2 HTTP/1.1\r\nHost: a.test\r\nA: b\r\n\r\n');
    const other = read('GET /3 HTTP/1.1\r\nHost: a.test\r\nA: B\r\n\r\n');
    expect([first.repeats, same.repeats, other.repeats]).toEqual([false, true, false]);
    expect(same.rawHeaders).toBe(first.rawHeaders);
    expect(same).toMatchObject({ method: 'POST', url: '/2' });
    expect(other.rawHeaders).toEqual(['Host', 'a.test', 'A', 'B']);
  });

  it('does not take a head without header lines for one whose lines were too long to keep', () => {
    const reader = new HeadReader('request_malformed');
    const read = (text: string) => reader.readRequest(Buffer.from(text, 'latin1'), 0, text.length);
    read(`GET / HTTP/1.1\r\nLong: ${'x'.repeat(5_000)}\r\n\r\n`);
    expect(read('GET / HTTP/1.1\r\n\r\n').rawHeaders).toEqual([]);
  });
});
