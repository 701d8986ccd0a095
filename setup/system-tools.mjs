import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { stop } from './install.mjs';

/**
 * Makes sure that these programs are in the PATH: `{ 'redis-server': 'redis-server' }` is program and Debian package.
 * Installs them where the distribution is Debian's kind and we may; ends the process with a hint elsewhere.
 *
 * @param {Readonly<Record<string, string>>} packages
 */
export function ensureTools(packages) {
  const missing = missingTools(packages);
  if (missing.length === 0) return;
  const names = [...new Set(missing.map((tool) => packages[tool]))];
  const prefix = rootPrefix();
  if (!isInPath('apt-get') || prefix === null) {
    stop(
      `The tests need ${missing.join(', ')}, which ${missing.length === 1 ? 'is' : 'are'} not installed.`,
      `Install ${missing.length === 1 ? 'it' : 'them'}, for example with: sudo apt-get install ${names.join(' ')} (Debian, Ubuntu), or brew install ${names.join(' ').replace('-server', '')} (macOS).`,
    );
  }
  process.stderr.write(`Installing ${names.join(', ')} with apt-get, because the tests need ${missing.join(', ')}.\n`);
  installPackages(prefix, names);
  const still = missingTools(packages);
  if (still.length > 0) {
    stop(
      `apt-get could not install ${still.join(', ')}.`,
      'Its messages are above. Is there a network, and a mirror in sources.list?',
    );
  }
}

/**
 * Like {@link ensureTools} for what some tests can do without: those are skipped then, and say so. `modules` are modules of
 * Python and their Debian packages.
 *
 * @param {{ readonly programs: Readonly<Record<string, string>>, readonly modules: Readonly<Record<string, string>> }} wanted
 */
export function offerTools({ programs, modules }) {
  const missing = () => [
    ...missingTools(programs).map((tool) => ({ what: tool, name: programs[tool] })),
    ...Object.keys(modules)
      .filter((module) => !hasPythonModule(module))
      .map((module) => ({ what: `${module} for Python`, name: modules[module] })),
  ];
  const before = missing();
  const prefix = rootPrefix();
  if (before.length === 0) return;
  if (isInPath('apt-get') && prefix !== null) {
    const names = [...new Set(before.map(({ name }) => name))];
    process.stderr.write(`Installing ${names.join(', ')} with apt-get, which some tests use.\n`);
    installPackages(prefix, names);
  }
  const still = missing();
  if (still.length > 0)
    process.stderr.write(`Without ${still.map(({ what }) => what).join(', ')}, the tests that use it are skipped.\n`);
}

/** Debian's Python has what apt-get installs, also where another one comes first in the PATH. */
function hasPythonModule(module) {
  return ['python3', '/usr/bin/python3'].some(
    (python) => spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0,
  );
}

/**
 * @param {string[]} prefix
 * @param {string[]} names
 */
function installPackages(prefix, names) {
  run([...prefix, 'apt-get', '-qq', 'update']);
  run([
    ...prefix,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    '-qq',
    '-y',
    '--no-install-recommends',
    'install',
    ...names,
  ]);
}

/** @param {Readonly<Record<string, string>>} packages */
function missingTools(packages) {
  return Object.keys(packages).filter((tool) => !isInPath(tool));
}

/** How a command is run as root without asking anybody, or null where that is not possible. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return isInPath('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
    ? ['sudo', '-n']
    : null;
}

/** @param {string[]} words */
function run([command, ...words]) {
  spawnSync(command, words, { stdio: ['ignore', 2, 2] });
}

/**
 * Debian puts servers into a folder that only root has in the PATH.
 *
 * @param {string} tool
 */
function isInPath(tool) {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
