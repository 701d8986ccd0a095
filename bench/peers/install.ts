import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../compile.ts';

/** Outside of the project's own packages, and of the repository. */
const folder = join(root, '.cache', 'peers');
const versions = { mitmproxy: '11.0.2', 'http-mitm-proxy': '1.1.0' } as const;

export const mitmdump = join(folder, 'mitmproxy', 'bin', 'mitmdump');
export const httpMitmProxy = join(folder, 'http-mitm-proxy', 'node_modules', 'http-mitm-proxy');
export const howToInstall = 'is not installed: npm run bench -- --install-peers';

/** Installs, by name and version, the peers that come from PyPI and npm. What can't be installed is told and left out. */
export function installPeers(tell: (line: string) => void): void {
  const run = (command: string, args: readonly string[]): void =>
    void execFileSync(command, [...args], { stdio: ['ignore', 'ignore', 2] });
  const peers = [
    {
      name: 'mitmproxy',
      file: mitmdump,
      install: (directory: string) => {
        run('python3', ['-m', 'venv', directory]);
        run(join(directory, 'bin', 'pip'), ['install', '-q', `mitmproxy==${versions.mitmproxy}`]);
      },
    },
    {
      name: 'http-mitm-proxy',
      file: httpMitmProxy,
      install: (directory: string) =>
        run('npm', [
          ...['install', '--prefix', directory, '--ignore-scripts', '--no-audit', '--no-fund'],
          `http-mitm-proxy@${versions['http-mitm-proxy']}`,
        ]),
    },
  ];
  for (const { name, file, install } of peers) {
    if (existsSync(file)) {
      tell(`${name} is there.`);
      continue;
    }
    tell(`Installing ${name} into ${join(folder, name)} …`);
    mkdirSync(join(folder, name), { recursive: true });
    try {
      install(join(folder, name));
    } catch (error) {
      tell(`${name} could not be installed: ${(error as Error).message}`);
    }
  }
}
