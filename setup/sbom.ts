/**
 * `npm run sbom`: the packages that the product is shipped with, as CycloneDX, on standard output. Made from
 * package-lock.json alone, so that two people get the same bytes and nothing is fetched.
 */
import { readFileSync } from 'node:fs';
import { type ProductionPackage, readProductionPackages } from './licenses.ts';

/** `serialNumber` and `timestamp` are left out: they would make each run another document. */
export function renderSbom(of: { readonly lockFile: string; readonly packageJson: string }): string {
  const { name, version, license } = JSON.parse(of.packageJson) as Readonly<Record<string, string>>;
  const unique = new Map(readProductionPackages(of.lockFile).map((one) => [`${one.name}@${one.version}`, one]));
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': `${name}@${version}`,
        name,
        version,
        purl: `pkg:npm/${name}@${version}`,
        licenses: [{ license: { id: license } }],
      },
    },
    components: [...unique.values()].map(component),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function component({ name, version, license, integrity }: ProductionPackage) {
  // A scope is percent-encoded in a package URL: pkg:npm/%40koa/router@15.7.0
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const [algorithm, digest = ''] = (integrity ?? '').split('-');
  return {
    type: 'library',
    'bom-ref': `${name}@${version}`,
    name,
    version,
    purl,
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
    ...(algorithm === 'sha512'
      ? { hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }] }
      : {}),
  };
}

if (import.meta.main) {
  const read = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
  process.stdout.write(renderSbom({ lockFile: read('package-lock.json'), packageJson: read('package.json') }));
}
