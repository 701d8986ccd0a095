/**
 * Makes a fresh clone runnable. Runs on Node 20 and newer with nothing installed, so it uses nothing but Node and npm.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isSupportedNode } from './node-version.mjs';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

const modules = join(root, 'node_modules');
const binaries = join(modules, '.bin');
const nodePackage = join(modules, 'node');
const bundledNode = join(nodePackage, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
/** Says that the Node of this project could not be had, so that the next start does not try the network again. */
const withoutNodeMark = join(nodePackage, '.not-available');
const dist = join(root, 'dist');
const buildStamp = join(dist, '.inputs');
const commandFile = join(dist, 'cli', 'bin.js');

const { engines } = readJson(join(root, 'package.json'));

/**
 * Installs what package-lock.json names, if that is not what is there, and gives the path of the Node to run the product
 * with. Ends the process with a hint when it can't.
 *
 * @returns {string}
 */
export function ensureInstalled() {
  if (!isInstalled()) {
    say('Installing the packages of package-lock.json. This happens once and takes about half a minute.');
    // Warnings are left out: on an older Node npm has one for every package that wants a newer one, and it is on its way.
    npm(['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']);
  }
  if (canRun(bundledNode)) return bundledNode;
  const isThisOneFit = isSupportedNode(process.version, engines.node);
  if (!isThisOneFit || !existsSync(withoutNodeMark)) fetchNode();
  if (canRun(bundledNode)) return bundledNode;
  if (isThisOneFit) return process.execPath;
  return stop(
    `Node ${engines.node} is needed. This is ${process.version}, and the package node@${lockedNodeVersion()} has no binary for this machine or could not be fetched.`,
    'Install a Node that fits, or let npm reach its registry, and repeat the command.',
  );
}

/** Compiles the sources to dist/, if they are not what dist/ was made of, and links `alter` into node_modules/.bin. */
export function ensureBuilt() {
  const inputs = digestOfInputs();
  if (!existsSync(commandFile) || !existsSync(buildStamp) || readFileSync(buildStamp, 'utf8') !== inputs) {
    say('Building.');
    rmSync(buildStamp, { force: true });
    const compiler = join(modules, 'typescript', 'bin', 'tsc');
    const { status } = spawnSync(ensureInstalled(), [compiler, '-p', 'tsconfig.build.json'], {
      cwd: root,
      stdio: ['ignore', 2, 2],
    });
    if (status !== 0) stop('The build failed.', 'The messages of the compiler are above.');
    removeOutputsWithoutSource();
    writeFileSync(buildStamp, inputs);
  }
  chmodSync(commandFile, 0o755);
  link(commandFile, 'alter');
}

/** What `npm ci` leaves behind tells what it installed; an install that was cut short leaves nothing. */
function isInstalled() {
  const record = join(modules, '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = readJson(join(root, 'package-lock.json')).packages;
  const present = readJson(record).packages;
  return Object.entries(wanted).every(([path, { version, optional, devOptional }]) => {
    if (path === '') return true;
    // Packages for other platforms are in the lock file, and rightly not on the disk.
    if (present[path] === undefined) return optional === true || devOptional === true;
    return present[path].version === version && existsSync(join(root, path, 'package.json'));
  });
}

/**
 * Runs the one install script that this project wants: that of the package `node`, which fetches the binary for this
 * platform. All others stay unrun, whatever npm's version and settings are.
 */
function fetchNode() {
  say(`Fetching Node ${lockedNodeVersion()} for this project (this process runs on ${process.version}).`);
  const { status, stdout, stderr } = spawnSync(hostNode(), ['installArchSpecificPackage.js'], {
    cwd: nodePackage,
    env: {
      ...hostEnvironment(),
      npm_config_audit: 'false',
      npm_config_fund: 'false',
      npm_config_ignore_scripts: 'true',
    },
    encoding: 'utf8',
  });
  if (status === 0 && canRun(bundledNode)) {
    // npm links a binary only if it is there when the package is unpacked.
    link(bundledNode, 'node');
    return;
  }
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  if (!isSupportedNode(process.version, engines.node)) return;
  say(`It could not be fetched; ${process.version} of this machine fits and is used instead.`);
  writeFileSync(withoutNodeMark, '');
}

/** @param {string[]} words */
function npm(words) {
  const cli = process.env.npm_execpath;
  const [command, first] = cli?.endsWith('npm-cli.js') ? [hostNode(), [cli]] : ['npm', []];
  const { status, error } = spawnSync(command, [...first, ...words], {
    cwd: root,
    env: hostEnvironment(),
    stdio: ['ignore', 2, 2],
  });
  if (error !== undefined)
    stop(`npm could not be started (${error.code}).`, 'Install npm 10 or newer; it comes with Node.');
  if (status !== 0) {
    stop(
      `npm ${words[0]} failed (exit code ${status}).`,
      'Its messages are above. It needs the network, or a registry mirror set with `npm config set registry`.',
    );
  }
}

/** The Node of the machine: `npm ci` deletes node_modules, and with it the Node of this project, which may be running us. */
function hostNode() {
  if (!process.execPath.startsWith(modules)) return process.execPath;
  const fromNpm = process.env.npm_node_execpath;
  return fromNpm !== undefined && !fromNpm.startsWith(modules) ? fromNpm : 'node';
}

function hostEnvironment() {
  const path = (process.env.PATH ?? '').split(delimiter).filter((entry) => !resolve(entry).startsWith(modules));
  return { ...process.env, PATH: path.join(delimiter) };
}

/** @param {string} node */
function canRun(node) {
  if (!existsSync(node)) return false;
  const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8', env: { PATH: process.env.PATH } });
  return status === 0 && isSupportedNode(stdout.trim(), engines.node);
}

function lockedNodeVersion() {
  return readJson(join(root, 'package-lock.json')).packages['node_modules/node'].version;
}

/** Paths, sizes and times of everything that the build reads. */
function digestOfInputs() {
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  const sources = readJson(join(root, 'tsconfig.build.json')).include.flatMap((entry) => filesBelow(join(root, entry)));
  const digest = createHash('sha256');
  for (const file of [...settings.map((name) => join(root, name)), ...sources.sort()]) {
    const { size, mtimeMs } = statSync(file);
    digest.update(`${relative(root, file)} ${size} ${mtimeMs}\n`);
  }
  return digest.digest('hex');
}

/** A file that was renamed or deleted must not live on in dist/. */
function removeOutputsWithoutSource() {
  for (const output of filesBelow(dist)) {
    const source = join(root, relative(dist, output)).replace(/\.js(\.map)?$/, '.ts');
    if (!existsSync(source)) rmSync(output);
  }
}

/** @param {string} path @returns {string[]} */
function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const child = join(path, entry.name);
    return entry.isDirectory() ? filesBelow(child) : [child];
  });
}

/** @param {string} target @param {string} name */
function link(target, name) {
  // Windows has no executable bits and needs a shim instead; `npm exec` finds the command through package.json there.
  if (process.platform === 'win32') return;
  mkdirSync(binaries, { recursive: true });
  const path = join(binaries, name);
  rmSync(path, { force: true });
  symlinkSync(relative(binaries, target), path);
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`${text}\n`);
}

/** @param {string} message @param {string} hint @returns {never} */
export function stop(message, hint) {
  process.stderr.write(`\nError: ${message}\nHint: ${hint}\n`);
  process.exit(1);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  ensureInstalled();
  ensureBuilt();
}
