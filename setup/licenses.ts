/** Writes docs/licenses.md, the packages that the product is shipped with, from package-lock.json: part of `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs';

export interface ProductionPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string | undefined;
  readonly integrity: string | undefined;
  readonly hasInstallScript: boolean;
}

interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}

/** What `npm install --omit=dev` would install, by name and version. */
export function readProductionPackages(lockFile: string): ProductionPackage[] {
  const { packages } = JSON.parse(lockFile) as { packages: Record<string, LockedPackage> };
  return Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true)
    .map(([path, { version, license, integrity, hasInstallScript }]) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      license,
      integrity,
      hasInstallScript: hasInstallScript === true,
    }))
    .sort((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1));
}

export function renderLicenses(lockFile: string): string {
  const rows = new Set(
    readProductionPackages(lockFile).map(
      ({ name, version, license }) => `| ${name} | ${version} | ${license ?? 'unknown'} |`,
    ),
  );
  return `# Licenses

Alter Egress is under the [Apache License 2.0](../LICENSE). It is shipped with these packages; the text of each license lies in its
folder below \`node_modules\`. The image also holds Node.js, the GNU C library, dash, and the certificates of Mozilla's root program.

| package | version | license |
| --- | --- | --- |
${[...rows].join('\n')}

---

Made from \`package-lock.json\` by \`npm run docs\`.
`;
}

if (import.meta.main) {
  const file = (path: string): URL => new URL(`../${path}`, import.meta.url);
  writeFileSync(file('docs/licenses.md'), renderLicenses(readFileSync(file('package-lock.json'), 'utf8')));
}
