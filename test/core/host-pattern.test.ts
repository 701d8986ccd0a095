import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatHostPattern, matchesHost, parseHostPattern, patternsThatAllow } from '../../core/host-pattern.ts';
import { type Origin, parseAuthority } from '../../core/origin.ts';

const matches: readonly (readonly [pattern: string, authority: string, expected: boolean])[] = [
  ['api.stripe.com', 'api.stripe.com', true],
  ['api.stripe.com', 'API.stripe.com.', true],
  ['API.Stripe.com', 'api.stripe.com', true],
  ['api.stripe.com:443', 'api.stripe.com', true],
  ['api.stripe.com', 'stripe.com', false],
  ['api.stripe.com', 'x.api.stripe.com', false],
  ['api.stripe.com', 'api.stripe.com.evil.test', false],
  ['api.stripe.com', 'apixstripe.com', false],
  ['api.stripe.com', 'xapi.stripe.com', false],
  ['api.stripe.com', 'api.stripe.co', false],
  ['api.stripe.com', 'api.stripe.com:8443', false],
  ['api.stripe.com', 'api.stripe.com:22', false],
  ['api.stripe.com', 'api.stripe.com:25', false],
  ['api.stripe.com', 'api.stripe.com:80', false],
  ['api.stripe.com:8443', 'api.stripe.com:8443', true],
  ['api.stripe.com:8443', 'api.stripe.com', false],
  ['*.example.com', 'a.example.com', true],
  ['*.example.com', 'A.EXAMPLE.com', true],
  ['*.example.com', 'a.b.example.com', true],
  ['*.example.com', 'a.b.c.d.e.example.com', true],
  ['*.example.com', 'a.example.com.', true],
  ['*.example.com', 'example.com', false],
  ['*.example.com', 'example.com.', false],
  ['*.example.com', 'aexample.com', false],
  ['*.example.com', 'a-example.com', false],
  ['*.example.com', 'a.example.com.evil.test', false],
  ['*.example.com', 'a.example.org', false],
  ['*.example.com', 'com', false],
  ['*.example.com', 'a.example.com:8443', false],
  ['*.example.com:8443', 'a.example.com:8443', true],
  ['*.example.com:8443', 'a.example.com', false],
  ['*.a.example.com', 'b.example.com', false],
  ['*.a.example.com', 'b.a.example.com', true],
  ['*.a.example.com', 'a.example.com', false],
  ['localhost', 'localhost', true],
  ['localhost', 'a.localhost', false],
  ['127.0.0.1', '127.0.0.1', true],
  ['127.0.0.1:8443', '127.0.0.1:8443', true],
  ['127.0.0.1', '127.0.0.2', false],
  ['127.0.0.1', '[::ffff:127.0.0.1]', false],
  ['127.0.0.1', 'a.127.0.0.1.example', false],
  ['[::1]', '[::1]', true],
  ['[::1]', '[0:0:0:0:0:0:0:1]', true],
  ['[0:0::1]:8443', '[::1]:8443', true],
  ['[::1]', '[::2]', false],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example', true],
  ['*.xn--bcher-kva.example', 'a.xn--bcher-kva.example', true],
];

const bad: readonly string[] = [
  ...[
    '',
    '*',
    '*.',
    '**',
    '*.*',
    '*.com',
    '*.localhost',
    '*:443',
    '*.:443',
    '*example.com',
    '*a.example.com',
    'a*.example.com',
  ],
  ...[
    'a.*.com',
    'a.*',
    '*.*.example.com',
    '**.example.com',
    '*.example.*',
    '?.example.com',
    '.example.com',
    'example..com',
  ],
  ...[
    'example.com.',
    '*.example.com.',
    'example.com.:443',
    'https://example.com',
    'example.com/',
    'example.com/path',
    'u@example.com',
  ],
  ...[
    'example.com:0',
    'example.com:65536',
    'example.com:',
    'example.com:443:443',
    'example.com:*',
    'exam ple.com',
    ' example.com',
  ],
  ...[
    'example.com ',
    'example_.com',
    'bücher.example',
    '例え.jp',
    '\u212aube.example',
    'example.com\n',
    'example.com,evil.test',
  ],
  ...[
    '127.1',
    '0x7f000001',
    '2130706433',
    '0177.0.0.1',
    '127.0.0.1.',
    '*.0.0.1',
    '*.127.0.0.1',
    '*.[::1]',
    '::1',
    '[::1',
    '[fe80::1%eth0]',
  ],
  ...['%65xample.com', 'a.b%2ecom', '10.0.0.0/8', 'xn--a.example', `${'a'.repeat(64)}.example`, 'a'.repeat(10_000)],
];

describe('an allowed host', () => {
  it.each(matches)('%s and %s: %s', (pattern, authority, expected) => {
    expect(matchesHost(parseHostPattern(pattern), parseAuthority(authority, 'https', 443))).toBe(expected);
  });

  it.each(bad.map((text) => [text]))('%j is refused when it is written', (text) => {
    expect(() => parseHostPattern(text)).toThrow(expect.objectContaining({ code: 'validation_failed' }));
  });

  it.each([
    ['API.Stripe.com:443', 'api.stripe.com'],
    ['*.Stripe.com', '*.stripe.com'],
    ['a.example:8443', 'a.example:8443'],
    ['a.example:4433', 'a.example:4433'],
    ['[0:0::1]:443', '[::1]'],
    ['[::1]:8443', '[::1]:8443'],
  ])('%s has the canonical spelling %s', (text, canonical) => {
    expect(formatHostPattern(parseHostPattern(text))).toBe(canonical);
    expect(formatHostPattern(parseHostPattern(canonical))).toBe(canonical);
  });

  it('is named in the message that refuses it, cut to a bounded length', () => {
    try {
      parseHostPattern(`*.${'x'.repeat(5_000)}`);
    } catch (error) {
      expect(String(error).length).toBeLessThan(400);
      expect(String(error)).toContain('*.xxx');
      return;
    }
    throw new Error('was accepted');
  });
});

describe('the index of patterns', () => {
  // A small alphabet, so that hosts and patterns often meet.
  const label = fc.constantFrom('a', 'b', 'com', 'x-y', 'xn--bcher-kva');
  const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
  const host = fc.oneof({ weight: 5, arbitrary: name }, fc.constantFrom('127.0.0.1', '[::1]', '1.2.3.4'));
  const port = fc.constantFrom('', ':443', ':8443');
  const origin = fc.tuple(host, port).map(([text, suffix]) => parseAuthority(text + suffix, 'https', 443));
  const pattern = fc
    .tuple(fc.boolean(), host, port)
    .filter(([wildcard, text]) => !wildcard || (text.includes('.') && /[a-z]$/.test(text)))
    .map(([wildcard, text, suffix]) => parseHostPattern((wildcard ? '*.' : '') + text + suffix));

  it('holds a pattern for an origin exactly when the pattern matches it', () => {
    let met = 0;
    fc.assert(
      fc.property(origin, pattern, (at: Origin, of) => {
        const expected = matchesHost(of, at);
        if (expected) met++;
        expect(patternsThatAllow(at).includes(formatHostPattern(of))).toBe(expected);
      }),
      { numRuns: 10_000 },
    );
    expect(met).toBeGreaterThan(50);
  });

  it('holds only canonical patterns that match, and no pattern twice', () => {
    fc.assert(
      fc.property(origin, (at) => {
        const patterns = patternsThatAllow(at);
        expect(new Set(patterns).size).toBe(patterns.length);
        for (const text of patterns) {
          expect(formatHostPattern(parseHostPattern(text))).toBe(text);
          expect(matchesHost(parseHostPattern(text), at)).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
