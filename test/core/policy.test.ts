import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AlterError } from '../../core/errors.ts';
import { isTimeZone, localTime } from '../../core/local-time.ts';
import { findPathAmbiguity, findPathGlob, matchesPath } from '../../core/path-glob.ts';
import {
  type AppliedPolicy,
  evaluatePolicies,
  evaluatePolicy,
  grantExpiry,
  type PolicyLevel,
  type PolicyRequest,
  parsePolicy,
} from '../../core/policy.ts';

const request: PolicyRequest = { clientAddress: '203.0.113.7', method: 'GET', path: '/v1/charges', reason: null };
const noon = Date.UTC(2026, 5, 3, 12); // a Wednesday

const read = (document: unknown, level: PolicyLevel = 'grant') => parsePolicy(document, { level, field: 'policy' });
const at = (document: unknown, level: PolicyLevel = 'grant'): AppliedPolicy => ({
  level,
  id: 'x1',
  policy: read(document, level),
});

/** `pass`, or the policy error. */
function answer(document: unknown, change: Partial<PolicyRequest> = {}, now: number = noon): string {
  const verdict = evaluatePolicy(at(document), { ...request, ...change }, now);
  return verdict.kind === 'pass' ? 'pass' : (verdict.policyError ?? verdict.code);
}

function problemsOf(document: unknown, level: PolicyLevel = 'grant'): string[] {
  try {
    read(document, level);
  } catch (error) {
    expect(error).toBeInstanceOf(AlterError);
    expect((error as AlterError).code).toBe('validation_failed');
    return (error as AlterError).problems!.map((problem) => problem.field);
  }
  return [];
}

const window = (start: string, end: string, days?: readonly string[], timezone?: string) => ({
  time_window: { start, end, ...(days && { days }), ...(timezone && { timezone }) },
});
const week = ['mon', 'tue', 'wed', 'thu', 'fri'];

describe('a time window', () => {
  // 1 June 2026 is a Monday.
  it.each<[string, object, string, string]>([
    ['a start is inside', window('09:00', '17:00', week), '2026-06-01T09:00:00.000Z', 'pass'],
    [
      'just before a start is outside',
      window('09:00', '17:00', week),
      '2026-06-01T08:59:59.999Z',
      'time_outside_window',
    ],
    ['just before an end is inside', window('09:00', '17:00', week), '2026-06-01T16:59:59.999Z', 'pass'],
    ['an end is outside', window('09:00', '17:00', week), '2026-06-01T17:00:00.000Z', 'time_outside_window'],
    ['midnight is outside', window('09:00', '17:00', week), '2026-06-01T00:00:00Z', 'time_outside_window'],
    ['Friday is inside', window('09:00', '17:00', week), '2026-06-05T12:00:00Z', 'pass'],
    ['Saturday is the wrong day', window('09:00', '17:00', week), '2026-06-06T12:00:00Z', 'time_wrong_weekday'],
    ['Sunday is the wrong day', window('09:00', '17:00', week), '2026-06-07T12:00:00Z', 'time_wrong_weekday'],
    [
      'Saturday night is the wrong day too',
      window('09:00', '17:00', week),
      '2026-06-06T22:00:00Z',
      'time_wrong_weekday',
    ],
    ['without days it is every day', window('09:00', '17:00'), '2026-06-07T12:00:00Z', 'pass'],
    ['whole days begin at 00:00', window('00:00', '24:00', ['mon']), '2026-06-01T00:00:00Z', 'pass'],
    ['whole days end at 24:00', window('00:00', '24:00', ['mon']), '2026-06-01T23:59:59.999Z', 'pass'],
    ['the next day is another', window('00:00', '24:00', ['mon']), '2026-06-02T00:00:00Z', 'time_wrong_weekday'],
    ['the last minute of a day', window('23:59', '24:00'), '2026-06-01T23:59:00Z', 'pass'],
    ['one minute is a window', window('12:00', '12:01'), '2026-06-01T12:00:59.999Z', 'pass'],
    ['and no longer', window('12:00', '12:01'), '2026-06-01T12:01:00Z', 'time_outside_window'],
    // across midnight: Monday's window is open until Tuesday morning
    ['across midnight, its first minute', window('22:00', '06:00', ['mon']), '2026-06-01T22:00:00Z', 'pass'],
    [
      'across midnight, before it',
      window('22:00', '06:00', ['mon']),
      '2026-06-01T21:59:59.999Z',
      'time_outside_window',
    ],
    ['across midnight, midnight itself', window('22:00', '06:00', ['mon']), '2026-06-02T00:00:00Z', 'pass'],
    ['across midnight, its last moment', window('22:00', '06:00', ['mon']), '2026-06-02T05:59:59.999Z', 'pass'],
    ['across midnight, its end', window('22:00', '06:00', ['mon']), '2026-06-02T06:00:00Z', 'time_wrong_weekday'],
    [
      'across midnight, the morning of its own day is of Sunday',
      window('22:00', '06:00', ['mon']),
      '2026-06-01T03:00:00Z',
      'time_wrong_weekday',
    ],
    [
      'across midnight, the next evening',
      window('22:00', '06:00', ['mon']),
      '2026-06-02T23:00:00Z',
      'time_wrong_weekday',
    ],
    [
      'across midnight, Friday night is open on Saturday',
      window('22:00', '06:00', week),
      '2026-06-06T05:00:00Z',
      'pass',
    ],
    [
      'across midnight, Saturday night is closed',
      window('22:00', '06:00', week),
      '2026-06-06T23:00:00Z',
      'time_wrong_weekday',
    ],
    [
      'across midnight, Monday morning is of Sunday',
      window('22:00', '06:00', week),
      '2026-06-08T05:00:00Z',
      'time_wrong_weekday',
    ],
    ['across midnight, at noon', window('22:00', '06:00', week), '2026-06-03T12:00:00Z', 'time_outside_window'],
    ['until 00:00 is until midnight', window('22:00', '00:00', ['mon']), '2026-06-01T23:59:59Z', 'pass'],
    ['until 00:00 and no longer', window('22:00', '00:00', ['mon']), '2026-06-02T00:00:00Z', 'time_wrong_weekday'],
    // zones
    ['New York at nine in summer', window('09:00', '17:00', week, 'America/New_York'), '2026-06-01T13:00:00Z', 'pass'],
    [
      'New York before nine in summer',
      window('09:00', '17:00', week, 'America/New_York'),
      '2026-06-01T12:59:59Z',
      'time_outside_window',
    ],
    ['New York at nine in winter', window('09:00', '17:00', week, 'America/New_York'), '2026-01-05T14:00:00Z', 'pass'],
    [
      'New York before nine in winter',
      window('09:00', '17:00', week, 'America/New_York'),
      '2026-01-05T13:59:59Z',
      'time_outside_window',
    ],
    ['Auckland is a day ahead', window('09:00', '17:00', ['tue'], 'Pacific/Auckland'), '2026-06-01T22:00:00Z', 'pass'],
    ['Honolulu is a day behind', window('09:00', '17:00', ['sun'], 'Pacific/Honolulu'), '2026-06-01T02:00:00Z', 'pass'],
    ['Kathmandu is at a quarter', window('09:00', '17:00', week, 'Asia/Kathmandu'), '2026-06-01T03:15:00Z', 'pass'],
    [
      'Kathmandu before the quarter',
      window('09:00', '17:00', week, 'Asia/Kathmandu'),
      '2026-06-01T03:14:59Z',
      'time_outside_window',
    ],
    ['Kolkata is at a half', window('09:00', '17:00', week, 'Asia/Kolkata'), '2026-06-01T03:30:00Z', 'pass'],
    [
      'Kiritimati is fourteen hours ahead',
      window('00:00', '01:00', ['tue'], 'Pacific/Kiritimati'),
      '2026-06-01T10:30:00Z',
      'pass',
    ],
    [
      'a zone at the top serves the window too',
      { timezone: 'Asia/Tokyo', ...window('09:00', '17:00', week) },
      '2026-06-01T00:00:00Z',
      'pass',
    ],
    [
      'a zone of its own goes first',
      { timezone: 'Asia/Tokyo', ...window('09:00', '17:00', week, 'UTC') },
      '2026-06-01T00:00:00Z',
      'time_outside_window',
    ],
    // daylight saving: Berlin jumps from 02:00 to 03:00 on 29 March 2026, and back from 03:00 to 02:00 on 25 October
    [
      'Berlin, the hour before the jump',
      window('01:00', '02:00', undefined, 'Europe/Berlin'),
      '2026-03-29T00:59:59Z',
      'pass',
    ],
    [
      'Berlin, an hour that does not exist never comes',
      window('02:00', '03:00', undefined, 'Europe/Berlin'),
      '2026-03-29T01:00:00Z',
      'time_outside_window',
    ],
    [
      'Berlin, three comes at once',
      window('03:00', '04:00', undefined, 'Europe/Berlin'),
      '2026-03-29T01:00:00Z',
      'pass',
    ],
    [
      'Berlin, nine is an hour earlier after the jump',
      window('09:00', '17:00', undefined, 'Europe/Berlin'),
      '2026-03-29T07:00:00Z',
      'pass',
    ],
    [
      'Berlin, and was not before',
      window('09:00', '17:00', undefined, 'Europe/Berlin'),
      '2026-03-28T07:00:00Z',
      'time_outside_window',
    ],
    [
      'Berlin, an hour that comes twice, first',
      window('02:00', '03:00', undefined, 'Europe/Berlin'),
      '2026-10-25T00:30:00Z',
      'pass',
    ],
    [
      'Berlin, an hour that comes twice, again',
      window('02:00', '03:00', undefined, 'Europe/Berlin'),
      '2026-10-25T01:30:00Z',
      'pass',
    ],
    [
      'Berlin, and then it is over',
      window('02:00', '03:00', undefined, 'Europe/Berlin'),
      '2026-10-25T02:00:00Z',
      'time_outside_window',
    ],
    [
      'Berlin, a night across the jump belongs to Saturday',
      window('22:00', '06:00', ['sat'], 'Europe/Berlin'),
      '2026-03-29T03:59:59Z',
      'pass',
    ],
    [
      'Berlin, and ends by the clock',
      window('22:00', '06:00', ['sat'], 'Europe/Berlin'),
      '2026-03-29T04:00:00Z',
      'time_wrong_weekday',
    ],
    [
      'Lord Howe jumps by half an hour',
      window('02:30', '03:00', undefined, 'Australia/Lord_Howe'),
      '2026-10-03T15:30:00Z',
      'pass',
    ],
    [
      'New York, the hour that does not exist',
      window('02:00', '03:00', undefined, 'America/New_York'),
      '2026-03-08T07:00:00Z',
      'time_outside_window',
    ],
    [
      'New York, the hour that comes twice',
      window('01:00', '02:00', undefined, 'America/New_York'),
      '2026-11-01T06:59:59Z',
      'pass',
    ],
    ['a leap day is a day', window('09:00', '17:00', ['tue']), '2028-02-29T09:00:00Z', 'pass'],
    ['a new year is no border', window('22:00', '06:00', ['thu']), '2027-01-01T02:00:00Z', 'pass'],
    ['before 1970 the clock runs too', window('09:00', '17:00', ['wed']), '1969-12-31T09:00:00Z', 'pass'],
    // the two short forms
    ['business hours begin at nine', { business_hours_only: true }, '2026-06-01T09:00:00Z', 'pass'],
    ['business hours have not begun', { business_hours_only: true }, '2026-06-01T08:59:59.999Z', 'time_outside_window'],
    ['business hours end at five', { business_hours_only: true }, '2026-06-01T17:00:00Z', 'time_outside_window'],
    ['business hours are on Sunday too', { business_hours_only: true }, '2026-06-07T12:00:00Z', 'pass'],
    [
      'business hours follow the zone',
      { business_hours_only: true, timezone: 'America/New_York' },
      '2026-06-01T20:59:59Z',
      'pass',
    ],
    [
      'business hours, and end with it',
      { business_hours_only: true, timezone: 'America/New_York' },
      '2026-06-01T21:00:00Z',
      'time_outside_window',
    ],
    ['weekdays begin on Monday', { weekdays_only: true }, '2026-06-01T00:00:00Z', 'pass'],
    ['weekdays have not begun', { weekdays_only: true }, '2026-05-31T23:59:59.999Z', 'time_wrong_weekday'],
    ['weekdays end with Friday', { weekdays_only: true }, '2026-06-05T23:59:59.999Z', 'pass'],
    ['weekdays are over on Saturday', { weekdays_only: true }, '2026-06-06T00:00:00Z', 'time_wrong_weekday'],
    ['weekdays follow the zone', { weekdays_only: true, timezone: 'Pacific/Auckland' }, '2026-05-31T12:00:00Z', 'pass'],
    [
      'weekdays, behind',
      { weekdays_only: true, timezone: 'America/Los_Angeles' },
      '2026-06-01T06:59:59Z',
      'time_wrong_weekday',
    ],
    [
      'both hold together',
      { weekdays_only: true, business_hours_only: true },
      '2026-06-06T12:00:00Z',
      'time_wrong_weekday',
    ],
    [
      'both hold, and with a window',
      { weekdays_only: true, business_hours_only: true, ...window('08:00', '10:00') },
      '2026-06-01T10:00:00Z',
      'time_outside_window',
    ],
    [
      'all three let nine through',
      { weekdays_only: true, business_hours_only: true, ...window('08:00', '10:00') },
      '2026-06-01T09:30:00Z',
      'pass',
    ],
    ['false is no rule', { weekdays_only: false, business_hours_only: false }, '2026-06-06T03:00:00Z', 'pass'],
  ])('%s', (_title, document, time, expected) => {
    expect(answer(document, {}, Date.parse(time))).toBe(expected);
  });

  it('shows the time that a clock in the zone shows, whatever the moment', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Pacific/Apia'];
    const moment = fc.integer({ min: Date.UTC(1980), max: Date.UTC(2060) });
    fc.assert(
      fc.property(fc.constantFrom(...zones), moment, (zone, now) => {
        const clock = new Date(now).toLocaleString('sv-SE', { timeZone: zone });
        const { weekday, minute } = localTime(zone, now);
        expect(minute).toBe(Number(clock.slice(11, 13)) * 60 + Number(clock.slice(14, 16)));
        expect(new Date(`${clock.slice(0, 10)}T00:00:00Z`).toUTCString().slice(0, 3).toLowerCase()).toBe(weekday);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is open as long each week as its days and hours say, where no clock is changed', () => {
    for (const [start, end, minutes] of [
      ['09:00', '17:00', 480],
      ['22:00', '06:00', 480],
      ['00:00', '24:00', 1_440],
      ['12:30', '00:00', 690],
    ] as const) {
      const policy = at(window(start, end, ['mon', 'thu']));
      let open = 0;
      for (let minute = 0; minute < 7 * 1_440; minute++)
        if (evaluatePolicy(policy, request, Date.UTC(2026, 5, 1) + minute * 60_000).kind === 'pass') open++;
      expect(open).toBe(2 * minutes);
    }
  });

  it('takes names of zones, and nothing else for one', () => {
    for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5', 'europe/berlin'])
      expect(isTimeZone(name)).toBe(true);
    for (const name of [
      '',
      'Mars/Olympus',
      '+02:00',
      'UTC+2',
      'Europe/Berlin\n',
      'Europe',
      '../etc/localtime',
      'x'.repeat(100),
    ])
      expect(isTimeZone(name)).toBe(false);
  });
});

describe('an address list', () => {
  it.each<[readonly string[], string, boolean]>([
    [['203.0.113.0/24'], '203.0.113.0', true],
    [['203.0.113.0/24'], '203.0.113.255', true],
    [['203.0.113.0/24'], '203.0.112.255', false],
    [['203.0.113.0/24'], '203.0.114.0', false],
    [['203.0.113.0/24'], '::ffff:203.0.113.7', true],
    [['203.0.113.7'], '203.0.113.7', true],
    [['203.0.113.7'], '203.0.113.8', false],
    [['2001:db8::1'], '2001:db8::1', true],
    [['2001:db8::1'], '2001:0DB8:0:0:0:0:0:1', true],
    [['2001:db8::1'], '2001:db8::2', false],
    [['2001:db8::/32'], '2001:db8:ffff::1', true],
    [['2001:db8::/32'], '2001:db9::1', false],
    [['10.0.0.0/8', '2001:db8::/32'], '10.9.8.7', true],
    [['10.0.0.0/8', '2001:db8::/32'], '2001:db8::7', true],
    [['10.0.0.0/8', '2001:db8::/32'], '11.0.0.0', false],
    [['0.0.0.0/0'], '198.51.100.1', true],
    [['0.0.0.0/0'], '::1', false],
    [['10.0.0.0/8'], '', false],
    [['10.0.0.0/8'], 'unknown', false],
    [['10.0.0.0/8'], '10.0.0.1, 8.8.8.8', false],
    [['fe80::/10'], 'fe80::1%eth0', false],
  ])('%j and %s: %s', (ip_allowlist, clientAddress, allowed) => {
    expect(answer({ ip_allowlist }, { clientAddress })).toBe(allowed ? 'pass' : 'ip_not_allowed');
  });
});

describe('a list of methods', () => {
  it.each<[readonly string[], string, boolean]>([
    [['GET'], 'GET', true],
    [['GET', 'HEAD'], 'HEAD', true],
    [['GET'], 'HEAD', false],
    [['GET'], 'POST', false],
    [['GET'], 'get', false],
    [['GET'], 'Get', false],
    [['GET'], 'GET ', false],
    [['GET'], ' GET', false],
    [['GET'], 'GETX', false],
    [['GET'], '', false],
    [['POST'], 'GET', false],
    [['M-SEARCH'], 'M-SEARCH', true],
    [['GET'], 'constructor', false],
  ])('%j and %j: %s', (methods, method, allowed) => {
    expect(answer({ methods }, { method })).toBe(allowed ? 'pass' : 'method_not_allowed');
  });
});

describe('a list of paths', () => {
  it.each<[string, string, boolean]>([
    ['/v1/charges', '/v1/charges', true],
    ['/v1/charges', '/v1/charges/', false],
    ['/v1/charges', '/v1/charges/1', false],
    ['/v1/charges', '/v1/Charges', false],
    ['/v1/charges', '/v1/charge', false],
    ['/v1/charges', '/v1/chargesx', false],
    ['/v1/charges', '/x/v1/charges', false],
    ['/v1/charges', '/', false],
    ['/', '/', true],
    ['/', '/x', false],
    ['/v1/*', '/v1/charges', true],
    ['/v1/*', '/v1/', false],
    ['/v1/*', '/v1', false],
    ['/v1/*', '/v1/a/b', false],
    ['/v1/*', '/v1/a/', false],
    ['/v1/*/refunds', '/v1/ch_1/refunds', true],
    ['/v1/*/refunds', '/v1/refunds', false],
    ['/v1/*/refunds', '/v1/a/b/refunds', false],
    ['/v1/ch_*', '/v1/ch_1', true],
    ['/v1/ch_*', '/v1/ch_', true],
    ['/v1/ch_*', '/v1/cx_1', false],
    ['/v1/ch_*', '/v1/ch_1/x', false],
    ['/v1/*_live_*', '/v1/sk_live_1', true],
    ['/v1/*_live_*', '/v1/sk_test_1', false],
    ['/v1/a*b*c', '/v1/abc', true],
    ['/v1/a*b*c', '/v1/abbcc', true],
    ['/v1/a*b*c', '/v1/acb', false],
    ['/v1/a*a', '/v1/a', false],
    ['/v1/a*a', '/v1/aa', true],
    ['/v1/*.json', '/v1/x.json', true],
    ['/v1/*.json', '/v1/x.json.exe', false],
    ['/v1/charges/**', '/v1/charges/1', true],
    ['/v1/charges/**', '/v1/charges/1/refunds/2', true],
    ['/v1/charges/**', '/v1/charges/1/', true],
    ['/v1/charges/**', '/v1/charges', false],
    ['/v1/charges/**', '/v1/charges/', false],
    ['/v1/charges/**', '/v1/chargesx/1', false],
    ['/**', '/', true],
    ['/**', '/anything/at/all', true],
    ['/**/refunds', '/refunds', true],
    ['/**/refunds', '/v1/charges/1/refunds', true],
    ['/**/refunds', '/v1/refunds/1', false],
    ['/v1/**/refunds', '/v1/refunds', true],
    ['/v1/**/refunds', '/v1/a/b/c/refunds', true],
    ['/v1/**/refunds', '/v2/a/refunds', false],
    ['/v1/**/a/**/b', '/v1/x/a/y/z/b', true],
    ['/v1/**/a/**/b', '/v1/a/b', true],
    ['/v1/**/a/**/b', '/v1/b/a', false],
    ['/v1/**/a/**', '/v1/a', false],
    ['/v1/**/a/**', '/v1/a/a', true],
    ['/v1/**/*/x', '/v1/a/x', true],
    ['/v1/**/*/x', '/v1/x', false],
    ['/**/**', '/a', true],
    ['/v1/a.b', '/v1/a.b', true],
    ['/v1/a.b', '/v1/axb', false],
    ['/v1/(a|b)+', '/v1/a', false],
    ['/v1/(a|b)+', '/v1/(a|b)+', true],
    ['/v1/x:cancel', '/v1/x:cancel', true],
    ['/v1/a%20b', '/v1/a%20b', true],
    ['/v1/*', '/v1/a%20b', true],
    ['/v1/*', '/v1/%C3%A9', true],
    ['/v1/admin', '/v1/%61dmin', false],
    ['/v1/...', '/v1/...', true],
    ['/v1/*', '/v1/..a', true],
  ])('%s and %s: %s', (glob, path, allowed) => {
    expect(answer({ paths: [glob] }, { path })).toBe(allowed ? 'pass' : 'path_not_allowed');
    expect(answer({ paths: ['/other', glob, '/another/*'] }, { path })).toBe(allowed ? 'pass' : 'path_not_allowed');
  });

  it.each([
    ...[
      '/v1/allowed/../secret',
      '/v1/allowed/..',
      '/v1/allowed/./x',
      '/v1/allowed/.',
      '/../v1/allowed/x',
      '/v1/allowed/../../x',
    ],
    ...[
      '/v1/allowed/%2e%2e/secret',
      '/v1/allowed/%2E%2E/secret',
      '/v1/allowed/.%2e/x',
      '/v1/allowed/%2e./x',
      '/v1/allowed/%2e/x',
      '/v1/allowed/a%2ejson',
    ],
    ...[
      '/v1/allowed/..%2fsecret',
      '/v1/allowed%2fx',
      '/v1/allowed/%2Fx',
      '/v1/allowed/%5c..%5cx',
      '/v1/allowed/%5Cx',
      '/v1/allowed/\\..\\x',
      '/v1/allowed\\x',
    ],
    ...[
      '/v1/allowed//x',
      '//v1/allowed/x',
      '/v1//allowed/x',
      '/v1/allowed/x//',
      '/v1/allowed/;/x',
      '/v1/allowed/..;/x',
      '/v1/allowed/x;jsessionid=1',
      '/v1/allowed/%3b/x',
    ],
    ...[
      '/v1/allowed/%252e%252e/x',
      '/v1/allowed/%252f',
      '/v1/allowed/%255c',
      '/v1/allowed/%2500',
      '/v1/allowed/%25%32%65/x',
    ],
    ...[
      '/v1/allowed/%00',
      '/v1/allowed/x%00.json',
      '/v1/allowed/%0a',
      '/v1/allowed/%0d%0aX:y',
      '/v1/allowed/%7f',
      '/v1/allowed/%1F',
      '/v1/allowed/%09',
    ],
    ...[
      '/v1/allowed/%',
      '/v1/allowed/%2',
      '/v1/allowed/%zz',
      '/v1/allowed/%u002e',
      '/v1/allowed/%c0%ae%c0%ae/x',
      '/v1/allowed/%e0%80%af',
      '/v1/allowed/%ff',
      '/v1/allowed/%ed%a0%80',
    ],
    ...[
      '/v1/allowed/é',
      '/v1/allowed/\u2025/x',
      '/v1/allowed/x y',
      '/v1/allowed/\t',
      '/v1/allowed/x\n',
      '/v1/allowed/\0',
      '/v1/allowed/\x7f',
    ],
    ...[
      '/v1/allowed/x?y',
      '/v1/allowed/x#y',
      '/v1/allowed/#/../x',
      'v1/allowed/x',
      '',
      '*',
      'https://a.test/v1/allowed/x',
      '?',
      '\\v1\\allowed\\x',
      ' /v1/allowed/x',
    ],
  ])('%j is read in different ways and refused wherever a rule looks at the path', (path) => {
    for (const paths of [['/v1/allowed/**'], ['/**']]) expect(answer({ paths }, { path })).toBe('path_not_allowed');
    expect(answer({}, { path })).toBe('pass');
  });

  it.each([
    ...[
      '',
      'v1',
      '*',
      '**',
      'v1/*',
      '/v1/a**',
      '/v1/**b',
      '/v1/***',
      '/a/**x/b',
      '//',
      '/v1//a',
      '/v1/../a',
      '/v1/./a',
      '/v1/%2e',
      '/v1/a%2fb',
    ],
    ...[
      '/v1/a b',
      '/v1/é',
      '/v1/a?b',
      '/v1/a#b',
      '/v1/a\\b',
      '/v1/a;b',
      '/v1/%',
      '/v1/%zz',
      '/v1/%00',
      '/v1/a\n',
      `/${'a'.repeat(600)}`,
      '/a'.repeat(40),
    ],
  ])('%j is no glob and refused when it is written', (glob) => {
    expect(findPathGlob(glob)).toBeNull();
    expect(problemsOf({ paths: ['/ok', glob] })).toEqual(['policy.paths']);
  });

  it('agrees with a slow and simple reading of the same globs', () => {
    const slow = (pattern: readonly string[], path: readonly string[], last: boolean): boolean => {
      const [head, ...rest] = pattern;
      if (head === undefined) return path.length === 0;
      if (head === '**') {
        const least = rest.length === 0 && last ? 1 : 0;
        for (let take = least; take <= path.length; take++) {
          if (take === 1 && least === 1 && path[0] === '') continue;
          if (least === 1 && path[0] === '') return false;
          if (slow(rest, path.slice(take), last)) return true;
        }
        return false;
      }
      if (path.length === 0) return false;
      const source = head === '*' ? '.+' : head.split('*').join('.*');
      return new RegExp(`^(?:${source})$`).test(path[0]!) && slow(rest, path.slice(1), last);
    };
    const globSegment = fc.constantFrom('a', 'b', 'ab', '*', 'a*', '*b', 'a*b', '*a*', '**');
    const pathSegment = fc.constantFrom('a', 'b', 'ab', 'aab', 'ba', 'c');
    let matched = 0;
    fc.assert(
      fc.property(
        fc.array(globSegment, { minLength: 1, maxLength: 5 }),
        fc.array(pathSegment, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        (pattern, segments, slash) => {
          const path = [...segments, ...(slash ? [''] : [])];
          const expected = slow(pattern, path, true);
          if (expected) matched++;
          const glob = findPathGlob(`/${pattern.join('/')}`)!;
          expect([pattern, path, matchesPath(glob, `/${path.join('/')}`)]).toEqual([pattern, path, expected]);
        },
      ),
      { numRuns: 10_000 },
    );
    expect(matched).toBeGreaterThan(300);
  });

  it('takes less than 50 ms for the worst of globs and a path of 50 KiB', () => {
    const worst: readonly (readonly [string, string])[] = [
      ['/**/a/**/a/**/a/**/a/**/b', '/a'.repeat(25_000)],
      [`/**/${'a/'.repeat(14)}b`, '/a'.repeat(25_000)],
      [`/${'**/a/'.repeat(7)}b`, '/a'.repeat(25_000)],
      [`/${'a*'.repeat(200)}b`, `/${'a'.repeat(50_000)}`],
      [`/${'*a'.repeat(200)}*b`, `/${'a'.repeat(50_000)}`],
      [`/*${'a'.repeat(400)}b*`, `/${'a'.repeat(50_000)}`],
      ['/**/*a*a*a*a*b', '/aaaaaaaaaaaa'.repeat(4_000)],
      [`/**/${'*a*/'.repeat(14)}b`, '/a'.repeat(25_000)],
      ['/**', `/${'%C3%A9'.repeat(8_000)}`],
      ['/**', '/%61'.repeat(12_000)],
    ];
    for (const [text, path] of worst) {
      const glob = findPathGlob(text)!;
      // The best of three, in CPU time: other processes of the machine don't count.
      const spent = [1, 2, 3].map(() => {
        const started = process.cpuUsage().user;
        findPathAmbiguity(path);
        matchesPath(glob, path);
        return (process.cpuUsage().user - started) / 1_000;
      });
      expect([text, Math.min(...spent) < 50]).toEqual([text, true]);
    }
  });
});

describe('a reason', () => {
  it.each<[string | null, boolean]>([
    [null, false],
    ['', false],
    [' ', false],
    ['\t \n', false],
    ['x', true],
    ['nightly export', true],
  ])('%j is one: %s', (reason, given) => {
    expect(answer({ require_reason: true }, { reason })).toBe(given ? 'pass' : 'reason_required');
    expect(answer({ require_reason: false }, { reason })).toBe('pass');
  });
});

describe('a rate', () => {
  it('is handed on to be taken from the store, one for each level that has one', () => {
    const rate = (requests: number) => ({ rate_limit: { requests, per_seconds: 60 } });
    const levels: AppliedPolicy[] = [
      { level: 'app', id: 'a1', policy: read(rate(100), 'app') },
      { level: 'secret', id: 's1', policy: read({}, 'secret') },
      { level: 'grant', id: 'g1', policy: read(rate(5), 'grant') },
    ];
    expect(evaluatePolicies(levels, request, noon)).toEqual({
      kind: 'pass',
      rates: [
        { bucket: 'policy:app:a1', requests: 100, perSeconds: 60 },
        { bucket: 'policy:grant:g1', requests: 5, perSeconds: 60 },
      ],
    });
  });
});

describe('several policies', () => {
  const get = read({ methods: ['GET'] }, 'app');
  const inside = read({ ip_allowlist: ['10.0.0.0/8'] }, 'secret');

  it('must all pass', () => {
    const levels: AppliedPolicy[] = [
      { level: 'app', id: 'a', policy: get },
      { level: 'secret', id: 's', policy: inside },
    ];
    expect(evaluatePolicies(levels, { ...request, clientAddress: '10.0.0.1' }, noon).kind).toBe('pass');
    expect(evaluatePolicies(levels, request, noon)).toMatchObject({ rule: 'secret.policy.ip_allowlist' });
    expect(evaluatePolicies(levels, { ...request, method: 'PUT' }, noon)).toMatchObject({ rule: 'app.policy.methods' });
  });

  it('refuse by kind of rule before level: method, path, address, time, reason', () => {
    const all = {
      methods: ['GET'],
      paths: ['/a'],
      ip_allowlist: ['10.0.0.0/8'],
      ...window('01:00', '02:00'),
      require_reason: true,
    };
    const keys = ['methods', 'paths', 'ip_allowlist', 'time_window', 'require_reason'] as const;
    for (let first = 0; first < keys.length; first++) {
      const document = Object.fromEntries(keys.slice(first).map((key) => [key, all[key]]));
      const levels = keys
        .slice(first)
        .reverse()
        .map((key, index) => ({
          level: (['app', 'secret', 'agent', 'grant', 'grant'] as const)[index]!,
          id: 'x',
          policy: read({ [key]: all[key] }),
        }));
      const changed = { ...request, method: 'PUT' };
      expect(evaluatePolicy(at(document), changed, noon)).toMatchObject({ rule: `grant.policy.${keys[first]}` });
      expect(evaluatePolicies(levels, changed, noon)).toMatchObject({
        rule: expect.stringMatching(`policy.${keys[first]}$`),
      });
    }
  });

  it('pass without any, and refuse with one that cannot be read', () => {
    expect(evaluatePolicies([], request, noon)).toEqual({ kind: 'pass', rates: [] });
    expect(evaluatePolicies([at({}), { level: 'app', id: 'a', policy: null }], request, noon)).toMatchObject({
      kind: 'refuse',
      policyError: 'policy_unreadable',
      rule: 'app.policy',
    });
  });

  it('say what refused in a sentence that quotes nothing of the request', () => {
    const documents = [
      { methods: ['GET'] },
      { paths: ['/a'] },
      { ip_allowlist: ['10.0.0.0/8'] },
      window('01:00', '02:00'),
      { require_reason: true },
      { expires_at: '2020-01-01T00:00:00Z' },
    ];
    for (const document of documents) {
      const verdict = evaluatePolicy(at(document), { ...request, method: 'CANARY', path: '/canary' }, noon);
      if (verdict.kind === 'pass') throw new Error('passed');
      expect(verdict.detail).toMatch(/^[A-Z].*\.$/);
      expect(verdict.detail.toLowerCase()).not.toContain('canary');
    }
  });
});

describe('the life of a grant', () => {
  const end = '2026-06-03T12:00:00Z';

  it('ends at expires_at, where an end is outside', () => {
    expect(answer({ expires_at: end }, {}, Date.parse(end) - 1)).toBe('pass');
    expect(answer({ expires_at: end }, {}, Date.parse(end))).toBe('grant_expired');
    expect(answer({ expires_at: '2026-06-03T14:00:00+02:00' }, {}, Date.parse(end))).toBe('grant_expired');
  });

  it.each<[object, number | null, number | null]>([
    [{}, null, null],
    [{}, 5_000, 5_000],
    [{ default_ttl_seconds: 10 }, null, 10_000],
    [{ default_ttl_seconds: 10 }, 50_000, 50_000],
    [{ max_ttl_seconds: 60 }, null, 60_000],
    [{ max_ttl_seconds: 60 }, 60_000, 60_000],
    [{ max_ttl_seconds: 60, default_ttl_seconds: 10 }, null, 10_000],
    [{ expires_at: '1970-01-01T00:00:30Z' }, null, 30_000],
    [{ expires_at: '1970-01-01T00:00:30Z', max_ttl_seconds: 60, default_ttl_seconds: 50 }, null, 30_000],
    [{ expires_at: '1970-01-01T00:00:30Z', max_ttl_seconds: 60 }, 30_000, 30_000],
  ])('%j with the wish %s ends at %s', (document, wanted, expected) => {
    expect(grantExpiry(read(document), { wanted, now: 0 })).toBe(expected);
  });

  it('is never longer than its policy', () => {
    for (const document of [{ max_ttl_seconds: 60 }, { expires_at: '1970-01-01T00:01:00Z' }])
      expect(() => grantExpiry(read(document), { wanted: 60_001, now: 0 })).toThrow(
        expect.objectContaining({ code: 'validation_failed' }),
      );
  });
});

describe('a policy document', () => {
  it('may hold every rule', () => {
    const policy = read({
      time_window: { timezone: 'America/New_York', days: week, start: '09:00', end: '17:00' },
      business_hours_only: false,
      weekdays_only: false,
      timezone: 'UTC',
      ip_allowlist: ['203.0.113.0/24', '2001:db8::1'],
      methods: ['GET', 'HEAD'],
      paths: ['/v1/charges/**'],
      rate_limit: { requests: 60, per_seconds: 60 },
      require_reason: true,
      expires_at: '2026-12-31T00:00:00Z',
      max_ttl_seconds: 86_400,
      default_ttl_seconds: 3_600,
    });
    expect(policy).toMatchObject({
      timeWindow: { timezone: 'America/New_York', days: week, start: 540, end: 1_020 },
      methods: ['GET', 'HEAD'],
      rateLimit: { requests: 60, perSeconds: 60 },
      requireReason: true,
      expiresAt: Date.UTC(2026, 11, 31),
      maxTtlSeconds: 86_400,
      defaultTtlSeconds: 3_600,
    });
  });

  it('may be empty, and null is as good as absent', () => {
    expect(answer({})).toBe('pass');
    expect(read({ methods: null, time_window: null })).toEqual(read({}));
  });

  it.each<[unknown, readonly string[]]>([
    [null, ['policy']],
    [[], ['policy']],
    ['{}', ['policy']],
    [7, ['policy']],
    [{ method: ['GET'] }, ['policy.method']],
    [{ Methods: ['GET'] }, ['policy.Methods']],
    [JSON.parse('{"__proto__":{"methods":["GET"]}}'), ['policy.__proto__']],
    [{ constructor: {} }, ['policy.constructor']],
    [{ methods: 'GET' }, ['policy.methods']],
    [{ methods: [] }, ['policy.methods']],
    [{ methods: ['get'] }, ['policy.methods']],
    [{ methods: ['GET '] }, ['policy.methods']],
    [{ methods: [7] }, ['policy.methods']],
    [{ methods: { 0: 'GET' } }, ['policy.methods']],
    [{ methods: Array(33).fill('GET') }, ['policy.methods']],
    [{ paths: [] }, ['policy.paths']],
    [{ paths: '/v1' }, ['policy.paths']],
    [{ paths: Array(65).fill('/v1') }, ['policy.paths']],
    [{ ip_allowlist: [] }, ['policy.ip_allowlist']],
    [{ ip_allowlist: ['localhost'] }, ['policy.ip_allowlist']],
    [{ ip_allowlist: ['10.0.0.0/33'] }, ['policy.ip_allowlist']],
    [{ ip_allowlist: ['10.0.0.1:443'] }, ['policy.ip_allowlist']],
    [{ ip_allowlist: ['::ffff:10.0.0.0/104'] }, ['policy.ip_allowlist']],
    [{ ip_allowlist: Array(257).fill('10.0.0.1') }, ['policy.ip_allowlist']],
    [{ business_hours_only: 'true' }, ['policy.business_hours_only']],
    [{ weekdays_only: 1 }, ['policy.weekdays_only']],
    [{ require_reason: 'yes' }, ['policy.require_reason']],
    [{ timezone: 'Mars/Olympus' }, ['policy.timezone']],
    [{ timezone: '+02:00' }, ['policy.timezone']],
    [{ timezone: 7 }, ['policy.timezone']],
    [{ time_window: [] }, ['policy.time_window']],
    [{ time_window: {} }, ['policy.time_window']],
    [{ time_window: { start: '09:00' } }, ['policy.time_window']],
    [{ time_window: { end: '09:00' } }, ['policy.time_window']],
    [window('09:00', '09:00'), ['policy.time_window']],
    [window('24:00', '09:00'), ['policy.time_window']],
    [window('9:00', '17:00'), ['policy.time_window.start']],
    [window('09:00', '25:00'), ['policy.time_window.end']],
    [window('09:60', '17:00'), ['policy.time_window.start']],
    [window('09:00', '24:01'), ['policy.time_window.end']],
    [window('09:00:00', '17:00'), ['policy.time_window.start']],
    [window('09:00', '5pm'), ['policy.time_window.end']],
    [window('09:00', '17:00', []), ['policy.time_window.days']],
    [window('09:00', '17:00', ['monday']), ['policy.time_window.days']],
    [window('09:00', '17:00', ['MON']), ['policy.time_window.days']],
    [window('09:00', '17:00', undefined, 'nowhere'), ['policy.time_window.timezone']],
    [{ time_window: { start: '09:00', end: '17:00', zone: 'UTC' } }, ['policy.time_window.zone']],
    [
      { time_window: { start: 'x', end: 'y', days: 'z', timezone: '', w: 1 } },
      ['timezone', 'days', 'start', 'end', 'w'].map((name) => `policy.time_window.${name}`),
    ],
    [{ rate_limit: 60 }, ['policy.rate_limit']],
    [{ rate_limit: {} }, ['policy.rate_limit']],
    [{ rate_limit: { requests: 60 } }, ['policy.rate_limit']],
    [{ rate_limit: { requests: 0, per_seconds: 60 } }, ['policy.rate_limit.requests']],
    [{ rate_limit: { requests: 1.5, per_seconds: 60 } }, ['policy.rate_limit.requests']],
    [{ rate_limit: { requests: '60', per_seconds: 60 } }, ['policy.rate_limit.requests']],
    [{ rate_limit: { requests: 60, per_seconds: 86_401 } }, ['policy.rate_limit.per_seconds']],
    [{ rate_limit: { requests: 60, per_seconds: 60, burst: 5 } }, ['policy.rate_limit.burst']],
    [
      { rate_limit: { requests: Number.NaN, per_seconds: Number.POSITIVE_INFINITY } },
      ['policy.rate_limit.requests', 'policy.rate_limit.per_seconds'],
    ],
    [{ expires_at: 'tomorrow' }, ['policy.expires_at']],
    [{ expires_at: '2026-12-31' }, ['policy.expires_at']],
    [{ expires_at: '2026-12-31T00:00:00' }, ['policy.expires_at']],
    [{ expires_at: '2026-02-30T00:00:00Z' }, ['policy.expires_at']],
    [{ expires_at: '2026-13-01T00:00:00Z' }, ['policy.expires_at']],
    [{ expires_at: '2026-01-01T25:00:00Z' }, ['policy.expires_at']],
    [{ expires_at: 1_800_000_000 }, ['policy.expires_at']],
    [{ max_ttl_seconds: 0 }, ['policy.max_ttl_seconds']],
    [{ max_ttl_seconds: 157_680_001 }, ['policy.max_ttl_seconds']],
    [{ default_ttl_seconds: '1h' }, ['policy.default_ttl_seconds']],
    [{ default_ttl_seconds: 61, max_ttl_seconds: 60 }, ['policy.default_ttl_seconds']],
  ])('%j is refused with the names of its problems', (document, fields) => {
    expect(problemsOf(document)).toEqual(fields);
  });

  it('holds an end and a length of life at a grant only', () => {
    const document = { expires_at: '2026-12-31T00:00:00Z', max_ttl_seconds: 60, default_ttl_seconds: 60 };
    expect(problemsOf(document, 'grant')).toEqual([]);
    for (const level of ['app', 'secret', 'agent'] as const)
      expect(problemsOf(document, level)).toEqual([
        'policy.expires_at',
        'policy.max_ttl_seconds',
        'policy.default_ttl_seconds',
      ]);
  });

  it('is refused with every problem at once', () => {
    const document = {
      methods: ['get'],
      paths: ['x'],
      ip_allowlist: ['y'],
      rate_limit: { requests: 0, per_seconds: 0 },
      time_window: { start: 'z' },
      nope: 1,
    };
    expect(problemsOf(document)).toHaveLength(7);
  });

  it('is read or refused, whatever it is, and can only restrict', () => {
    const known = fc.constantFrom(
      'time_window',
      'timezone',
      'methods',
      'paths',
      'ip_allowlist',
      'rate_limit',
      'require_reason',
      'weekdays_only',
      'expires_at',
      'max_ttl_seconds',
    );
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(['GET'], ['/v1/*'], ['10.0.0.0/8'], true, 'Europe/Berlin', { requests: 1, per_seconds: 1 }),
    );
    fc.assert(
      fc.property(fc.oneof(fc.dictionary(known, value), fc.jsonValue()), (document) => {
        if (problemsOf(document).length > 0) return;
        const verdict = evaluatePolicies([at({ methods: ['PUT'] }), at(document)], request, noon);
        expect(verdict.kind).toBe('refuse');
      }),
      { numRuns: 2_000 },
    );
    expect(({} as Record<string, unknown>).methods).toBeUndefined();
  });
});
