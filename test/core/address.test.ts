import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AddressSet, findAddressRange, findForbiddenRange, unmapIpv4 } from '../../core/address.ts';

/** CIDR, and whether the addresses just below and just above it are ordinary (null: there is none). */
const ranges: readonly (readonly [cidr: string, below: boolean | null, above: boolean | null])[] = [
  ['0.0.0.0/8', null, true],
  ['10.0.0.0/8', true, true],
  ['100.64.0.0/10', true, true],
  ['127.0.0.0/8', true, true],
  ['169.254.0.0/16', true, true],
  ['172.16.0.0/12', true, true],
  ['192.0.0.0/24', true, true],
  ['192.0.2.0/24', true, true],
  ['192.88.99.0/24', true, true],
  ['192.168.0.0/16', true, true],
  ['198.18.0.0/15', true, true],
  ['198.51.100.0/24', true, true],
  ['203.0.113.0/24', true, true],
  ['224.0.0.0/4', true, false],
  ['240.0.0.0/4', false, null],
  ['255.255.255.255/32', false, null],
  ['::/128', null, false],
  ['::1/128', false, false],
  ['::/96', null, true],
  ['::ffff:0:0:0/96', true, true],
  ['64:ff9b::/96', true, true],
  ['64:ff9b:1::/48', true, true],
  ['100::/64', true, true],
  ['2001::/32', true, false],
  ['2001::/23', true, true],
  ['2001:db8::/32', true, true],
  ['2002::/16', true, true],
  ['3fff::/20', true, true],
  ['5f00::/16', true, true],
  ['fc00::/7', true, true],
  ['fe80::/10', true, false],
  ['fec0::/10', false, false],
  ['ff00::/8', false, null],
];

function toNumber(address: string): bigint {
  if (!address.includes(':')) return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return groups.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

function toAddress(number: bigint, bits: 32 | 128): string {
  const size = bits === 32 ? 8n : 16n;
  const parts: string[] = [];
  for (let shift = BigInt(bits) - size; shift >= 0n; shift -= size) {
    const part = (number >> shift) & ((1n << size) - 1n);
    parts.push(bits === 32 ? part.toString() : part.toString(16));
  }
  return parts.join(bits === 32 ? '.' : ':');
}

describe('the forbidden addresses', () => {
  it.each(ranges)('%s is forbidden from its first to its last address', (cidr, below, above) => {
    const [address = '', prefix] = cidr.split('/');
    const bits = address.includes(':') ? 128 : 32;
    const first = toNumber(address);
    const last = first + (1n << BigInt(bits - Number(prefix))) - 1n;
    const middle = (first + last) / 2n;
    for (const inside of [first, middle, last])
      expect([toAddress(inside, bits), findForbiddenRange(toAddress(inside, bits))]).toEqual([
        toAddress(inside, bits),
        expect.any(String),
      ]);
    if (below !== null) expect(findForbiddenRange(toAddress(first - 1n, bits)) === null).toBe(below);
    if (above !== null) expect(findForbiddenRange(toAddress(last + 1n, bits)) === null).toBe(above);
  });

  it.each([
    ...[
      '8.8.8.8',
      '1.1.1.1',
      '100.63.255.254',
      '100.128.0.1',
      '11.0.0.0',
      '172.32.0.1',
      '192.0.1.1',
      '223.255.255.255',
    ],
    ...['2606:4700:4700::1111', '2a00::1', '2001:4860:4860::8888', '2620:fe::fe', '::ffff:8.8.8.8', '::ffff:808:808'],
  ])('%s may be dialled', (address) => {
    expect(findForbiddenRange(address)).toBeNull();
  });

  it.each([
    // IPv4-mapped, in every way of writing it
    ...[
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '::FFFF:7F00:0001',
      '0:0:0:0:0:ffff:127.0.0.1',
      '0000::ffff:7f00:1',
      '::ffff:a9fe:a9fe',
    ],
    ...['::ffff:10.0.0.1', '::ffff:192.168.1.1', '::ffff:0.0.0.0', '::ffff:169.254.169.254', '::ffff:255.255.255.255'],
    // IPv4-compatible, IPv4-translated, NAT64, 6to4, Teredo: refused whatever they carry
    ...[
      '::127.0.0.1',
      '::7f00:1',
      '::8.8.8.8',
      '::ffff:0:127.0.0.1',
      '::ffff:0:8.8.8.8',
      '64:ff9b::127.0.0.1',
      '64:ff9b::a9fe:a9fe',
    ],
    ...[
      '64:ff9b::8.8.8.8',
      '64:ff9b:1::a00:1',
      '64:ff9b:1:ffff::1',
      '2002:7f00:1::',
      '2002:a9fe:a9fe::',
      '2002:808:808::1',
    ],
    ...[
      '2001:0:4136:e378:8000:63bf:3fff:fdd2',
      '2001::1',
      'fd00:ec2::254',
      'fe80::1',
      'fec0::1',
      'ff02::1',
      '::',
      '::1',
    ],
    // not addresses at all
    ...[
      '',
      'localhost',
      '127.1',
      '0177.0.0.1',
      '2130706433',
      '0x7f000001',
      '127.0.0.1.',
      '1.2.3',
      '256.0.0.1',
      '[::1]',
      '::1%lo',
      'fe80::1%eth0',
    ],
    ...[
      '8.8.8.8%eth0',
      '8.8.8.8 ',
      ' 8.8.8.8',
      '8.8.8.8\0',
      '8.8.8.8:53',
      '8.8.8.8/32',
      '①.1.1.1',
      ':::1',
      '2001:db8::1::',
    ],
  ])('%j may not be dialled', (address) => {
    expect(findForbiddenRange(address)).not.toBeNull();
  });

  it('an IPv4 address and its mapped form get one answer', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const hex = toNumber(address).toString(16).padStart(8, '0');
        const forms = [`::ffff:${address}`, `::FFFF:${hex.slice(0, 4)}:${hex.slice(4)}`, `0:0:0:0:0:ffff:${address}`];
        for (const form of forms) {
          expect(unmapIpv4(form)).toBe(address);
          expect(findForbiddenRange(form)).toBe(findForbiddenRange(address));
        }
      }),
    );
  });

  it('are right for any address, compared with arithmetic', () => {
    const table = ranges.map(([cidr]) => {
      const [address = '', prefix] = cidr.split('/');
      const bits = address.includes(':') ? 128 : 32;
      return { bits, prefix: BigInt(bits - Number(prefix)), first: toNumber(address) };
    });
    const inTable = (number: bigint, bits: number): boolean =>
      table.some((range) => range.bits === bits && number >> range.prefix === range.first >> range.prefix);
    const near = fc
      .tuple(fc.constantFrom(...table), fc.bigInt({ min: -70_000n, max: 70_000n }), fc.boolean())
      .map(([range, offset, high]) => ({
        bits: range.bits as 32 | 128,
        number: range.first + (high ? (1n << range.prefix) - 1n : 0n) + offset,
      }))
      .filter(({ bits, number }) => number >= 0n && number < 1n << BigInt(bits));
    fc.assert(
      fc.property(near, ({ bits, number }) => {
        const mapped = bits === 128 && number >> 32n === 0xffffn;
        const expected = mapped ? inTable(number & 0xffffffffn, 32) : inTable(number, bits);
        expect(findForbiddenRange(toAddress(number, bits)) !== null).toBe(expected);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('an address range', () => {
  it.each([
    ['10.0.0.0/8', { address: '10.0.0.0', prefix: 8, family: 'ipv4', port: null }],
    ['10.1.2.3/8', { address: '10.1.2.3', prefix: 8, family: 'ipv4', port: null }],
    ['0.0.0.0/0', { address: '0.0.0.0', prefix: 0, family: 'ipv4', port: null }],
    ['127.0.0.1', { address: '127.0.0.1', prefix: 32, family: 'ipv4', port: null }],
    ['127.0.0.1:8443', { address: '127.0.0.1', prefix: 32, family: 'ipv4', port: 8443 }],
    ['10.0.0.0/8:443', { address: '10.0.0.0', prefix: 8, family: 'ipv4', port: 443 }],
    ['::1', { address: '::1', prefix: 128, family: 'ipv6', port: null }],
    ['::', { address: '::', prefix: 128, family: 'ipv6', port: null }],
    ['::/0', { address: '::', prefix: 0, family: 'ipv6', port: null }],
    ['::1:8443', { address: '::1:8443', prefix: 128, family: 'ipv6', port: null }],
    ['1:2:3:4:5:6:7:8', { address: '1:2:3:4:5:6:7:8', prefix: 128, family: 'ipv6', port: null }],
    ['fd00::/8', { address: 'fd00::', prefix: 8, family: 'ipv6', port: null }],
    ['fd00::/8:443', { address: 'fd00::', prefix: 8, family: 'ipv6', port: 443 }],
    ['[::1]', { address: '::1', prefix: 128, family: 'ipv6', port: null }],
    ['[::1]:8443', { address: '::1', prefix: 128, family: 'ipv6', port: 8443 }],
    ['[fd00::]/8:443', { address: 'fd00::', prefix: 8, family: 'ipv6', port: 443 }],
  ])('%s is read', (text, expected) => {
    expect(findAddressRange(text)).toEqual(expected);
  });

  it.each([
    ...[
      '',
      ' ',
      'localhost',
      'example.com/8',
      '10.0.0.0/33',
      '10.0.0.0/-1',
      '10.0.0.0/',
      '10.0.0.0/08',
      '10.0.0.0/8/8',
      '10.0.0.0/a',
      '10.0.0/8',
    ],
    ...[
      '010.0.0.0/8',
      '127.1',
      '127.0.0.1:0',
      '127.0.0.1:65536',
      '127.0.0.1:',
      '127.0.0.1:080',
      '127.0.0.1:80:80',
      '[127.0.0.1]:80',
    ],
    ...[
      '::1/129',
      '1::2:10000',
      '[::1',
      '::1]',
      '[]',
      '[::1]:',
      '[[::1]]',
      'fe80::1%eth0',
      '[fe80::1%eth0]:80',
      '::ffff:10.0.0.0/104',
      '::ffff:a00:0/104',
    ],
    ...['10.0.0.0/8,', '10.0.0.0 /8', '10.0.0.0/8 ', '10.0.0.0/8\n', '*', '10.*', '10.0.0.0-10.0.0.9', 'g::1'],
  ])('%j is not one', (text) => {
    expect(findAddressRange(text)).toBeNull();
  });

  it('never throws and never holds an address that it does not state', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f:./[\]]{0,20}$/)), (text) => {
        const range = findAddressRange(text);
        if (range !== null) expect(unmapIpv4(range.address)).not.toBeNull();
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('a set of addresses', () => {
  const set = (...texts: string[]): AddressSet => new AddressSet(texts.map((text) => findAddressRange(text)!));

  it('holds nothing when it is empty', () => {
    for (const address of ['0.0.0.0', '8.8.8.8', '::', '::1', '::ffff:8.8.8.8', ''])
      expect(set().has(address, 443)).toBe(false);
  });

  it.each([
    ['10.0.0.0/8', '10.0.0.0', 1, true],
    ['10.0.0.0/8', '10.255.255.255', undefined, true],
    ['10.0.0.0/8', '9.255.255.255', 443, false],
    ['10.0.0.0/8', '11.0.0.0', 443, false],
    ['10.9.9.9/8', '10.0.0.1', 443, true],
    ['10.0.0.0/8', '::ffff:10.0.0.1', 443, true],
    ['10.0.0.0/8', '::10.0.0.1', 443, false],
    ['127.0.0.1:8443', '127.0.0.1', 8443, true],
    ['127.0.0.1:8443', '127.0.0.1', 8444, false],
    ['127.0.0.1:8443', '127.0.0.1', undefined, false],
    ['127.0.0.1:8443', '::ffff:127.0.0.1', 8443, true],
    ['127.0.0.1:8443', '127.0.0.2', 8443, false],
    ['0.0.0.0/0', '203.0.113.1', 1, true],
    ['0.0.0.0/0', '::1', 1, false],
    ['::/0', '203.0.113.1', 1, false],
    ['::/0', 'fe80::1', 1, true],
    ['fc00::/7', 'fdff:ffff::1', 1, true],
    ['fc00::/7', 'fe00::1', 1, false],
    ['[::1]:8443', '::1', 8443, true],
    ['[::1]:8443', '0:0:0:0:0:0:0:1', 8443, true],
    ['[::1]:8443', '::1', 443, false],
    ['fe80::/10', 'fe80::1%eth0', 443, false],
    ['0.0.0.0/0', 'not an address', 443, false],
    ['0.0.0.0/0', '', 443, false],
  ] as const)('%s and %s port %s: %s', (range, address, port, expected) => {
    expect(set(range).has(address, port)).toBe(expected);
    expect(set('192.0.2.1', range, '2001:db8::1').has(address, port)).toBe(expected);
  });

  it('agrees with arithmetic for any prefix', () => {
    const bits = fc.constantFrom<32 | 128>(32, 128);
    const subject = bits.chain((size) =>
      fc.record({
        size: fc.constant(size),
        base: fc.bigInt({ min: 0n, max: (1n << BigInt(size)) - 1n }),
        flip: fc.integer({ min: 0, max: size - 1 }),
        prefix: fc.integer({ min: 0, max: size }),
      }),
    );
    fc.assert(
      fc.property(subject, ({ size, base, flip, prefix }) => {
        if (size === 128 && base >> 64n === 0n) return; // may be a mapped address
        const range = {
          address: toAddress(base, size),
          prefix,
          family: size === 32 ? ('ipv4' as const) : ('ipv6' as const),
          port: null,
        };
        const address = toAddress(base ^ (1n << BigInt(size - 1 - flip)), size);
        if (size === 128 && /^(?:0:){5}/.test(address)) return;
        expect(new AddressSet([range]).has(address)).toBe(flip >= prefix);
      }),
      { numRuns: 3_000 },
    );
  });
});
