import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { settingNames } from '../core/config.ts';
import { errorTable, policyErrors } from '../core/errors.ts';
import { renderConfig, renderErrors } from '../setup/docs.ts';

const read = (name: string): string => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8');
const firstCells = (text: string): string[] => [...text.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]!);

describe('the documentation', () => {
  it.each([
    ['errors.md', renderErrors],
    ['config.md', renderConfig],
  ])('docs/%s is what `npm run docs` makes of the code', (name, render) => {
    expect(read(name)).toBe(render());
  });

  it('names every error code and policy error, and none that is not there', () => {
    const named = new Set(firstCells(read('errors.md')));
    expect([...named].sort()).toEqual([...new Set([...Object.keys(errorTable), ...policyErrors])].sort());
  });

  it('names every setting, and none that is not there', () => {
    expect(firstCells(read('config.md')).sort()).toEqual([...settingNames].sort());
    const mentioned = new Set(read('config.md').match(/ALTER_[A-Z_]+/g));
    expect(mentioned.size).toBeGreaterThanOrEqual(settingNames.length);
  });

  it('names in its hints only settings that exist', () => {
    for (const { detail, hint } of Object.values(errorTable))
      for (const name of `${detail} ${hint}`.match(/ALTER_[A-Z_]+/g) ?? [])
        expect([...settingNames, 'ALTER_PAT']).toContain(name);
  });

  it('names in test/attack/README.md only files that are there', () => {
    const folder = new URL('attack/', import.meta.url);
    const text = readFileSync(new URL('README.md', folder), 'utf8');
    const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
    for (const [, name = ''] of text.matchAll(/`([a-z-]+)`/g))
      if (name !== 'smaller') expect(files).toContain(`${name}.test.ts`);
    for (const [, path = ''] of text.matchAll(/`(test\/[\w./-]+)`/g))
      expect([path, existsSync(new URL(`../${path}`, import.meta.url))]).toEqual([path, true]);
  });
});
