/**
 * `node setup/rootfs.mjs DIRECTORY`: the root file system of the image, in a directory that is not there yet. The
 * Dockerfile runs it and copies what it made, and a test starts the program in it, so that a file which the image lacks
 * is missed without a container engine.
 *
 * It holds Node with its libraries, the package with its production dependencies as in package-lock.json, the public roots,
 * and one shell, which is there to set the limit of core files: Node can't, and who can run Node needs no shell.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ensureBuilt, ensureInstalled, root, stop } from './install.mjs';

/** Of the image; the chart gives each component a number of its own. */
const user = 10001;
const roots = '/etc/ssl/certs/ca-certificates.crt';

const [target] = process.argv.slice(2);
if (target === undefined || existsSync(target))
  stop('The root file system needs a directory that is not there yet.', 'node setup/rootfs.mjs DIRECTORY');
const at = (path) => join(target, path);

const node = ensureInstalled();
ensureBuilt();
for (const directory of ['dev', 'etc/ssl/certs', 'opt', 'proc', 'run', 'sys', 'tmp', 'usr/local/bin', 'var/lib/alter'])
  mkdirSync(at(directory), { recursive: true });
chmodSync(at('tmp'), 0o1777);
chmodSync(at('var/lib/alter'), 0o700);
if (process.getuid?.() === 0) chownSync(at('var/lib/alter'), user, user);

installPackage(at('opt/alter-egress'));
copyProgram(realpathSync(node), 'usr/local/bin/node');
copyProgram(realpathSync('/bin/sh'), 'bin/sh');
// glibc loads these by name when a host is looked up, so no list of libraries shows them.
for (const name of ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2']) copyLibrary(name);

copyFileSync(join(root, 'setup/image/alter'), at('usr/local/bin/alter'));
chmodSync(at('usr/local/bin/alter'), 0o755);
if (!existsSync(roots)) stop(`${roots} is missing.`, 'Install the package ca-certificates.');
copyFileSync(roots, at(roots));
writeFileSync(at('etc/passwd'), `root:x:0:0::/:/none\nalter:x:${user}:${user}::/var/lib/alter:/none\n`);
writeFileSync(at('etc/group'), `root:x:0:\nalter:x:${user}:\n`);
// Without it glibc asks the name servers before the hosts file.
writeFileSync(at('etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');

/** What `npm pack` makes, with the packages of the lock file and a list of them. No script of any package is run. */
function installPackage(directory) {
  const work = mkdtempSync(join(tmpdir(), 'alter-rootfs-'));
  try {
    run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', work], root);
    const tarball = readdirSync(work).find((name) => name.endsWith('.tgz'));
    run('tar', ['-xzf', join(work, tarball), '-C', work, '--no-same-owner'], work);
    cpSync(join(work, 'package'), directory, { recursive: true });
    copyFileSync(join(root, 'package-lock.json'), join(directory, 'package-lock.json'));
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
    run('npm', ['ci', '--omit=dev', '--ignore-scripts', ...quiet], directory);
    // Without the development dependencies: `npm sbom --omit=dev` also leaves out what they happen to share with us.
    rmSync(join(directory, 'package-lock.json'));
    const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    delete manifest.devDependencies;
    writeFileSync(join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    const sbom = run('npm', ['sbom', '--sbom-format=cyclonedx', '--loglevel=error'], directory);
    writeFileSync(join(directory, 'sbom.cdx.json'), sbom);
  } finally {
    rmSync(work, { recursive: true });
  }
}

function copyProgram(source, path) {
  mkdirSync(dirname(at(path)), { recursive: true });
  copyFileSync(source, at(path));
  chmodSync(at(path), 0o755);
  for (const [, library] of run('ldd', [source], root).matchAll(/(?:=> |^\s+)(\/\S+)/gm)) copyAs(library);
}

function copyLibrary(name) {
  const [, path] = new RegExp(`^\\s+${name.replaceAll('.', '\\.')} .*=> (\\S+)`, 'm').exec(libraryCache()) ?? [];
  if (path !== undefined) copyAs(path);
}

function libraryCache() {
  return run(existsSync('/sbin/ldconfig') ? '/sbin/ldconfig' : 'ldconfig', ['-p'], root);
}

/** Under the path that the loader asks for, which is often a link. */
function copyAs(path) {
  mkdirSync(dirname(at(path)), { recursive: true });
  copyFileSync(realpathSync(path), at(path));
  chmodSync(at(path), 0o755);
}

/** What it printed. Ends this process where it fails. */
function run(command, words, cwd) {
  const { status, stdout, error } = spawnSync(command, words, {
    cwd,
    stdio: ['ignore', 'pipe', 2],
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) stop(`${command} ${words[0]} failed (${error?.code ?? status}).`, 'Its messages are above.');
  return stdout;
}

process.stdout.write(
  `${readFileSync(at('opt/alter-egress/package.json'), 'utf8').match(/"version": "[^"]+"/)[0]} in ${target}\n`,
);
