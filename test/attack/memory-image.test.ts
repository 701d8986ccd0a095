import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { ServedRig } from '../support/served-rig.ts';
import { tracesOf } from '../support/traces.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/** Where the kernel lets a process read that of its child: not with a `ptrace_scope` beyond 1. */
const maySearch = process.platform === 'linux' && readYama() <= 1;

/** Whoever gets hold of the memory of a proxy gets what was in use, and not the rest of the vault. */
(maySearch ? describe : describe.skip)('the memory of a proxy', () => {
  let redis: Redis;
  let rig: ServedRig;
  /** Another process than the one that was given the credentials. */
  let proxy: ChildProcess;
  let printed = '';
  const secrets: { readonly grantId: string; readonly canary: string }[] = [];
  let key: string;

  beforeAll(async () => {
    redis = await startRedis();
    rig = await ServedRig.open({ redis, settings: { ALTER_LOG_LEVEL: 'warn' } });
    for (let i = 0; i < 5; i++) secrets.push(await rig.storeSecret());
    key = (await rig.mintKey()).key;
    proxy = spawn(process.execPath, [resolve('dist/cli/bin.js'), 'serve', '--role', 'proxy'], {
      cwd: rig.directory,
      env: rig.env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    proxy.stdout!.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    await eventually(() => /^ {2}proxy {2}\S+:\d+$/m.test(printed) || proxy.exitCode !== null, 20_000);
  }, 60_000);
  afterAll(async () => {
    if (proxy?.exitCode === null) {
      const ended = new Promise((done) => proxy.once('close', done));
      proxy.kill('SIGKILL');
      await ended;
    }
    await rig?.close();
    await redis?.stop();
  });

  it('holds the credential that it injected, and none that nobody asked for', async () => {
    const [used, ...unused] = secrets;
    const { socket, reader } = await mustOpen({
      proxyPort: Number(/^ {2}proxy {2}\S+:(\d+)$/m.exec(printed)![1]),
      target: rig.target,
      key,
      serverName: 'a.test',
      ca: rig.read('ca.pem'),
    });
    const ask = async (grantId: string): Promise<number> => {
      socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.target}\r\nX-Alter-Grant: ${grantId}\r\n\r\n`);
      return (await reader.next()).status;
    };
    expect(await ask(used!.grantId)).toBe(200);
    expect(rig.sink.requests.at(-1)!.all('authorization')).toEqual([`Bearer ${used!.canary}`]);

    const found = copiesIn(
      proxy.pid!,
      secrets.map(({ canary }) => canary.replace('canary-', '')),
    );
    socket.destroy();
    expect(found[0]).toBeGreaterThan(0); // the search would see one
    expect(found.slice(1)).toEqual(unused.map(() => 0));
  }, 30_000);
});

/** How often each word stands in the memory of a process, in whatever spelling. The process may be a child of ours. */
function copiesIn(pid: number, words: readonly string[]): number[] {
  const spellings = words.map((word) => [
    ...tracesOf(word).map((text) => Buffer.from(text)),
    Buffer.from(word, 'utf16le'),
  ]);
  const counts = words.map(() => 0);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const chunk = Buffer.alloc(8 * 1_024 * 1_024);
  const overlap = 1_024;
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to, flags, what = ''] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line) ?? [];
      // What was mapped from a file and is not written to is that file.
      if (from === undefined || to === undefined || !flags!.startsWith('rw') || what.startsWith('[v')) continue;
      const end = Number.parseInt(to, 16);
      for (let at = Number.parseInt(from, 16); at < end; at += chunk.length - overlap) {
        let length = 0;
        try {
          length = readSync(memory, chunk, 0, Math.min(chunk.length, end - at), at);
        } catch {
          continue; // given back since the list was read
        }
        const bytes = chunk.subarray(0, length);
        for (const [index, texts] of spellings.entries())
          for (const text of texts) if (bytes.includes(text)) counts[index]!++;
      }
    }
  } finally {
    closeSync(memory);
  }
  return counts;
}

function readYama(): number {
  const path = '/proc/sys/kernel/yama/ptrace_scope';
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
}
