import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { findAppKey, formatAppKey } from '../../core/app-key.ts';
import { parseConfig } from '../../core/config.ts';
import { AlterError } from '../../core/errors.ts';

const appKey = { appId: '01980000-0000-7000-8000-000000000000', key: randomBytes(32) };
const token = formatAppKey(appKey);

describe('an app key', () => {
  it('is one word that names its app, and is read back as it was', () => {
    expect(token).toMatch(/^alter_appkey_01980000-0000-7000-8000-000000000000_[\w-]{43}[0-9A-Za-z]{6}$/);
    expect(findAppKey(token)).toEqual(appKey);
  });

  it('is told from one that was mistyped at any place, cut or extended', () => {
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === 'x' ? 'y' : 'x';
      expect(findAppKey(token.slice(0, at) + other + token.slice(at + 1))).toBeNull();
      expect(findAppKey(token.slice(0, at) + token.slice(at + 1))).toBeNull();
    }
    for (const text of [`${token}0`, ` ${token}`, token.toUpperCase(), '']) expect(findAppKey(text)).toBeNull();
  });
});

describe('ALTER_APP_KEY', () => {
  const values = {
    ALTER_APP_KEY: token,
    ALTER_STORE_URL: 'redis://h',
    ALTER_TRUST_BUNDLE_FILE: '/run/alter/bundle.pem',
  };
  const problemsOf = (more: Readonly<Record<string, string | undefined>>): string[] => {
    try {
      parseConfig({ ...values, ...more });
      return [];
    } catch (error) {
      if (!(error instanceof AlterError)) throw error;
      expect(JSON.stringify(error.problems)).not.toContain(token.slice(-20));
      return (error.problems ?? []).map(({ field, message }) => `${field} ${message}`);
    }
  };

  it('takes the place of the root key', () => {
    expect(problemsOf({})).toEqual([]);
    expect(parseConfig(values).appKey).toEqual(appKey);
    expect(JSON.stringify(parseConfig(values))).not.toContain(token.slice(-20));
  });

  it.each<[Readonly<Record<string, string | undefined>>, string]>([
    [{ ALTER_APP_KEY: `${token}x` }, 'ALTER_APP_KEY must be an app key'],
    [{ ALTER_ROOT_KEY: randomBytes(32).toString('base64') }, 'ALTER_APP_KEY is given together with ALTER_ROOT_KEY'],
    [{ ALTER_STORE_URL: undefined }, 'ALTER_STORE_URL must be a Redis store'],
    [{ ALTER_TRUST_BUNDLE_FILE: undefined }, 'ALTER_TRUST_BUNDLE_FILE must be given'],
  ])('is refused with %o', (more, problem) => {
    expect(problemsOf(more)).toContainEqual(expect.stringContaining(problem));
  });
});
