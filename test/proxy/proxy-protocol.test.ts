import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readProxyHeader } from '../../proxy/connection/proxy-protocol.ts';

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

function version2(of: { command?: number; family?: number; rest: Buffer; length?: number }): Buffer {
  const fixed = Buffer.from([of.command ?? 0x21, of.family ?? 0x11, 0, 0]);
  fixed.writeUInt16BE(of.length ?? of.rest.length, 2);
  return Buffer.concat([signature, fixed, of.rest]);
}

const ipv4 = Buffer.from([192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x0c, 0x38]);
const ipv6 = Buffer.concat([
  Buffer.from('20010db8000000000000000000000007', 'hex'),
  Buffer.from('20010db8000000000000000000000001', 'hex'),
  Buffer.from([0x12, 0x34, 0x0c, 0x38]),
]);

describe('a PROXY protocol header', () => {
  it.each<[string, Buffer, string | null]>([
    ['TCP4', Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 4660 3128\r\n'), '192.0.2.7'],
    ['TCP6', Buffer.from('PROXY TCP6 2001:db8::7 ::1 65535 0\r\n'), '2001:db8::7'],
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), null],
    ['UNKNOWN with whatever', Buffer.from('PROXY UNKNOWN ffff:f...f whatever 1\r\n'), null],
    ['version 2 over IPv4', version2({ rest: ipv4 }), '192.0.2.7'],
    ['version 2 over IPv6', version2({ family: 0x21, rest: ipv6 }), '2001:db8:0:0:0:0:0:7'],
    [
      'version 2 with extensions',
      version2({ rest: Buffer.concat([ipv4, Buffer.from([4, 0, 2, 0, 0, 0xea, 0, 0])]) }),
      '192.0.2.7',
    ],
    ['version 2 LOCAL', version2({ command: 0x20, family: 0, rest: Buffer.alloc(0) }), null],
    ['version 2 LOCAL with addresses that mean nothing', version2({ command: 0x20, rest: ipv4 }), null],
    ['version 2 without a family', version2({ family: 0, rest: Buffer.from('anything') }), null],
  ])('of the form %s is read, to its last byte and not beyond', (_, header, source) => {
    const read = { kind: 'read', source, bytes: header.length };
    expect(readProxyHeader(header)).toEqual(read);
    expect(readProxyHeader(Buffer.concat([header, Buffer.from('CONNECT a:443')]))).toEqual(read);
    for (let bytes = 0; bytes < header.length; bytes++)
      expect(readProxyHeader(header.subarray(0, bytes))).toEqual({ kind: 'incomplete' });
  });

  it.each<[string, Buffer]>([
    ...[
      'CONNECT a:443 HTTP/1.1\r\n\r\n',
      'proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n',
      'PROXY\r\n',
      'PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n',
      'PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n',
      'PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n',
      'PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n',
      'PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n',
      'PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n',
      'PROXY TCP4 192.0.2.7 10.0.0.1 -1 2\r\n',
      'PROXY TCP4 192.0.2.07 10.0.0.1 1 2\r\n',
      'PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n',
      'PROXY TCP4 ::1 ::1 1 2\r\n',
      'PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n',
      'PROXY TCP6 fe80::1%lo ::1 1 2\r\n',
      'PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n',
      'PROXY UNKNOWNS\r\n',
      'PROXY TCP4 192.0.2.7\t10.0.0.1 1 2\r\n',
      'PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n\r\n',
      `PROXY UNKNOWN ${'x'.repeat(120)}\r\n`,
      'x',
      '\r\n\r\n\0\r\nQUIX',
    ].map((text): [string, Buffer] => [JSON.stringify(text), Buffer.from(text, 'latin1')]),
    ['version 1 in version 2', version2({ command: 0x11, rest: ipv4 })],
    ['an unknown command', version2({ command: 0x22, rest: ipv4 })],
    ['UDP', version2({ family: 0x12, rest: ipv4 })],
    ['a Unix socket', version2({ family: 0x31, rest: Buffer.alloc(216) })],
    ['an unknown family', version2({ family: 0x41, rest: ipv4 })],
    ['addresses that are too short', version2({ rest: ipv4.subarray(1) })],
    ['IPv6 with addresses of IPv4', version2({ family: 0x21, rest: ipv4 })],
    ['an extension that is cut off', version2({ rest: Buffer.concat([ipv4, Buffer.from([4, 0, 9, 1])]) })],
    ['half an extension', version2({ rest: Buffer.concat([ipv4, Buffer.from([4])]) })],
    ['a length beyond reason', version2({ rest: ipv4, length: 65_535 })],
  ])('is refused: %s', (_, bytes) => {
    expect(readProxyHeader(bytes)).toEqual({ kind: 'malformed' });
  });

  it('is never waited for beyond its largest size', () => {
    for (const start of ['PROXY TCP4 ', 'PROXY UNKNOWN ']) {
      expect(readProxyHeader(Buffer.from(start.padEnd(106, 'x'))).kind).toBe('incomplete');
      expect(readProxyHeader(Buffer.from(start.padEnd(107, 'x'))).kind).toBe('malformed');
    }
  });

  it('is read or refused whatever the bytes, and says the same however they are cut', () => {
    const headers = [
      Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 4660 3128\r\n'),
      version2({ rest: ipv4 }),
      version2({ family: 0x21, rest: ipv6 }),
    ];
    const mutated = fc
      .tuple(fc.constantFrom(...headers), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 3 }))
      .map(([header, changes]) => {
        const bytes = Buffer.from(header);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return bytes;
      });
    const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(mutated, random), fc.nat(200), (bytes, cut) => {
        const whole = readProxyHeader(bytes);
        const part = readProxyHeader(bytes.subarray(0, cut));
        if (part.kind !== 'incomplete') expect(whole).toEqual(part);
        if (whole.kind === 'read') expect(whole.bytes).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 5_000 },
    );
  });
});
