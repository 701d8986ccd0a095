import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openSidecarStore } from '../../vault/sidecar-store.ts';
import { NotDurable } from '../../vault/store/store.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { openStore } from '../../vault/store/store-url.ts';
import { holdTheContract } from '../contract/redis.ts';
import { eventually, insist } from '../support/in-parallel.ts';
import { makeRedisTls } from '../support/redis.ts';
import { type RedisWithSentinels, startSentinels } from '../support/redis-sentinel.ts';
import { startStopwatch } from '../support/stopwatch.ts';

holdTheContract('Redis with Sentinel and a replica', async () => {
  const { url, servers, stop } = await startSentinels();
  return { url, servers: [servers[0]], stop };
});

const put = (id: string) =>
  ({ kind: 'put', type: 'thing', id, expectedRevision: 0, body: Buffer.from(id), tags: [], names: [] }) as const;

describe('a Redis store with Sentinel', () => {
  it('follows a promoted replica over TLS, losing no change to a watcher and to no sidecar its user', async () => {
    const tls = await makeRedisTls();
    const redis = await startSentinels({ tls });
    const store = await openRedisStore({ url: redis.url, ca: tls.caPem, durability: { replicas: 1, ms: 1_000 } });
    const changes: string[] = [];
    let resets = 0;
    await store.watch('s', {
      onChange: ({ id }) => changes.push(id),
      onReset: () => resets++,
      onContact: () => undefined,
    });
    await store.commit('s', [put('before')]);
    const login = await openSidecarStore(redis.url, { ca: tls.caPem }).issueLogin({ appId: 's', keepOld: false });
    expect([login.isMade, login.notes.join()]).toEqual([true, expect.not.stringContaining('Run the rule')]);
    await redis.failOver();
    const elapsedMs = startStopwatch();
    await eventually(() =>
      store.commit('s', [put('after')]).then(
        () => true,
        // The replica has to find its new primary.
        (error: unknown) => error instanceof NotDurable,
      ),
    );
    expect(elapsedMs()).toBeLessThan(5_000);
    await eventually(() => changes.includes('after'));
    expect([changes, resets]).toEqual([['before', 'after'], 0]);
    const limited = await openRedisStore({ url: login.url, ca: tls.caPem });
    expect(await limited.get('s', [{ type: 'thing', id: 'before' }])).toEqual([
      expect.objectContaining({ revision: 1 }),
    ]);
    await limited.close();
    await store.close();
    await redis.stop();
  });
});

describe('a Redis store that waits for a replica', () => {
  let redis: RedisWithSentinels;
  /** It takes as long as an opening may take, so it begins before the other tests. */
  let gone: Promise<string>;
  let unknown: Promise<string>;
  const complaintOf = (url: string): Promise<string> => {
    const elapsedMs = startStopwatch();
    return openRedisStore({ url }).then(
      () => 'it was opened',
      (error: unknown) => `${elapsedMs() < 8_000 ? '' : 'late: '}${String(error)}`,
    );
  };
  beforeAll(async () => {
    redis = await startSentinels();
    unknown = complaintOf(redis.url.replace('/store/', '/other/'));
    gone = complaintOf('redis+sentinel://127.0.0.1:1,127.0.0.1:2/store');
  });
  afterAll(() => redis.stop());

  it('refuses as not durable what no replica confirms, and says that it may be there', async () => {
    const notes: { isRisk: boolean; text: string }[] = [];
    const store = await openStore(redis.url, {
      durability: { replicas: 1, ms: 500 },
      onNote: (note) => notes.push(note),
    });
    expect(notes.map(({ text }) => text).join('\n')).toMatch(/when 1 replica confirmed it within 500 ms/);
    await insist(() => store.commit('s', [put(`a-${Math.random()}`)])); // a busy machine may hold the replica up
    const replica = redis.servers[1];
    replica.pause();
    await expect(store.commit('s', [put('b')])).rejects.toThrow(/was done, but is not known to be durable: 0 of 1/);
    const entry = { writer: 'w', sequence: 1, hash: Buffer.alloc(32), body: Buffer.from('e') };
    await expect(store.append('s', [entry], [])).rejects.toThrow(NotDurable);
    // Reading does not wait for it.
    const elapsedMs = startStopwatch();
    const waiting = store.commit('s', [put('c')]).catch(() => undefined);
    expect((await store.get('s', [{ type: 'thing', id: 'b' }]))[0]?.revision).toBe(1);
    expect(elapsedMs()).toBeLessThan(150);
    await waiting;
    replica.resume();
    await eventually(() =>
      store.commit('s', [put(`d-${Math.random()}`)]).then(
        () => true,
        () => false,
      ),
    );
    await store.close();
  });

  it('asks many writes that come together with few WAITs', async () => {
    const store = await openRedisStore({ url: redis.url, durability: { replicas: 1, ms: 1_000 } });
    const primary = await redis.primary();
    await Promise.all(Array.from({ length: 200 }, (_, index) => store.commit('s', [put(`n-${index}`)])));
    const calls = Number(/cmdstat_wait:calls=(\d+)/.exec(await primary.cli('INFO', 'commandstats'))?.[1]);
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThan(20);
    await store.close();
  });

  it('gives up in bounded time, and says why, where no Sentinel answers or none knows the name', async () => {
    expect(await unknown).toMatch(/^StoreUnavailable: .*the Sentinels know no store of the name other/);
    expect(await gone).toMatch(
      /^StoreUnavailable: cannot open the Redis store at 127\.0\.0\.1:1, 127\.0\.0\.1:2: no Sentinel answers/,
    );
  });
});
