import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { compileCache } from './compile-cache.ts';
import { endWithUs } from './end-with-us.ts';
import { eventually } from './in-parallel.ts';
import { type Rig, run } from './rig.ts';

/** A proxy in a process of its own that is given the key of one app, beside a rig on Redis. */
export class Sidecar {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly exit: Promise<number | null>;
  stdout = '';
  stderr = '';

  private constructor(child: ChildProcess, directory: string) {
    this.child = child;
    this.directory = directory;
    for (const name of ['stdout', 'stderr'] as const)
      child[name]!.setEncoding('utf8').on('data', (text: string) => {
        this[name] += text;
      });
    this.exit = new Promise((done) => child.once('close', done));
  }

  /** Resolves when it is ready, or has ended. `settings` by variable name. */
  static async start(rig: Rig, settings: Readonly<Record<string, string>>): Promise<Sidecar> {
    const directory = mkdtempSync(join(tmpdir(), 'alter-sidecar-'));
    const child = spawn(process.execPath, [resolve('dist/cli/bin.js'), 'serve', '--role', 'proxy'], {
      cwd: directory,
      env: {
        PATH: '/usr/bin:/bin',
        ...compileCache,
        ALTER_PROXY_LISTEN: '127.0.0.1:0',
        ALTER_OPS_LISTEN: '127.0.0.1:0',
        ALTER_HOSTS: 'a.test=127.0.0.1,idp.test=127.0.0.1',
        ALTER_ALLOW_ADDRESSES: '127.0.0.1',
        ALTER_UPSTREAM_CA: rig.authority.material.certificatePem,
        ALTER_TRUST_BUNDLE_FILE: join(directory, 'bundle.pem'),
        ...settings,
      },
      stdio: 'pipe',
    });
    endWithUs(child);
    const sidecar = new Sidecar(child, directory);
    await eventually(() => sidecar.stdout.includes(' is ready.') || child.exitCode !== null);
    return sidecar;
  }

  get proxyPort(): number {
    return Number(/^ {2}proxy {2}http:\/\/127\.0\.0\.1:(\d+)$/m.exec(this.stdout)![1]);
  }

  get bundle(): { readonly path: string; readonly text: string; readonly mode: number } {
    const path = join(this.directory, 'bundle.pem');
    return { path, text: readFileSync(path, 'utf8'), mode: statSync(path).mode & 0o777 };
  }

  /** A real curl through it, with the bundle that it wrote as its only roots. */
  curl(args: readonly string[], key: string): ReturnType<typeof run> {
    return run('curl', ['-sS', '--max-time', '60', '--cacert', this.bundle.path, ...args], {
      PATH: process.env.PATH ?? '',
      HTTPS_PROXY: `http://x:${key}@127.0.0.1:${this.proxyPort}`,
    });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null) this.child.kill('SIGTERM');
    await this.exit;
    rmSync(this.directory, { recursive: true, force: true });
  }
}
