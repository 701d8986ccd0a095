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
  const still = missingTools(packages);
  if (still.length > 0) {
    stop(
      `apt-get could not install ${still.join(', ')}.`,
      'Its messages are above. Is there a network, and a mirror in sources.list?',
    );
  }
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

/** @param {string} tool */
function isInPath(tool) {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
