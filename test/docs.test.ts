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

  it('names in test/attack/README.md every attack, and only files that are there', () => {
    const folder = new URL('attack/', import.meta.url);
    const text = readFileSync(new URL('README.md', folder), 'utf8');
    const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
    for (const [, name = ''] of text.matchAll(/`([a-z-]+)`/g))
      if (name !== 'smaller') expect(files).toContain(`${name}.test.ts`);
    expect(files.filter((name) => !text.includes(`\`${name.replace('.test.ts', '')}\``))).toEqual([]);
    for (const [, path = ''] of text.matchAll(/`(test\/[\w./-]+)`/g))
      expect([path, existsSync(new URL(`../${path}`, import.meta.url))]).toEqual([path, true]);
  });

  it('links in no page to a file or a heading that is not there', () => {
    const root = new URL('../', import.meta.url);
    const pages = ['.', 'docs', 'docs/decisions', 'helm', 'examples', 'bench', 'test/attack'].flatMap((folder) =>
      readdirSync(new URL(`${folder}/`, root)).flatMap((name) => (name.endsWith('.md') ? [`${folder}/${name}`] : [])),
    );
    expect(pages.length).toBeGreaterThan(30);
    const dead: string[] = [];
    let links = 0;
    for (const page of pages)
      for (const [, target = ''] of prose(readFileSync(new URL(page, root), 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        links += 1;
        const { pathname, hash } = new URL(target, new URL(page, root));
        const isThere =
          existsSync(pathname) && (hash === '' || anchors(readFileSync(pathname, 'utf8')).has(hash.slice(1)));
        if (!isThere) dead.push(`${page}: ${target}`);
      }
    expect(links).toBeGreaterThan(50);
    expect(dead).toEqual([]);
  });

  it('gives every decision a number of its own', () => {
    const names = readdirSync(new URL('../docs/decisions/', import.meta.url)).toSorted();
    expect(names.map((name) => Number(name.slice(0, 4)))).toEqual(names.map((_, index) => index + 1));
    for (const name of names)
      expect(read(`decisions/${name}`)).toMatch(new RegExp(`^# ${Number(name.slice(0, 4))}\\. `));
  });
});

/** A page without what stands in it as code. */
function prose(page: string): string {
  return page.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
}

/** What the headings of a page are linked by. */
function anchors(page: string): ReadonlySet<string> {
  const headings = page.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, text = '']) =>
      text
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}
