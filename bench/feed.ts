/**
 * How long a change takes to be heeded by every proxy: `node bench/feed.ts [changes]`. Two proxies serve a grant; it is
 * revoked; and from the moment on that the admin API has acknowledged it, both are asked again and again. The time of a
 * proxy is that until the last request was sent that it still let through, so 0 where it knew before the acknowledgement
 * reached us. Written to bench/results.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startRedis } from '../test/support/redis.ts';
import { startCluster } from '../test/support/redis-cluster.ts';
import { Rig } from '../test/support/rig.ts';
import { AnswerReader, basic, connectTo } from '../test/support/tunnel-client.ts';
import { describeMachine } from './machine.ts';

const changes = Number(process.argv[2] ?? 100);

/** A connection to a proxy that asks one thing after the other. */
class Asker {
  readonly #socket: Awaited<ReturnType<typeof connectTo>>;
  readonly #reader: AnswerReader;

  private constructor(socket: Awaited<ReturnType<typeof connectTo>>) {
    this.#socket = socket;
    this.#reader = new AnswerReader(socket);
  }

  static async open(port: number): Promise<Asker> {
    return new Asker(await connectTo(port));
  }

  async ask(rig: Rig, key: string, grantId: string): Promise<number> {
    const target = rig.authorityOf();
    const head = [`GET https://${target}/ HTTP/1.1`, `Host: ${target}`, `Proxy-Authorization: ${basic('x', key)}`];
    this.#socket.write(`${[...head, `X-Alter-Grant: ${grantId}`].join('\r\n')}\r\n\r\n`);
    return (await this.#reader.next()).status;
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function measure(url: string): Promise<number[]> {
  const rig = await Rig.open({ settings: { ALTER_STORE_URL: url } });
  const beside = await rig.startBeside('proxy');
  const times: number[] = [];
  try {
    const { key } = await rig.mintKey();
    const ports = [rig.proxyPort, beside.proxy!.address.port];
    for (let change = 0; change < changes; change++) {
      const { grantId } = await rig.storeSecret({ hosts: [rig.authorityOf()] });
      const askers = await Promise.all(ports.map((port) => Asker.open(port)));
      for (const asker of askers) {
        const status = await asker.ask(rig, key, grantId);
        if (status !== 200) throw new Error(`a grant that is not revoked got ${status}`);
      }
      await rig.admin('POST', `/grants/${grantId}/revoke`);
      const acknowledgedAt = performance.now();
      await Promise.all(
        askers.map(async (asker) => {
          let last = acknowledgedAt;
          for (;;) {
            const askedAt = performance.now();
            if ((await asker.ask(rig, key, grantId)) !== 200) break;
            last = askedAt;
          }
          times.push(last - acknowledgedAt);
          asker.close();
        }),
      );
    }
  } finally {
    await beside.close();
    await rig.close();
  }
  return times.sort((a, b) => a - b);
}

const at = (times: readonly number[], part: number): number =>
  times[Math.min(Math.floor(times.length * part), times.length - 1)]!;

const rows: { store: string; changes: number; p50Ms: number; p99Ms: number; maxMs: number }[] = [];
const single = await startRedis({ appendonly: true });
const cluster = await startCluster();
try {
  for (const [store, url] of [
    ['one Redis', single.url],
    ['a Cluster of three', cluster.url],
  ] as const) {
    const times = await measure(url);
    const round = (ms: number): number => Math.round(ms * 10) / 10;
    const row = { p50Ms: round(at(times, 0.5)), p99Ms: round(at(times, 0.99)), maxMs: round(times.at(-1)!) };
    rows.push({ store, changes, ...row });
    process.stdout.write(`${store}: p50 ${row.p50Ms} ms, p99 ${row.p99Ms} ms, longest ${row.maxMs} ms\n`);
  }
} finally {
  await single.stop();
  await cluster.stop();
}
const machine = describeMachine();
const folder = join(import.meta.dirname, 'results');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'feed.json'), `${JSON.stringify({ machine, rows }, null, 2)}\n`);
writeFileSync(
  join(folder, 'feed.md'),
  [
    '# From an acknowledged revocation to its effect on every proxy',
    '',
    'Two proxies, each asked without a pause; the time until the last request was sent that it still let through.',
    '',
    '| store | changes | p50 | p99 | longest |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row.store} | ${row.changes} | ${row.p50Ms} ms | ${row.p99Ms} ms | ${row.maxMs} ms |`),
    '',
  ].join('\n'),
);
