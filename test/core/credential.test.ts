import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  credentialTypes,
  isFieldName,
  isInjectable,
  maxCredentialBytes,
  parseCredential,
} from '../../core/credential.ts';

const fieldsOf = (...args: Parameters<typeof parseCredential>) => {
  const { fields, problems } = parseCredential(...args);
  expect(problems).toEqual([]);
  return { ...fields };
};
const problemsOf = (...args: Parameters<typeof parseCredential>): string[] =>
  parseCredential(...args).problems.map((problem) => `${problem.field} ${problem.message}`);

describe('a credential', () => {
  it.each(['bearer_token', 'header_key'] as const)('of type %s is its primary value and named fields', (type) => {
    expect(fieldsOf(type, { value: 'sk_live_1' })).toEqual({ token: 'sk_live_1' });
    expect(fieldsOf(type, { fields: { credential_value: 'sk_live_1' } })).toEqual({ token: 'sk_live_1' });
    expect(fieldsOf(type, { value: 'k', fields: { account: 'a1' } })).toEqual({ token: 'k', account: 'a1' });
    expect(fieldsOf(type, { value: 'explicit', fields: { credential_value: 'other' } })).toEqual({ token: 'explicit' });
  });

  it('of type basic_auth is base64 of user:password, however it was given', () => {
    const token = Buffer.from('user:pa:ss').toString('base64');
    const expected = { username: 'user', password: 'pa:ss', token };
    expect(fieldsOf('basic_auth', { value: 'user:pa:ss' })).toEqual(expected);
    expect(fieldsOf('basic_auth', { fields: { username: 'user', password: 'pa:ss' } })).toEqual(expected);
    expect(fieldsOf('basic_auth', { fields: { credential_value: 'user:pa:ss' } })).toEqual(expected);
    expect(fieldsOf('basic_auth', { fields: { username: '', password: 'p' } }).token).toBe('OnA=');
    expect(fieldsOf('basic_auth', { fields: { username: 'u', password: '' } }).token).toBe('dTo=');
  });

  it('is refused with the name of what is missing', () => {
    expect(problemsOf('bearer_token', {})).toEqual(['credential_value is missing']);
    expect(problemsOf('bearer_token', { value: '' })).toEqual(['credential_value is empty']);
    expect(problemsOf('basic_auth', {})).toEqual([
      'credentials.username is missing',
      'credentials.password is missing',
    ]);
    expect(problemsOf('basic_auth', { fields: { username: 'u' } })).toEqual(['credentials.password is missing']);
    expect(problemsOf('basic_auth', { value: 'nocolon' })).toContain(
      'credential_value must be user:password for basic_auth',
    );
    expect(problemsOf('basic_auth', { fields: { username: 'a:b', password: 'p' } })[0]).toMatch(/colon/);
  });

  it.each([
    ...[
      'a\r\nX-Injected: y',
      'a\nb',
      'a\rb',
      'a\0',
      'a\x7f',
      '\x01a',
      'é',
      'a\u00a0b',
      '\ud800',
      '💥',
      ' sk_live_1',
      'sk_live_1 ',
      '\ta',
      'a\t',
      'a\x80',
    ],
  ])('%j is refused, and not quoted', (value) => {
    for (const type of credentialTypes) {
      const given = {
        bearer_token: { value },
        header_key: { value },
        basic_auth: { fields: { username: 'u', password: value } },
        aws_sig_v4: { fields: { access_key_id: 'AKID', secret_access_key: value } },
      }[type];
      const { problems } = parseCredential(type, given);
      expect(problems).toHaveLength(1);
      expect(JSON.stringify(problems)).not.toContain(JSON.stringify(value).slice(1, -1));
    }
  });

  it('has names that are names, and never one of the prototype', () => {
    for (const name of [
      '',
      '1a',
      'a-b',
      'a.b',
      'a b',
      '__proto__',
      'constructor',
      'prototype',
      'é',
      'a'.repeat(65),
      'a\n',
    ])
      expect(isFieldName(name)).toBe(false);
    for (const name of ['a', 'A1_b', 'a'.repeat(64)]) expect(isFieldName(name)).toBe(true);
    const hostile = JSON.parse('{"__proto__":"x","constructor":"y","token":"z"}') as Record<string, string>;
    expect(problemsOf('bearer_token', { value: 'k', fields: hostile })).toHaveLength(3);
    expect(Object.getPrototypeOf(parseCredential('bearer_token', { value: 'k' }).fields)).toBeNull();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('has a length that is bounded, and one of megabytes is refused rather than thrown', () => {
    expect(problemsOf('bearer_token', { value: 'x'.repeat(maxCredentialBytes) })).toEqual([]);
    expect(problemsOf('bearer_token', { value: 'x'.repeat(maxCredentialBytes + 1) })[0]).toMatch(/longer than 16384/);
    const password = 'x'.repeat(4_000_000);
    expect(problemsOf('basic_auth', { fields: { username: 'u', password } }).length).toBeGreaterThan(0);
    expect(problemsOf('basic_auth', { value: `u:${password}` }).length).toBeGreaterThan(0);
  });

  it('that is accepted can stand in a header, and parsing never throws', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const input = fc.record({ value: text, fields: fc.dictionary(text, text, { maxKeys: 4 }) }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.constantFrom(...credentialTypes), input, (type, given) => {
        const { fields, problems } = parseCredential(type, given);
        if (problems.length > 0) return;
        expect(fields.token === undefined).toBe(type === 'aws_sig_v4');
        for (const value of Object.values(fields)) expect(value).toMatch(/^[\t\x20-\x7e]*$/);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('an AWS credential', () => {
  const key = { access_key_id: 'AKIDEXAMPLE', secret_access_key: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };

  it('has the two parts of an access key, and may have a session token, a region and a service', () => {
    expect(parseCredential('aws_sig_v4', { fields: key })).toEqual({ fields: { ...key }, problems: [] });
    const more = { ...key, session_token: 'IQoJb3Jp//8=', region: 'us-gov-west-1', service: 'execute-api' };
    expect(parseCredential('aws_sig_v4', { fields: more })).toEqual({ fields: { ...more }, problems: [] });
    expect(problemsOf('aws_sig_v4', { fields: { ...key, secret_access_key: 'a b/+=c' } })).toEqual([]);
  });

  it('tells every problem at once', () => {
    const { problems } = parseCredential('aws_sig_v4', {
      value: 'AKIDEXAMPLE:secret',
      fields: { access_key_id: 'AKID/EXAMPLE', region: 'EU', service: '', user: 'me' },
    });
    expect(problems.map(({ field, message }) => `${field} ${message}`)).toEqual([
      expect.stringMatching(/^credential_value does not apply to aws_sig_v4/),
      expect.stringMatching(/^credentials\.user is not a field of aws_sig_v4/),
      'credentials.access_key_id must be visible ASCII without "/", "," and "="',
      'credentials.secret_access_key is missing',
      'credentials.region must be a region such as eu-west-1',
      'credentials.service is empty',
    ]);
  });

  it.each(['A/B', 'A,B', 'A=B', 'A B', 'é', 'A\n', 'x'.repeat(129)])('has no access key id such as %j', (id) => {
    expect(problemsOf('aws_sig_v4', { fields: { ...key, access_key_id: id } })).toHaveLength(1);
  });
});

describe('what can stand in a header', () => {
  it.each(['', 'a', '!', '~', 'a b', 'a  b', 'a\tb', 'Bearer x.y.z', '=?"\\'])('%j can', (value) => {
    expect(isInjectable(value)).toBe(true);
  });

  it('is decided in linear time', () => {
    const started = process.cpuUsage().user; // other processes of the machine don't count
    for (const value of [
      `${'a '.repeat(500_000)}`,
      ' '.repeat(1_000_000),
      `${'a'.repeat(1_000_000)}\n`,
      `a${'\t'.repeat(1_000_000)}`,
    ])
      expect(isInjectable(value)).toBe(false);
    expect((process.cpuUsage().user - started) / 1_000).toBeLessThan(500);
  });
});
