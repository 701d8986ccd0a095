import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { findStrictJson } from '../../proxy/caller/strict-json.ts';

const read = (text: string) => findStrictJson(Buffer.from(text));

describe('the strict reading of JSON', () => {
  it('reads every object that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
        const text = JSON.stringify(value);
        expect(read(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('finds a member that stands twice, at any depth and however it is written', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue({ maxDepth: 3 }), fc.nat(5), (name, value, depth) => {
        const plain = JSON.stringify(name);
        const units = name.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
        const escaped = `"${units.join('')}"`;
        const twice = `{${plain}:${JSON.stringify(value)},"":[{}],${escaped} \n:1}`;
        expect(read(`${'{"a":['.repeat(depth)}${twice}${']}'.repeat(depth)}`)).toBeNull();
      }),
    );
  });

  it.each([
    '[]',
    'null',
    '"{}"',
    '1',
    '',
    '{',
    '{"a":1}{"a":1}',
    "{'a':1}",
    '{"a":NaN}',
    '\ufeff{}',
    '{"a":1,}',
    `{"a":${'['.repeat(17)}${']'.repeat(17)}}`,
  ])('gives nothing for %j', (text) => {
    expect(read(text)).toBeNull();
  });

  it('takes what looks like a member inside a text for what it is', () => {
    expect(read('{"a":"\\"a\\":1,{","b":"}"}')).toEqual({ a: '"a":1,{', b: '}' });
  });
});
