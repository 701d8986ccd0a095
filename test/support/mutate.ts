/** A generator with a seed, so that a failing run can be had again (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 up to, and without, `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** Pieces that parsers stumble over. */
const odd = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  '\r\n\r\n',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '%',
  '%00',
  '%2e',
  '\\',
  '//',
  '..',
  '@',
  '#',
  '?',
  '[',
  ']',
  '{',
  '}',
  '\x7f',
  '\xff',
  '\xc0\xaf',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 0\r\n',
  'Content-Length: 99999999999999999999\r\n',
  'Connection: close, host\r\n',
  'Host: x\r\n',
  'Expect: 100-continue\r\n',
  'Upgrade: websocket\r\n',
  'X-Alter-Grant: x\r\n',
  'Proxy-Authorization: Basic ====\r\n',
  '0\r\n\r\n',
  'ffffffff\r\n',
  'HTTP/1.0',
  'HTTP/9.9',
  'CONNECT',
  'GET',
  '-1',
  '0x10',
  '__proto__',
  'A'.repeat(300),
];

/** One to four random edits: bytes flipped, cut, repeated, moved, or odd pieces put in. */
export function mutate(original: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(original);
  for (let edits = 1 + random.below(4); edits > 0; edits--) {
    const at = random.below(bytes.length + 1);
    const length = random.below(Math.min(64, bytes.length - at) + 1);
    const before = bytes.subarray(0, at);
    const behind = bytes.subarray(at);
    switch (random.below(6)) {
      case 0:
        bytes = Buffer.concat([before, Buffer.from([random.below(256)]), behind.subarray(1)]);
        break;
      case 1:
        bytes = Buffer.concat([before, behind.subarray(length)]);
        break;
      case 2:
        bytes = Buffer.concat([before, behind.subarray(0, length), behind]);
        break;
      case 3:
        bytes = Buffer.concat([before, Buffer.from(random.pick(odd), 'latin1'), behind]);
        break;
      case 4:
        bytes = Buffer.from(before.length === 0 ? behind : before);
        break;
      default:
        bytes = Buffer.concat([before, Buffer.from(Array.from({ length }, () => random.below(256))), behind]);
    }
  }
  return bytes;
}
