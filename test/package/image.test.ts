import { spawnSync } from 'node:child_process';
import {
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { loadConfig } from '../../serve/settings.ts';
import { readProductionPackages } from '../../setup/licenses.ts';
import { root } from '../support/source-files.ts';
import { type Installed, runInstalled, serveInstalled } from './first-request.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const dockerfile = read('Dockerfile');
const user = 10001;

/** Whether a root file system can be entered as a container would: namespaces of its own, another root, another user. */
const canEnter =
  process.platform === 'linux' &&
  spawnSync('unshare', ['--mount', '--pid', '--fork', 'chroot', '--userspec=1:1', '/', '/bin/true']).status === 0;
const itInside = canEnter ? it : it.skip;
if (!canEnter) process.stdout.write('Left out: the program in the root file system of the image, which needs root.\n');

/** The files that .dockerignore lets through, where the build may not see more than the engine would. */
function copyContext(to: string): void {
  mkdirSync(to);
  const entries = read('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'));
  for (const entry of entries) cpSync(join(root, entry.slice(1)), join(to, entry.slice(1)), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(to, 'node_modules')); // what `npm ci` would fetch again
}

describe('the image', () => {
  let directory: string;
  let rootfs: string;
  let installed: Installed;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'alter-image-'));
    copyContext(join(directory, 'context'));
    rootfs = join(directory, 'rootfs');
    const made = spawnSync(process.execPath, ['setup/rootfs.mjs', rootfs], {
      cwd: join(directory, 'context'),
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(made.stderr);
    const state = join(directory, 'state');
    mkdirSync(state, { mode: 0o700 });
    if (canEnter) chownSync(state, user, user);
    // As an engine would with `--read-only --user`: only the state and what the kernel provides can be written.
    const enter = [
      `mount --bind ${rootfs} ${rootfs}`,
      `mount --bind ${state} ${rootfs}/var/lib/alter`,
      `mount -t proc proc ${rootfs}/proc`,
      `mount --bind /dev ${rootfs}/dev`,
      `mount -o remount,bind,ro ${rootfs}`,
      `exec chroot --userspec=${user}:${user} --groups= ${rootfs} /bin/sh -c 'cd /var/lib/alter && exec "$@"' enter "$@"`,
    ].join(' && ');
    installed = {
      command: [
        'unshare',
        '--mount',
        '--pid',
        '--fork',
        '--kill-child',
        'sh',
        '-c',
        enter,
        'sh',
        '/usr/local/bin/alter',
      ],
      env: { PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/var/lib/alter' },
      cwd: '/',
      state: join(state, '.alter'),
      node: '/usr/local/bin/node',
    };
  }, 180_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('has the files that the Dockerfile names', () => {
    const paths = [...dockerfile.matchAll(/"(\/[^"]+)"/g)].map((match) => match[1]!);
    expect(paths.length).toBeGreaterThan(1);
    for (const path of paths) expect([path, existsSync(join(rootfs, path))]).toEqual([path, true]);
  });

  it('holds Node, one shell and the product: no package manager, no test, no source', () => {
    expect(readdirSync(join(rootfs, 'usr/local/bin')).sort()).toEqual(['alter', 'node']);
    expect(readdirSync(join(rootfs, 'bin'))).toEqual(['sh']);
    const product = join(rootfs, 'opt/alter-egress');
    expect(readdirSync(product).sort()).toEqual(
      ['LICENSE', 'README.md', 'dist', 'node_modules', 'package.json', 'sbom.cdx.json'].sort(),
    );
    for (const name of ['jest', 'typescript', 'node', '@swc'])
      expect(existsSync(join(product, 'node_modules', name))).toBe(false);
  });

  it('lets nobody but root change a file, and gives no file the rights of its owner', () => {
    for (const entry of readdirSync(rootfs, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const { mode, uid } = lstatSync(path);
      if (entry.isSymbolicLink() || path === join(rootfs, 'tmp') || path === join(rootfs, 'var/lib/alter')) continue;
      expect([path, (mode & 0o6022).toString(8), uid]).toEqual([path, '0', process.getuid?.()]);
    }
  });

  it('lists in its SBOM exactly the packages that it was shipped with', () => {
    const sbom = JSON.parse(readFileSync(join(rootfs, 'opt/alter-egress/sbom.cdx.json'), 'utf8')) as {
      components: { name: string; version: string }[];
    };
    const listed = new Set(sbom.components.map(({ name, version }) => `${name}@${version}`));
    const shipped = new Set(
      readProductionPackages(read('package-lock.json')).map(({ name, version }) => `${name}@${version}`),
    );
    expect([...listed].sort()).toEqual([...shipped].sort());
  });

  itInside('runs the command as a user without rights, on a file system that can not be written', async () => {
    const { code, stdout, stderr } = await runInstalled(installed, ['--version']);
    expect([code, stderr, stdout]).toEqual([0, '', expect.stringMatching(/^alter-egress\/\d/)]);
  });

  itInside('makes a trust bundle from the public roots, for the init container of a workload', async () => {
    const anyCa = readFileSync(join(rootfs, 'etc/ssl/certs/ca-certificates.crt'), 'utf8').match(
      /-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/,
    )![0];
    writeFileSync(join(directory, 'state/authority.pem'), anyCa);
    const words = ['ca', 'bundle', '--ca', 'authority.pem'];
    const { code, stdout } = await runInstalled(installed, words);
    expect(code).toBe(0);
    expect(stdout.match(/BEGIN CERTIFICATE/g)!.length).toBeGreaterThan(50);
  });

  itInside(
    'serves a first request by the commands of the README, tells its health, can leave no core file, and stops when it is told to',
    async () => {
      const served = await serveInstalled(installed);
      try {
        const inside = (program: string): Installed => ({
          ...installed,
          command: [...installed.command.slice(0, -1), program] as unknown as [string],
        });
        const echo = /echo\.alter\.test:\d+/.exec(served.stdout)![0];
        const [, commands = ''] = /^```sh\n(\. \.alter\/operator\.env\n[\s\S]+?)^```/m.exec(read('README.md'))!;
        const first = await runInstalled(inside('/bin/sh'), [
          '-e',
          '-c',
          commands.replaceAll('echo.alter.test:8443', echo),
        ]);
        expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('"you_asked": "GET /hello"') });
        expect(served.stdout).toContain('Bearer a-credential-of-mine');
        const ops = /ops {4}http:\/\/(\S+)/.exec(served.stdout)![1]!;
        const [, healthCheck = ''] = /^HEALTHCHECK .* CMD (\[.*\])$/m.exec(dockerfile)!;
        const [program, ...words] = JSON.parse(healthCheck) as string[];
        const asks = (address: string) => runInstalled(inside(program!), words, { ALTER_OPS_LISTEN: address });
        expect(await asks(ops)).toEqual({ code: 0, stdout: 'ready\n', stderr: '' });
        expect((await asks('127.0.0.1:9')).code).toBe(1);
        const own = processesIn(rootfs).find(({ command }) => command.includes('bin.js\0serve'))!;
        expect(own.command).toContain('--disable-sigusr1');
        expect(own.limits).toMatch(/^Max core file size +0 +0 /m);
        expect(own.status).toMatch(new RegExp(`^Uid:\t${user}\t${user}\t${user}\t${user}$`, 'm'));
        process.kill(own.pid, 'SIGTERM');
        expect(await served.ended).toBe(0);
      } finally {
        served.child.kill('SIGKILL');
      }
    },
  );
});

/** The processes whose root is this directory, seen from outside of their namespace. */
function processesIn(rootfs: string): { pid: number; command: string; limits: string; status: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const of = (file: string): string => readFileSync(`/proc/${name}/${file}`, 'utf8');
        const [command, limits, status] = [of('cmdline'), of('limits'), of('status')];
        const isOurs = spawnSync('readlink', [`/proc/${name}/root`], { encoding: 'utf8' }).stdout.trim() === rootfs;
        return isOurs ? [{ pid: Number(name), command, limits, status }] : [];
      } catch {
        return []; // it has ended
      }
    });
}

describe('the Dockerfile', () => {
  it('runs the product as a user by number, so that Kubernetes can tell it is not root, with a health check', () => {
    expect(dockerfile).toMatch(/^USER 10001:10001$/m);
    expect(dockerfile).toMatch(/^STOPSIGNAL SIGTERM$/m);
    expect(dockerfile).toMatch(/^HEALTHCHECK .* CMD \["\/usr\/local\/bin\/alter", "ready"\]$/m);
    expect(dockerfile).toMatch(/^FROM scratch$/m);
  });

  it('builds on the Node that the product is tested with', () => {
    const { version, devDependencies } = JSON.parse(read('package.json')) as {
      version: string;
      devDependencies: { node: string };
    };
    expect(dockerfile).toContain(`ARG NODE_VERSION=${devDependencies.node}\n`);
    expect(dockerfile).toContain(`ARG VERSION=${version}\n`);
  });
});

describe('compose.yaml', () => {
  interface ComposeService {
    readonly read_only?: boolean;
    readonly cap_drop?: readonly string[];
    readonly ports?: readonly string[];
    readonly environment?: Readonly<Record<string, string>>;
  }
  const { services } = parse(read('compose.yaml'), { merge: true }) as { services: Record<string, ComposeService> };

  it('gives the service settings that it accepts', async () => {
    const environment = { ...services.alter!.environment };
    expect(environment.ALTER_ROOT_KEY_FILE).toBe('/var/lib/alter/root.key');
    delete environment.ALTER_ROOT_KEY_FILE;
    const rootKey = Buffer.alloc(32, 1).toString('base64');
    const config = await loadConfig({ ...environment, ALTER_ROOT_KEY: rootKey }, undefined);
    expect(config.store.kind).toBe('redis');
  });

  it('drops every capability, writes to volumes only, and publishes on loopback only', () => {
    for (const name of ['alter', 'root-key'])
      expect(services[name]).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
    for (const { cap_drop, ports } of Object.values(services)) {
      expect(cap_drop).toEqual(['ALL']);
      for (const port of ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });
});
