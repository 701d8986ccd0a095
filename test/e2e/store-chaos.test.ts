import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Service } from '../../serve/service.ts';
import { eventually } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { Rig } from '../support/rig.ts';
import { StallingRelay } from '../support/stalling-relay.ts';
import { WitnessedLoad } from '../support/witnessed-load.ts';

/*
 * Faults of the store one after the other, at random, under requests and changes. Nothing is judged while it runs: at the
 * end the upstream's log, the answers that were acknowledged and the store itself have to fit together.
 * `npm run chaos`: TEST_CHAOS_SECONDS says how long, TEST_SEED repeats the order of the faults.
 */
const seconds = Number(process.env.TEST_CHAOS_SECONDS ?? 4);
const seed = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const stalenessMs = 1_000;
const boundMs = stalenessMs + 250;

/** mulberry32 */
function makeRandom(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

let redis: Redis;
let relays: readonly [StallingRelay, StallingRelay];
let rig: Rig;
let other: Service;
let load: WitnessedLoad | undefined;
beforeAll(async () => {
  redis = await startRedis({ appendonly: true, args: ['--enable-debug-command', 'yes', '--save', '1 1'] });
  relays = [await StallingRelay.open(redis.port), await StallingRelay.open(redis.port)];
  const [near, far] = relays.map(({ port }) => `redis://127.0.0.1:${port}`);
  rig = await Rig.open({ settings: { ALTER_STORE_URL: near!, ALTER_MAX_STALENESS: `${stalenessMs}ms` } });
  other = await rig.startBeside('proxy', { ALTER_STORE_URL: far! });
});
afterAll(async () => {
  for (const relay of relays) relay.goOn();
  await load?.stop();
  await other?.close();
  await rig?.close();
  for (const relay of relays) await relay.close();
  await redis?.stop();
});

it(
  `keeps its promises through ${seconds} seconds of faults (TEST_SEED=${seed})`,
  async () => {
    const random = makeRandom(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const ports = [rig.proxyPort, other.proxy!.address.port];
    load = await WitnessedLoad.open(rig, [...ports, ...ports]);
    const otherPassword = ['-a', 'other', '--no-auth-warning'];
    const faults: readonly (() => Promise<() => unknown>)[] = [
      async () => {
        await redis.kill();
        return () => redis.restart();
      },
      async () => {
        redis.pause();
        return () => redis.resume();
      },
      async () => {
        const relay = pick(relays);
        relay.stall();
        return () => relay.goOn();
      },
      async () => {
        await redis.cli('CONFIG', 'SET', 'maxmemory', '1');
        return () => redis.cli('CONFIG', 'SET', 'maxmemory', '0');
      },
      async () => {
        await redis.cli('REPLICAOF', '127.0.0.1', '1');
        return () => redis.cli('REPLICAOF', 'NO', 'ONE');
      },
      async () => {
        await redis.cli('CONFIG', 'SET', 'requirepass', 'other');
        await redis.cli(...otherPassword, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        return () => redis.cli(...otherPassword, 'CONFIG', 'SET', 'requirepass', '');
      },
      async () => {
        await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        return () => undefined;
      },
      async () => {
        await redis.cli('SCRIPT', 'FLUSH');
        return () => undefined;
      },
    ];
    const end = performance.now() + seconds * 1_000;
    while (performance.now() < end) {
      await sleep(200 + random() * 600);
      const heal = await pick(faults)();
      await sleep(100 + random() * 1_500);
      await heal();
    }
    const healedAt = performance.now();
    await sleep(50);
    const before = load.arrivals.length;
    await load.store().catch(() => undefined);
    const { arrivals } = load;
    await eventually(() => arrivals.length > before + 5, 6_000);
    expect(performance.now() - healedAt).toBeLessThan(6_000);
    await load.stop();
    await load.judge(boundMs);

    // No credential, key or token stands in what Redis wrote, or in what the service logged.
    await redis.cli('SAVE');
    const media = readdirSync(redis.directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
    expect(media.some((text) => text.includes('alter:{'))).toBe(true);
    for (const canary of rig.canaries)
      expect([rig.logText, ...media].some((text) => text.includes(canary))).toBe(false);
  },
  (seconds + 60) * 1_000,
);
