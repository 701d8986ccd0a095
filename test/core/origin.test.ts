import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AlterError } from '../../core/errors.ts';
import { formatAuthority, formatHostHeader, parseAuthority, parseHost, sameAuthority } from '../../core/origin.ts';

function findHost(text: string): ReturnType<typeof parseHost> | null {
  try {
    return parseHost(text);
  } catch (error) {
    expect(error).toBeInstanceOf(AlterError);
    expect((error as AlterError).code).toBe('request_malformed');
    return null;
  }
}

const longLabel = 'a'.repeat(63);
const accepted: readonly (readonly [text: string, host: string, kind: 'name' | 'ipv4' | 'ipv6'])[] = [
  ['api.example.com', 'api.example.com', 'name'],
  ['API.Example.COM', 'api.example.com', 'name'],
  ['api.example.com.', 'api.example.com', 'name'],
  ['API.EXAMPLE.COM.', 'api.example.com', 'name'],
  ['localhost', 'localhost', 'name'],
  ['a', 'a', 'name'],
  ['a.b', 'a.b', 'name'],
  ['0a.example', '0a.example', 'name'],
  ['1.example', '1.example', 'name'],
  ['127.0.0.1.example', '127.0.0.1.example', 'name'],
  ['0x7f.example', '0x7f.example', 'name'],
  ['1e3', '1e3', 'name'],
  ['0xg', '0xg', 'name'],
  ['1.2.3.4e0', '1.2.3.4e0', 'name'],
  ['a--b.example', 'a--b.example', 'name'],
  ['a-b.example', 'a-b.example', 'name'],
  [`${longLabel}.example`, `${longLabel}.example`, 'name'],
  [
    `${longLabel}.${longLabel}.${longLabel}.${'b'.repeat(61)}`,
    `${longLabel}.${longLabel}.${longLabel}.${'b'.repeat(61)}`,
    'name',
  ],
  [
    `${longLabel}.${longLabel}.${longLabel}.${'b'.repeat(61)}.`,
    `${longLabel}.${longLabel}.${longLabel}.${'b'.repeat(61)}`,
    'name',
  ],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example', 'name'],
  ['XN--BCHER-KVA.example', 'xn--bcher-kva.example', 'name'],
  ['xn--e1afmkfd.xn--p1ai', 'xn--e1afmkfd.xn--p1ai', 'name'],
  ['127.0.0.1', '127.0.0.1', 'ipv4'],
  ['0.0.0.0', '0.0.0.0', 'ipv4'],
  ['255.255.255.255', '255.255.255.255', 'ipv4'],
  ['8.8.8.8', '8.8.8.8', 'ipv4'],
  ['[::1]', '::1', 'ipv6'],
  ['[::]', '::', 'ipv6'],
  ['[0:0:0:0:0:0:0:1]', '::1', 'ipv6'],
  ['[0000:0000:0000:0000:0000:0000:0000:0001]', '::1', 'ipv6'],
  ['[2001:DB8::1]', '2001:db8::1', 'ipv6'],
  ['[::ffff:7f00:1]', '::ffff:7f00:1', 'ipv6'],
  ['[::ffff:127.0.0.1]', '::ffff:7f00:1', 'ipv6'],
  ['[::127.0.0.1]', '::7f00:1', 'ipv6'],
  ['[64:ff9b::169.254.169.254]', '64:ff9b::a9fe:a9fe', 'ipv6'],
];

const refused: readonly string[] = [
  // nothing, dots and empty labels
  ...['', '.', '..', '...', '.a', '.example.com', 'example..com', 'example.com..', 'a...b', ' ', '\t', '\n'],
  // white space and control characters, anywhere
  ...[
    ' example.com',
    'example.com ',
    'exa mple.com',
    'example.com\t',
    'example.com\n',
    'example.com\r\n',
    '\rexample.com',
  ],
  ...['example.com\0', 'example\0.com', 'example.com\x7f', 'exam\x0bple.com', 'exam\x0cple.com', 'example.com\x85'],
  ...[
    'example.com\r\nX-Injected: 1',
    'example.com\u00a0',
    '\ufeffexample.com',
    'example.com\u2028',
    'exa\u200bmple.com',
  ],
  // percent-encoding
  ...['%65xample.com', 'example%2ecom', 'example%2Ecom', 'example.com%00', 'example.com%2f', 'example.com%20', '%'],
  ...['%31%32%37.0.0.1', 'example%252ecom', '127.0.0.1%2e', 'example.com%0d%0a'],
  // user info, path, query, fragment, port, scheme
  ...['user@example.com', 'user:pw@example.com', '@example.com', 'example.com@', 'example.com@evil.test', 'a@b@c'],
  ...['example.com/', 'example.com/path', 'example.com?', 'example.com?x', 'example.com#', 'example.com#@evil.test'],
  ...[
    'example.com:443',
    'example.com:',
    ':443',
    'https://example.com',
    '//example.com',
    'https:example.com',
    '/example.com',
  ],
  ...['example.com\\', '\\\\example.com', 'example.com\\@evil.test', 'example.com;evil.test', 'example.com,evil.test'],
  ...[
    'example.com, evil.test',
    'example.com evil.test',
    'example.com&x',
    'example.com=x',
    "example.com'",
    'example.com"',
  ],
  // characters that are no letter, digit or hyphen
  ...[
    '_example.com',
    'ex_ample.com',
    'example_.com',
    '_dmarc.example.com',
    '*.example.com',
    '*',
    '**',
    'a.*.com',
    'ex*mple.com',
  ],
  ...['exam!ple.com', 'exam$ple.com', 'exam(ple).com', 'exam+ple.com', 'exam~ple.com', 'exam`ple.com', 'exam|ple.com'],
  ...['exam^ple.com', 'exam<ple>.com', '{example}.com', '$[example].com', 'exam,ple.com', '<script>', "a'--"],
  // hyphens at an end of a label, lengths
  ...['-example.com', 'example-.com', 'example.-com', 'example.com-', '-', '--', 'a.-', 'a.-.b'],
  ...[
    `${longLabel}a.example`,
    `a.${longLabel}a`,
    `${`${longLabel}.`.repeat(3)}${'b'.repeat(62)}`,
    `${'a.'.repeat(127)}ab`,
  ],
  ...[`${'a'.repeat(254)}`, `${'a.'.repeat(5_000)}a`],
  // letters and digits that Unicode folds to ASCII
  ...['\u212aube.example', 'e\u017fxample.com', 'ＥＸＡＭＰＬＥ.com', 'example。com', 'example．com', 'example｡com'],
  ...['①②⑦.0.0.1', '１２７.0.0.1', '127。0。0。1', '٠.0.0.0', 'ｅxample.com', 'exampℓe.com', 'ﬀ.example', '℀.example'],
  ...[
    'bücher.example',
    'пример.рф',
    '例え.jp',
    'ß.example',
    'faß.de',
    'a\u00ad.example',
    'a\u0301.example',
    'ı.example',
    'İ.example',
  ],
  ...['еxample.com', '☃.net', '💩.la', 'a\u200d.example', '\u202eexample.com', '\ud800.example', 'example.\udfff'],
  // labels that claim to be A-labels
  ...['xn--', 'xn--.example', 'xn--a.example', 'xn--a-.example', 'xn--example-.com', 'xn---.example', 'xn--0.example'],
  ...[
    'xn--zzzzzzzzzzzzzzzzzz.example',
    'xn--bcher-kv.a-',
    'xn--ab-\u00e9.com',
    'xn--xn--bcher-kva-.example',
    'xn--\u0131.com',
  ],
  // IPv4 in numbers of other kinds
  ...[
    '127.1',
    '127.0.1',
    '0',
    '1',
    '2130706433',
    '4294967295',
    '4294967296',
    '0x7f000001',
    '0x7f.1',
    '0x7f.0.0.1',
    '0X7F.0.0.1',
  ],
  ...[
    '0177.0.0.1',
    '0177.0.0.01',
    '017700000001',
    '127.0.0.01',
    '127.0.0.001',
    '127.0.0.1.',
    '127.0.0.1..',
    '127.0.0.0x1',
  ],
  ...[
    '256.0.0.1',
    '1.2.3.256',
    '1.2.3',
    '1.2',
    '1.2.3.4.5',
    '999.999.999.999',
    '0x',
    '0x.0x',
    '1.0x',
    '00.0.0.0',
    '0.0.0.0.',
  ],
  ...[
    'example.0',
    'example.1',
    'example.0x1',
    'example.0x',
    'example.09',
    'a.b.127',
    '1.2.3.-4',
    '+1.2.3.4',
    '1,2,3,4',
  ],
  // IPv6 without brackets, half of them, zones, and what is in no address
  ...[
    '::1',
    '::',
    '2001:db8::1',
    'fe80::1',
    '[::1',
    '::1]',
    '[]',
    '[',
    ']',
    '[[::1]]',
    '[::1]]',
    '[::1].',
    '[::1]x',
    'x[::1]',
  ],
  ...[
    '[fe80::1%25eth0]',
    '[fe80::1%eth0]',
    '[fe80::1%]',
    '[::1%25]',
    '[::1]:443',
    '[127.0.0.1]',
    '[example.com]',
    '[v1.a]',
  ],
  ...[
    '[:::1]',
    '[::1::]',
    '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]',
    '[::12345]',
    '[::g]',
    '[::256.0.0.1]',
    '[::1.2.3]',
  ],
  ...[
    '[::1 ]',
    '[ ::1]',
    '[::1\n]',
    '[::1/128]',
    '[::ffff:127.1]',
    '[::ffff:0177.0.0.1]',
    '[::0x1]',
    '[::１]',
    '[::%31]',
  ],
];

describe('the host corpus', () => {
  it('is as large as it claims and names nothing twice', () => {
    expect(refused.length + accepted.length).toBeGreaterThanOrEqual(150);
    expect(new Set(refused).size).toBe(refused.length);
  });

  it.each(accepted)('%j is read as %s (%s)', (text, host, kind) => {
    expect(parseHost(text)).toEqual({ host, kind });
  });

  it.each(refused.map((text) => [text]))('%j is refused', (text) => {
    expect(findHost(text)).toBeNull();
  });

  it('is refused in a Host header and a CONNECT target as well', () => {
    for (const text of refused) {
      expect(() => parseAuthority(`${text}:443`, 'https', null)).toThrow(AlterError);
    }
  });
});

describe('the properties of a host', () => {
  const runs = Number(process.env.FC_RUNS ?? 3_000);
  const piece = fc.oneof(
    fc.constantFrom(...accepted.map(([text]) => text), ...refused),
    fc.constantFrom(
      'a',
      'A',
      '0',
      '9',
      '-',
      '.',
      '_',
      '%2e',
      'xn--',
      'ß',
      '。',
      '\u212a',
      '[',
      ']',
      ':',
      '@',
      '0x',
      '\0',
      ' ',
    ),
    fc.string({ unit: 'binary', maxLength: 6 }),
    fc.stringMatching(/^[a-z0-9.-]{0,12}$/),
  );
  const anyText = fc.oneof(
    fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('')),
    fc.domain(),
    fc.ipV4(),
    fc.ipV4Extended(),
    fc.ipV6().map((address) => `[${address}]`),
    fc.string({ unit: 'binary' }),
  );

  it('an accepted text re-parses to itself, is lower-case ASCII, and is what WHATWG URL reads', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const parsed = findHost(text);
        if (parsed === null) return;
        const { host, kind } = parsed;
        const written = kind === 'ipv6' ? `[${host}]` : host;
        expect(parseHost(written)).toEqual(parsed);
        expect(host).toMatch(/^[0-9a-z.:-]{1,253}$/);
        const url = new URL(`https://${text}/`);
        expect(url.hostname.replace(/\.$/, '')).toBe(written);
        expect(new URL(`https://${written}/`).hostname).toBe(written);
      }),
      { numRuns: runs },
    );
  });

  it('a name or an IPv4 address has no second spelling but letter case and, for a name, one trailing dot', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const parsed = findHost(text);
        if (parsed === null || parsed.kind === 'ipv6') return;
        const lowered = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
        const spellings = parsed.kind === 'name' ? [parsed.host, `${parsed.host}.`] : [parsed.host];
        expect(spellings).toContain(lowered);
      }),
      { numRuns: runs },
    );
  });

  it('what WHATWG URL reads as another host than the text says is refused', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const url = URL.parse(`https://${text}/`);
        const lowered = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/\.$/, '');
        if (text.startsWith('[') || (url !== null && url.hostname.replace(/\.$/, '') === lowered)) return;
        expect(findHost(text)).toBeNull();
      }),
      { numRuns: runs },
    );
  });
});

describe('an authority', () => {
  it.each([
    ['api.example.com', { host: 'api.example.com', port: 443 }],
    ['api.example.com:443', { host: 'api.example.com', port: 443 }],
    ['API.example.com.:8443', { host: 'api.example.com', port: 8443 }],
    ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }],
    ['[::1]', { host: '::1', port: 443 }],
    ['[::1]:65535', { host: '::1', port: 65_535 }],
  ])('%s is read', (text, expected) => {
    expect(parseAuthority(text, 'https', 443)).toMatchObject({ scheme: 'https', ...expected });
  });

  it.each([
    ...[
      '',
      ':',
      ':443',
      'a:',
      'a:0',
      'a:00',
      'a:0443',
      'a:443 ',
      'a: 443',
      'a:+443',
      'a:-1',
      'a:65536',
      'a:99999',
      'a:100000',
    ],
    ...[
      'a:443:443',
      'a:443.0',
      'a:4e2',
      'a:0x1bb',
      'a:443/',
      'a:443?',
      'a:443#',
      'u@a:443',
      'u:p@a:443',
      'a:u@b',
      '[::1]:',
      '[::1]443',
    ],
    ...[
      '[::1]:0',
      '[::1]::443',
      '::1:443',
      '[::1',
      'a:４４３',
      'a:443\n',
      'a:443,b:443',
      'a:443\0',
      'https://a:443',
      'a]:443',
      '[a:443',
    ],
  ])('%j is refused', (text) => {
    expect(() => parseAuthority(text, 'https', 443)).toThrow(expect.objectContaining({ code: 'request_malformed' }));
  });

  it('needs its port where there is no default', () => {
    expect(() => parseAuthority('a.example', 'https', null)).toThrow(AlterError);
    expect(parseAuthority('a.example:443', 'https', null).port).toBe(443);
  });

  it('is written as it is read, and without the default port in a Host header', () => {
    for (const text of ['a.example:443', '127.0.0.1:8080', '[::1]:443'])
      expect(formatAuthority(parseAuthority(text, 'https', null))).toBe(text);
    expect(formatHostHeader(parseAuthority('a.example:443', 'https', null))).toBe('a.example');
    expect(formatHostHeader(parseAuthority('a.example:443', 'http', null))).toBe('a.example:443');
    expect(formatHostHeader(parseAuthority('[::1]:80', 'http', null))).toBe('[::1]');
    expect(formatHostHeader(parseAuthority('a.example:80', 'https', null))).toBe('a.example:80');
  });

  it('is the same for two spellings of one host, and another for another port', () => {
    const a = parseAuthority('A.example.', 'https', 443);
    expect(sameAuthority(a, parseAuthority('a.example:443', 'https', null))).toBe(true);
    expect(sameAuthority(a, parseAuthority('a.example:444', 'https', null))).toBe(false);
    expect(sameAuthority(a, parseAuthority('b.example:443', 'https', null))).toBe(false);
  });

  it('never shows in a refusal what was sent', () => {
    expect(() => parseAuthority('sk_live_secret@a', 'https', 443)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('sk_live') }),
    );
  });
});
