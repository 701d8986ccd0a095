import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { credentialTypes, isInjectable } from '../../core/credential.ts';
import {
  checkInjectionRule,
  checkInjectionRules,
  defaultInjection,
  type InjectionRule,
  isReservedHeader,
  maxInjectionRules,
  renderInjection,
} from '../../core/injection.ts';

const header = (name: string, format = '{token}'): InjectionRule => ({ target: 'header', name, format });
const query = (name: string, format = '{token}'): InjectionRule => ({ target: 'query', name, format });
const check = (rule: InjectionRule, fields: readonly string[] = ['token']) =>
  checkInjectionRule(rule, fields, 'rule').map((problem) => problem.field);

describe('an injection rule', () => {
  it.each([
    header('Authorization', 'Bearer {token}'),
    header('DD-API-KEY'),
    header('x-goog-api-key'),
    header('Cookie', 'session={token}'),
    header('X-Version', '2024-01-01'),
    header('Sec-WebSocket-Protocol', 'bearer.{token}'),
    header('X-Both', '{account}:{token}'),
    query('api_key'),
    query('key', 'prefix-{token}'),
    query('api%key&='),
  ])('$target $name: $format is accepted', (rule) => {
    expect(check(rule, ['token', 'account'])).toEqual([]);
  });

  it.each([
    ...[
      'Host',
      'HOST',
      'host',
      'Content-Length',
      'Transfer-Encoding',
      'Connection',
      'Keep-Alive',
      'TE',
      'Trailer',
      'Upgrade',
      'Expect',
    ],
    ...[
      'Proxy-Authorization',
      'Proxy-Connection',
      'proxy-anything',
      'X-Alter-Grant',
      'x-alter-anything',
      'Via',
      'Forwarded',
    ],
    ...['HTTP2-Settings', 'Sec-WebSocket-Key', 'Content-Type', 'Range'],
  ])('the header %s frames or routes a message and is refused', (name) => {
    expect(isReservedHeader(name)).toBe(true);
    expect(check(header(name))).toEqual(['rule.name']);
  });

  it.each([
    ...[
      '',
      ' ',
      'a b',
      'a:',
      ':authority',
      'a\r\n',
      'a\n',
      'a\0',
      'é',
      'X_Alter_Grant',
      'Content_Length',
      'proxy_authorization',
      'a(b)',
      'a/b',
      'a@b',
      'a[b]',
      'a{b}',
      'a"',
      'a'.repeat(129),
    ],
  ])('the header name %j is refused', (name) => {
    expect(check(header(name))).toEqual(['rule.name']);
  });

  it.each(['', ' ', 'a b', 'a\r\n', 'a\0', 'é', '\x7f', 'a'.repeat(129)])('the query name %j is refused', (name) => {
    expect(check(query(name))).toEqual(['rule.name']);
  });

  it.each([
    ...[
      '',
      ' {token}',
      '{token} ',
      '{token}\r\nX: y',
      '{token}\n',
      'é{token}',
      '{token}\0',
      '{token}\x7f',
      'x'.repeat(4_097),
    ],
    ...[
      '{nope}',
      '{}',
      '{TOKEN}',
      '{token',
      'token}',
      '{{token}}',
      '{to{token}ken}',
      '{__proto__}',
      '{constructor}',
      '{token}}',
    ],
  ])('the format %j is refused', (format) => {
    expect(check(header('X-Key', format))).toContain('rule.format');
  });

  it('is reported with every problem at once, under its place in the list', () => {
    const rules = [header('Host', '{nope}'), header('X-A'), header('x-a'), query('k'), query('k'), query('K')];
    expect(checkInjectionRules(rules, ['token'], 'injection_rules').map((problem) => problem.field)).toEqual([
      'injection_rules[0].name',
      'injection_rules[0].format',
      'injection_rules[2].name',
      'injection_rules[4].name',
    ]);
  });

  it('may have at most fifteen companions', () => {
    const rules = Array.from({ length: maxInjectionRules + 1 }, (_, index) => header(`X-${index}`));
    expect(checkInjectionRules(rules.slice(1), ['token'], 'rules')).toEqual([]);
    expect(checkInjectionRules(rules, ['token'], 'rules')).toHaveLength(1);
  });

  it.each(credentialTypes)('is there by default for %s, and is a good one', (type) => {
    const { header: name, format } = defaultInjection(type);
    expect(check(header(name, format))).toEqual([]);
  });
});

describe('an injected value', () => {
  it('holds each field in its place, and what looks like a placeholder in a value stays as it is', () => {
    expect(renderInjection(header('A', 'Bearer {token}'), { token: 'abc' })).toBe('Bearer abc');
    expect(renderInjection(header('A', '{a}-{token}-{a}'), { token: 't', a: '1' })).toBe('1-t-1');
    expect(renderInjection(header('A', '{a}{token}'), { token: 't', a: '{token}' })).toBe('{token}t');
    expect(renderInjection(header('A', 'x {token}'), { token: "$& $1 $' $$" })).toBe("x $& $1 $' $$");
    expect(renderInjection(header('A', '2024-01-01'), { token: 't' })).toBe('2024-01-01');
  });

  it.each([
    [{}, '{token}'],
    [{ token: 'a\r\nX: y' }, '{token}'],
    [{ token: '' }, '{token}'],
    [{ token: ' ' }, '{token}'],
    [{ token: 'é' }, 'Bearer {token}'],
    [{ token: 'a\0' }, '{token}'],
    [{ token: 't' }, '{toString}'],
    [{ token: 't' }, '{constructor}'],
    [{ token: 't' }, '{__proto__}'],
    [{ token: 't' }, '{token}\n'],
    [{ token: 't', empty: '' }, '{empty}'],
    [{ token: 't', empty: '' }, 'Bearer {empty}'],
  ])('is refused for the fields %j and the format %j, which only a damaged record has', (fields, format) => {
    expect(() => renderInjection(header('X-Key', format), fields as Record<string, string>)).toThrow(
      expect.objectContaining({ code: 'state_invalid' }),
    );
  });

  it('can always stand in a header, or is refused without being quoted', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 });
    fc.assert(
      fc.property(text, text, (token, around) => {
        let value: string;
        try {
          value = renderInjection(header('X-Key', `${around}{token}`), { token });
        } catch (error) {
          expect(error).toMatchObject({ code: 'state_invalid' });
          if (token.length > 5) expect(String(error)).not.toContain(token);
          return;
        }
        expect(isInjectable(value) && value !== '').toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
