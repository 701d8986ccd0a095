import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { nodeVersionProblem } from '../../core/node-version.ts';
import { root } from '../support/source-files.ts';
import { type Installed, makeFirstRequest, runInstalled, serveInstalled } from './first-request.ts';

const run = (command: string, words: readonly string[], cwd: string) =>
  spawnSync(command, words, { cwd, encoding: 'utf8', env: { ...process.env, npm_config_loglevel: 'error' } });

/** A Node of this machine that the product does not support, if there is one. */
function findOldNode(): string | null {
  const candidates = ['/usr/bin/node', '/usr/local/bin/node'].filter((path) => existsSync(path));
  return (
    candidates.find((path) => {
      const { status, stdout } = run(path, ['--version'], '/');
      return status === 0 && nodeVersionProblem(stdout.trim()) !== null;
    }) ?? null
  );
}

describe('the npm package', () => {
  let directory: string;
  let files: readonly { readonly mode: string; readonly path: string }[];
  let installed: Installed;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'alter-package-'));
    // What is built stands: `npm test` has built it, and a build now would pull dist/ from under other suites.
    const packed = run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], root);
    expect([packed.stderr, packed.status]).toEqual([expect.anything(), 0]);
    const tarball = join(directory, readdirSync(directory).find((name) => name.endsWith('.tgz'))!);
    files = run('tar', ['-tvzf', tarball], directory)
      .stdout.trim()
      .split('\n')
      .map((line) => ({ mode: line.slice(0, 10), path: line.slice(line.indexOf('package/') + 'package/'.length) }));
    const home = join(directory, 'home');
    mkdirSync(home);
    const words = ['install', '--ignore-scripts', '--omit=dev', '--no-audit', '--no-fund', '--prefer-offline', tarball];
    const done = run('npm', words, home);
    expect([done.stderr, done.status]).toEqual([expect.anything(), 0]);
    installed = {
      command: [join(home, 'node_modules/.bin/alter')],
      env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: home },
      cwd: home,
      state: join(home, '.alter'),
      node: process.execPath,
    };
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('holds the compiled program and its licence, and nothing that only a clone needs', () => {
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'dist/serve/main.js']));
    const others = paths.filter((path) => !/^(?:package\.json|README\.md|LICENSE|dist\/[\w/-]+\.js)$/.test(path));
    expect(others).toEqual([]);
  });

  it('lets the command be executed, and no other file', () => {
    expect(files.filter(({ mode }) => mode.includes('x')).map(({ path }) => path)).toEqual(['dist/cli/bin.js']);
  });

  it('says its version', async () => {
    const { code, stdout } = await runInstalled(installed, ['--version']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^alter-egress\/\d+\.\d+\.\d+ .* node-v/)]);
  });

  it('serves a first request from an empty directory, and stops when it is told to', async () => {
    const served = await serveInstalled(installed);
    try {
      await makeFirstRequest(installed, served);
      served.child.kill('SIGTERM');
      expect(await served.ended).toBe(0);
    } finally {
      served.child.kill('SIGKILL');
    }
  });

  const old = findOldNode();
  (old === null ? it.skip : it)('says on an older Node which one it needs, and nothing else', () => {
    const command = join(directory, 'home/node_modules/alter-egress/dist/cli/bin.js');
    const { status, stdout, stderr } = run(old!, [command, '--version'], '/');
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Error: Node\.js \S+ is not supported: .*22\.22\.2.*\n$/);
  });
});
