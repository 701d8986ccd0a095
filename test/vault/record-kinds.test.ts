import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { recordKinds, recordTypes } from '../../vault/records/record-kinds.ts';

it('every kind of record that is declared stands in the list, once', () => {
  const folder = join(import.meta.dirname, '../../vault');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const declared = files.flatMap((file) =>
    [
      ...readFileSync(join(folder, file), 'utf8').matchAll(
        /^(?:export )?const \w+: RecordKind<.*?> = \{\s*type: '([\w-]+)'/gms,
      ),
    ].map(([, type]) => type),
  );
  expect(declared.length).toBeGreaterThan(12);
  expect(new Set(recordKinds.map(({ type }) => type))).toEqual(new Set(declared));
  expect(recordKinds).toHaveLength(declared.length);
  expect(new Set(recordTypes).size).toBe(recordTypes.length);
});
