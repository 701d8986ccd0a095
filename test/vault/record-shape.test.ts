import { describe, expect, it } from '@jest/globals';
import { keyKind } from '../../vault/records/key-repository.ts';
import {
  listOf,
  objectOf,
  oneOf,
  orNull,
  readShape,
  type Shape,
  text,
  whole,
} from '../../vault/records/record-shape.ts';
import { secretKind } from '../../vault/records/secret-repository.ts';

interface Thing {
  readonly id: string;
  readonly count: number;
  readonly kind: 'a' | 'b';
  readonly parts: readonly { readonly name: string }[];
  readonly note: string | null;
}
const shape: Shape<Thing> = {
  id: text(8),
  count: whole,
  kind: oneOf(['a', 'b']),
  parts: listOf(objectOf({ name: text(8) }), 2),
  note: orNull(text(8)),
};
const good = { id: 'x', count: 1, kind: 'a', parts: [{ name: 'p' }], note: null };
const read = (json: string) => readShape(shape, Buffer.from(json));

describe('the strict reading of a record', () => {
  it('gives back what has exactly the fields of the shape', () => {
    expect(read(JSON.stringify(good))).toEqual(good);
  });

  it('refuses a missing field, an unknown one, a wrong type, a too long text or list, and what is no JSON object', () => {
    const { note: _, ...short } = good;
    const bad: unknown[] = [
      short,
      { ...good, extra: 1 },
      { ...good, id: 1 },
      { ...good, id: '123456789' },
      { ...good, count: '1' },
      { ...good, count: -1 },
      { ...good, count: 1.5 },
      { ...good, count: 2 ** 53 },
      { ...good, kind: 'c' },
      { ...good, kind: ['a'] },
      { ...good, parts: {} },
      { ...good, parts: [{ name: 'p', extra: 1 }] },
      { ...good, parts: [{ name: 'p' }, { name: 'p' }, { name: 'p' }] },
      { ...good, note: undefined },
      [good],
      null,
      'text',
      7,
    ];
    for (const value of bad) expect(read(JSON.stringify(value) ?? '')).toBeNull();
    expect(read('')).toBeNull();
    expect(read('{')).toBeNull();
    expect(read('{"count":1e999}')).toBeNull();
    expect(readShape(shape, Buffer.from([0x22, 0xff, 0x22]))).toBeNull();
  });

  it('takes a field that an earlier release did not keep for what its absence means, and no other field', () => {
    const { note: _, ...before } = good;
    const readBefore = (json: string) => readShape(shape, Buffer.from(json), { note: null });
    expect(readBefore(JSON.stringify(before))).toEqual(good);
    expect(readBefore(JSON.stringify({ ...good, note: 'kept' }))).toEqual({ ...good, note: 'kept' });
    const { count: __, ...without } = before;
    expect(readBefore(JSON.stringify(without))).toBeNull();
    expect(readBefore(JSON.stringify({ ...before, extra: 1 }))).toBeNull();
    expect(readBefore(`{"__proto__":{"note":"x"},${JSON.stringify(before).slice(1)}`)).toBeNull();
    for (const json of ['[]', 'null', '"text"', '7']) expect(readBefore(json)).toBeNull();
  });

  it('reads secrets from before there were templates, and keys from before they were rotated', () => {
    const secret = {
      ...{ id: 's', appId: 'a', slug: 's', name: 'S', description: null, credentialType: 'bearer_token' },
      ...{ injectionHeader: 'Authorization', injectionFormat: 'Bearer {token}', injectionRules: [], fieldNames: [] },
      ...{ accountIdentifier: null, accountDisplayName: null, allowedHosts: [], version: 1 },
      ...{ createdAt: 1, updatedAt: 1, rotatedAt: null },
    };
    const key = {
      ...{ id: 'k', appId: 'a', keyType: 'runtime', name: 'K', scopes: [], cidr: [], rateLimitRpm: null },
      ...{ expiresAt: null, digest: '0'.repeat(64), createdAt: 1, revokedAt: null },
    };
    const bytes = (record: object) => Buffer.from(JSON.stringify(record));
    expect(readShape(secretKind.shape, bytes(secret), secretKind.absent)).toMatchObject({ ...secret, template: null });
    expect(readShape(keyKind.shape, bytes(key), keyKind.absent)).toMatchObject({ rotatedFrom: null, rotatedAt: null });
  });

  it('refuses __proto__, constructor and prototype as fields, and pollutes nothing', () => {
    const inner = JSON.stringify(good).slice(1);
    expect(read(`{"__proto__":{"polluted":1},${inner}`)).toBeNull();
    expect(read(`{"constructor":{"prototype":{"polluted":1}},${inner}`)).toBeNull();
    expect(read(JSON.stringify(good).replace('"note":null', '"__proto__":null'))).toBeNull();
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});
