import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { readProductionPackages, renderLicenses } from '../../setup/licenses.ts';
import { renderSbom } from '../../setup/sbom.ts';
import { root } from '../support/source-files.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const lockFile = read('package-lock.json');
const packages = readProductionPackages(lockFile);

/** Each asks for no more than that its text is kept. */
const permissive = /^(?:MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0|CC0-1\.0|Python-2\.0|Unlicense)$/;

/** Of a choice, one license that will do is enough: `(BSD-3-Clause OR GPL-2.0)`. */
function isPermissive(license: string | undefined): boolean {
  return (license ?? '')
    .replace(/^\(|\)$/g, '')
    .split(' OR ')
    .some((one) => permissive.test(one));
}

describe('what the product is shipped with', () => {
  it('runs no script of any package when it is installed', () => {
    expect(packages.length).toBeGreaterThan(50);
    expect(packages.filter(({ hasInstallScript }) => hasInstallScript)).toEqual([]);
  });

  it('is pinned to what was looked at, by version and by hash', () => {
    expect(packages.filter(({ integrity }) => !integrity?.startsWith('sha512-'))).toEqual([]);
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    for (const version of Object.values({ ...dependencies, ...devDependencies }))
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('may be shipped, by the license of every package', () => {
    expect(packages.filter(({ license }) => !isPermissive(license))).toEqual([]);
  });

  it('is listed in the SBOM with its hash, in the same bytes each time', () => {
    const made = renderSbom({ lockFile, packageJson: read('package.json') });
    expect(made).toBe(renderSbom({ lockFile, packageJson: read('package.json') }));
    const { components } = JSON.parse(made) as {
      components: { name: string; version: string; purl: string; hashes: { content: string }[] }[];
    };
    const listed = components.map(({ name, version }) => `${name}@${version}`);
    expect(new Set(listed)).toEqual(new Set(packages.map(({ name, version }) => `${name}@${version}`)));
    expect(new Set(listed).size).toBe(listed.length);
    for (const { hashes, purl } of components) {
      expect(hashes[0]?.content).toMatch(/^[0-9a-f]{128}$/);
      expect(purl).toMatch(/^pkg:npm\/(?:%40[^/@]+\/)?[^/@]+@\d/);
    }
  });

  it('is listed in docs/licenses.md as `npm run docs` writes it', () => {
    expect(read('docs/licenses.md')).toBe(renderLicenses(lockFile));
  });
});
