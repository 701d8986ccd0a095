import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { firstLineOf } from './processes.ts';

const bench = import.meta.dirname;
const build = join(bench, 'build');
const goPath = `${process.env.PATH ?? ''}:/usr/local/go/bin`;

export const root = join(bench, '..');

export function goVersion(): string | null {
  return firstLineOf('go', ['version']);
}

/** Why there can be no generator here, or null. */
export function findGeneratorProblem(): string | null {
  if (process.platform !== 'linux') return 'the generator needs Linux: epoll, and /proc for the figures';
  if (firstLineOf('cc', ['--version']) === null) return 'the generator needs a C compiler: install gcc';
  if (!includesOpenssl()) return 'the generator needs the headers of OpenSSL: install libssl-dev';
  return null;
}

function includesOpenssl(): boolean {
  try {
    execFileSync('cc', ['-E', '-'], { input: '#include <openssl/ssl.h>\n', stdio: ['pipe', 'ignore', 'ignore'] });
    return true;
  } catch {
    return false;
  }
}

export function buildGenerator(): string {
  const source = join(bench, 'loadgen.c');
  return outputOf('loadgen', source, (output) => {
    execFileSync('cc', ['-O2', '-Wall', '-o', output, source, '-lssl', '-lcrypto'], { stdio: ['ignore', 2, 2] });
  });
}

export function buildGo(file: string): string {
  const source = join(bench, file);
  return outputOf(basename(file, '.go'), source, (output) => {
    execFileSync('go', ['build', '-o', output, source], {
      stdio: ['ignore', 2, 2],
      env: { ...process.env, PATH: goPath, GOFLAGS: '', GO111MODULE: 'off', CGO_ENABLED: '0' },
    });
  });
}

/** Compiles our own sources as `npm run build` does, but beside the benchmark: `dist/` may be older, or in use. */
export function buildOurs(): string {
  const output = join(build, 'alter');
  execFileSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json'), '--outDir', output],
    { stdio: ['ignore', 2, 2], cwd: root },
  );
  copyFileSync(join(root, 'package.json'), join(output, 'package.json'));
  return join(output, 'cli', 'bin.js');
}

function outputOf(name: string, source: string, compile: (output: string) => void): string {
  const output = join(build, name);
  if (existsSync(output) && statSync(output).mtimeMs > statSync(source).mtimeMs) return output;
  mkdirSync(build, { recursive: true });
  compile(output);
  return output;
}
