import { describe, expect, it } from '@jest/globals';
import type { AlterError } from '../../core/errors.ts';
import { findToken, issueToken } from '../../core/token.ts';
import { FailedKeys } from '../../proxy/caller/failed-keys.ts';

function open(perMinute = 20) {
  const clock = { now: 0 };
  const failedKeys = new FailedKeys({ perMinute, clock: () => clock.now });
  const codeOf = (text: string, address: string): string | null => {
    try {
      failedKeys.findToken(text, address);
      return null;
    } catch (error) {
      return (error as AlterError).code;
    }
  };
  const fail = (address: string, times: number): void => {
    for (let i = 0; i < times; i++) failedKeys.failed(address);
  };
  return { failedKeys, clock, codeOf, fail };
}

const { plaintext, id, digest } = issueToken('runtime', Date.now());
const other = issueToken('runtime', Date.now()).plaintext;

describe('the patience with wrong keys', () => {
  it('ends for one address after so many, and for no other', () => {
    const { codeOf, fail } = open();
    fail('192.0.2.1', 19);
    expect(codeOf(other, '192.0.2.1')).toBeNull();
    fail('192.0.2.1', 1);
    expect(codeOf(other, '192.0.2.1')).toBe('rate_limited');
    expect(codeOf('not a token', '192.0.2.1')).toBe('rate_limited');
    expect(codeOf(other, '192.0.2.2')).toBeNull();
  });

  it('comes back with time, and says when', () => {
    const { failedKeys, codeOf, fail, clock } = open();
    fail('192.0.2.1', 20);
    let retryAfterSeconds: number | undefined;
    try {
      failedKeys.findToken(other, '192.0.2.1');
    } catch (error) {
      retryAfterSeconds = (error as AlterError).retryAfterSeconds;
    }
    expect(retryAfterSeconds).toBe(3);
    clock.now += 2_999;
    expect(codeOf(other, '192.0.2.1')).toBe('rate_limited');
    clock.now += 1;
    expect(codeOf(other, '192.0.2.1')).toBeNull();
    fail('192.0.2.1', 1);
    expect(codeOf(other, '192.0.2.1')).toBe('rate_limited');
    clock.now += 3_600_000;
    fail('192.0.2.1', 19);
    expect(codeOf(other, '192.0.2.1')).toBeNull();
    fail('192.0.2.1', 1);
    expect(codeOf(other, '192.0.2.1')).toBe('rate_limited');
  });

  it('is kept for keys that were right lately, and only for exactly these', () => {
    const { failedKeys, codeOf, fail, clock } = open();
    failedKeys.succeeded('192.0.2.1', { id, digest });
    fail('192.0.2.1', 500);
    expect(failedKeys.findToken(plaintext, '192.0.2.1')?.id).toBe(id);
    expect(codeOf(other, '192.0.2.1')).toBe('rate_limited');
    const sameId = other.slice(0, 9) + id + other.slice(25);
    expect(codeOf(sameId, '192.0.2.1')).toBe('rate_limited');
    expect(codeOf(`${plaintext.slice(0, -1)}${plaintext.endsWith('x') ? 'y' : 'x'}`, '192.0.2.1')).toBe('rate_limited');
    failedKeys.admitAgain({ id, digest }, '192.0.2.1');
    const refused = expect.objectContaining({ code: 'rate_limited' });
    expect(() => failedKeys.admitAgain(findToken(other)!, '192.0.2.1')).toThrow(refused);
    expect(() => failedKeys.admitAgain({ id, digest: findToken(other)!.digest }, '192.0.2.1')).toThrow(refused);
    clock.now += 601_000;
    fail('192.0.2.1', 500);
    expect(codeOf(plaintext, '192.0.2.1')).toBe('rate_limited');
    expect(() => failedKeys.admitAgain({ id, digest }, '192.0.2.1')).toThrow(refused);
  });

  it('is one for all of an IPv6 network of one machine', () => {
    const { codeOf, fail } = open();
    for (let i = 1; i <= 20; i++) fail(`2001:db8::${i.toString(16)}`, 1);
    expect(codeOf(other, '2001:db8::ffff:1')).toBe('rate_limited');
    expect(codeOf(other, '2001:db8:0:0:1:2:3:4')).toBe('rate_limited');
    expect(codeOf(other, '2001:db8:0:1::1')).toBeNull();
  });

  it('does not remember more addresses than it has room for', () => {
    const { codeOf, fail } = open(1);
    fail('192.0.2.1', 1);
    for (let i = 0; i < 9_999; i++) fail(`10.0.${i >> 8}.${i & 255}`, 1);
    expect(codeOf(other, '192.0.2.1')).toBe('rate_limited');
    fail('10.1.0.0', 1);
    expect(codeOf(other, '192.0.2.1')).toBeNull();
    expect(codeOf(other, '10.1.0.0')).toBe('rate_limited');
  });
});
