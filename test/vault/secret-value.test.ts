/* oxlint-disable typescript/restrict-template-expressions, typescript/no-misused-spread -- what the linter warns of is what is tried here */
import { format, inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { SecretValue } from '../../vault/secret-value.ts';

const canary = 'sk_live_canary_4242';

describe('a SecretValue', () => {
  const value = SecretValue.of({ token: canary, username: 'joe' });

  it('prints [secret] in every way of printing', () => {
    for (const printed of [
      String(value),
      `${value}`,
      value.toString(),
      JSON.stringify({ value }),
      inspect(value),
      inspect({ deep: { value } }, { showHidden: true, depth: 9, getters: true }),
      inspect(value, { customInspect: true }),
      format('%s %o %O %j', value, value, value, value),
      String(new Error(`failed with ${value}`, { cause: value })),
      inspect(new Error('failed', { cause: value })),
    ]) {
      expect(printed).not.toContain(canary);
      expect(printed).not.toContain('joe');
    }
    expect(`${value}`).toBe('[secret]');
    expect(JSON.stringify(value)).toBe('"[secret]"');
    expect(inspect(value)).toBe('[secret]');
    expect(inspect(value, { customInspect: false, showHidden: true })).not.toContain(canary);
  });

  it('gives nothing to a spread, Object.assign, a loop over its keys or structuredClone', () => {
    expect(Object.keys({ ...value })).toEqual([]);
    expect(Object.assign({}, value)).toEqual({});
    expect(Reflect.ownKeys(value)).toEqual([]);
    expect(JSON.stringify(structuredClone(value))).toBe('{}');
  });

  it('reveals its fields to whoever asks by name, and they can not be changed', () => {
    expect(value.reveal()).toEqual({ token: canary, username: 'joe' });
    expect(value.fieldNames).toEqual(['token', 'username']);
    expect(() => Object.assign(value.reveal(), { token: 'other' })).toThrow(TypeError);
  });

  it('does not follow its source, and has no way to Object.prototype', () => {
    const source = { token: 'first' };
    const copy = SecretValue.of(source);
    source.token = 'second';
    expect(copy.reveal().token).toBe('first');
    expect(Object.getPrototypeOf(copy.reveal())).toBeNull();
    expect(SecretValue.of(JSON.parse('{"__proto__":"x"}')).reveal().polluted).toBeUndefined();
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});
