import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { alterCommand } from '../cli/alter.ts';
import { compileCache } from '../support/compile-cache.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/in-parallel.ts';
import { type LoadedModules, LoadedModulesRecorder } from '../support/loaded-modules.ts';
import { startRedis } from '../support/redis.ts';

/** What others bring along is theirs; what is loaded eagerly by us is one of these. */
const ours = Object.keys(JSON.parse(readFileSync('package.json', 'utf8')).dependencies as object);
const oursOf = ({ packages }: LoadedModules): string[] => packages.filter((name) => ours.includes(name));

describe('alter serve has loaded, when it is ready,', () => {
  const undo: (() => unknown)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  const start = async (words: readonly string[], settings: Readonly<Record<string, string>> = {}) => {
    const directory = mkdtempSync(join(tmpdir(), 'alter-loaded-'));
    undo.push(() => rmSync(directory, { recursive: true }));
    const recorder = new LoadedModulesRecorder();
    undo.push(() => recorder.close());
    const [node, ...rest] = alterCommand;
    const child: ChildProcess = spawn(node, [...recorder.nodeWords, ...rest, 'serve', ...words], {
      cwd: directory,
      env: {
        ...compileCache,
        ALTER_PROXY_LISTEN: '127.0.0.1:0',
        ALTER_ADMIN_LISTEN: '127.0.0.1:0',
        ALTER_OPS_LISTEN: '127.0.0.1:0',
        ...settings,
      },
      stdio: 'pipe',
    });
    endWithUs(child);
    let said = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const stop = async (): Promise<void> => {
      if (child.exitCode === null && child.kill()) await once(child, 'exit');
    };
    undo.push(stop);
    await eventually(() => said.includes('/readyz') || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(`the service did not start: ${said}`);
    return { recorder, stop, adminUrl: /^ {2}admin {2}(\S+)$/m.exec(said)?.[1] };
  };

  it('on the embedded store, no more packages than it needs; the admin API comes with its first request', async () => {
    const { recorder, adminUrl } = await start([]);
    const [main, store, ...others] = recorder.threads();
    expect(oursOf(main!)).toEqual(['node-forge', 'pino', 'prom-client']);
    expect(main!.files).not.toContain('admin/routes');
    expect(store!.files).toEqual(['vault/store/store-sqlite-worker']);
    expect(store!.packages).toEqual([]);
    expect(others).toEqual([]);

    expect((await fetch(`${adminUrl}/v1/me`)).status).toBe(401);
    const loaded = oursOf(recorder.threads()[0]!);
    expect(loaded).toEqual(expect.arrayContaining(['@koa/router', 'koa', 'zod']));
    for (const rare of ['zod-openapi', 'undici', 'jose', 'ioredis', 'http-proxy-3', '@smithy/signature-v4', 'yaml'])
      expect(loaded).not.toContain(rare);
  });

  it('as a proxy on Redis, ioredis besides, and no admin API', async () => {
    const redis = await startRedis();
    undo.push(() => redis.stop());
    const { recorder, stop } = await start(['--role', 'proxy'], {
      ALTER_STORE_URL: redis.url,
      ALTER_ROOT_KEY: Buffer.alloc(32, 7).toString('base64'),
    });
    const [main, ...others] = recorder.threads();
    expect(oursOf(main!)).toEqual(['ioredis', 'node-forge', 'pino', 'prom-client']);
    expect(main!.files).not.toContain('vault/store/store-sqlite');
    expect(others).toEqual([]);
    await stop();
    expect(recorder.threads()[0]!.hasUndiciOfNode).toBe(false);
  });

  it('as an admin service, the whole API, which it would not be ready without', async () => {
    const { recorder } = await start(['--role', 'admin']);
    const [main] = recorder.threads();
    expect(main!.files).toContain('admin/routes');
    for (const rare of ['@oclif/core', 'undici', 'jose', 'ioredis', 'http-proxy-3', '@smithy/signature-v4', 'yaml'])
      expect(main!.packages).not.toContain(rare);
  });

  it('with workers, in each of them what a proxy needs', async () => {
    const { recorder, stop } = await start([], { ALTER_WORKERS: '2' });
    const workers = recorder.threads().filter(({ files }) => files.includes('serve/worker'));
    expect(workers.length).toBe(2);
    for (const worker of workers) {
      expect(oursOf(worker)).toEqual(['node-forge', 'pino', 'prom-client']);
      expect(worker.rooms).not.toContain('admin');
    }
    await stop();
    expect(recorder.threads().filter(({ hasUndiciOfNode }) => hasUndiciOfNode)).toEqual([]);
  });
});
