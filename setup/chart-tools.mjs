/**
 * `node setup/chart-tools.mjs`: builds the programs that the tests of the chart need, in versions that are fixed here, into
 * `.cache/chart-tools`: helm, kubeconform, and JSON schemas of the Kubernetes objects. Needs Go and its module proxy; the first
 * time takes some minutes, afterwards it finds everything there. `.ci/run` calls it; the tests skip what is not there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, stop } from './install.mjs';

const programs = {
  helm: 'helm.sh/helm/v3/cmd/helm@v3.22.0',
  kubeconform: 'github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0',
};
/** A helm that is built by hand takes itself for the client of Kubernetes 1.20, and refuses what needs a newer one. */
const linked = [
  '-s -w',
  ...['chartutil', 'lint/rules'].flatMap((name) => [
    `-X helm.sh/helm/v3/pkg/${name}.k8sVersionMajor=1`,
    `-X helm.sh/helm/v3/pkg/${name}.k8sVersionMinor=34`,
  ]),
].join(' ');
const directory = join(root, '.cache', 'chart-tools');
const generator = join(root, 'setup', 'kubernetes-schemas');
const stamp = join(directory, 'versions');

/** What is installed, as one text; it is written last, so that an install that was cut short is not taken for one. */
const versions = `${Object.values(programs).join('\n')}\n${linked}\n${readFileSync(join(generator, 'go.mod'), 'utf8')}${readFileSync(join(generator, 'main.go'), 'utf8')}`;

export function hasChartTools() {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === versions;
}

function installChartTools() {
  if (hasChartTools()) return;
  if (go(['version']).status !== 0)
    stop('helm and kubeconform are built with Go, which is not here.', 'Install Go 1.26 or newer and repeat.');
  process.stderr.write(
    'Building helm and kubeconform, and writing the Kubernetes schemas. The first time takes minutes.\n',
  );
  rmSync(stamp, { force: true });
  rmSync(join(directory, 'schemas'), { recursive: true, force: true });
  mkdirSync(join(directory, 'schemas'), { recursive: true });
  for (const [name, module] of Object.entries(programs)) {
    const { status } = go(['install', '-trimpath', `-ldflags=${linked}`, module], { GOBIN: join(directory, 'bin') });
    if (status !== 0)
      stop(`go install ${module} failed.`, `Its messages are above. Is there a module proxy for ${name}?`);
  }
  const { status } = go(['-C', generator, 'run', '.', join(directory, 'schemas')]);
  if (status !== 0) stop('The Kubernetes schemas could not be written.', 'The messages of Go are above.');
  writeFileSync(stamp, versions);
}

/** @param {string[]} words @param {Record<string, string>} [environment] */
function go(words, environment = {}) {
  return spawnSync('go', words, { stdio: ['ignore', 2, 2], env: { ...process.env, ...environment } });
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) installChartTools();
