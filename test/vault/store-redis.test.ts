import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RecordKey, type Store, StoreUnavailable } from '../../vault/store/store.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { describeStore, describeStoreServer, type StoreUnderTest } from '../contract/store.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { StallingRelay } from '../support/stalling-relay.ts';
import { startStopwatch } from '../support/stopwatch.ts';

let redis: Redis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

async function openUnderTest(): Promise<StoreUnderTest> {
  const prefix = `test-${randomBytes(6).toString('hex')}`;
  const opened: Store[] = [];
  const open = async (): Promise<Store> => {
    const store = await openRedisStore({ url: redis.url, prefix });
    opened.push(store);
    return store;
  };
  return {
    store: await open(),
    reopen: open,
    release: async () => {
      await Promise.all(opened.map((store) => store.close()));
    },
    server: {
      breakConnection: async () => {
        await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      },
      pause: () => redis.pause(),
      resume: () => redis.resume(),
      empty: async () => {
        await redis.cli('FLUSHALL');
      },
    },
  };
}

describeStore('Redis', openUnderTest);
describeStoreServer('Redis', openUnderTest);

describe('the Redis store', () => {
  const put = (id: string) =>
    ({ kind: 'put', type: 'thing', id, expectedRevision: 0, body: Buffer.from(id), tags: ['t'], names: [id] }) as const;
  const noted = () => {
    const notes = { changes: [] as string[], resets: 0 };
    const watcher = {
      onChange: ({ id }: RecordKey) => {
        notes.changes.push(id);
      },
      onReset: () => {
        notes.resets++;
      },
      onContact: () => undefined,
    };
    return { notes, watcher };
  };
  const until = async (condition: () => boolean): Promise<void> => {
    for (let waited = 0; !condition(); waited += 10) {
      if (waited > 8_000) throw new Error('waited in vain');
      await sleep(10);
    }
  };
  const untilReachable = async (store: Store): Promise<void> => {
    let isReachable = false;
    const ask = async () => {
      isReachable = await store.ping().then(
        () => true,
        () => false,
      );
    };
    for (let attempt = 0; attempt < 400 && !isReachable; attempt++) await Promise.all([ask(), sleep(10)]);
    expect(isReachable).toBe(true);
  };

  it('keeps every key of a space in one hash slot', async () => {
    const store = await openRedisStore({ url: redis.url, prefix: 'slots' });
    for (const space of ['a', '}{', '{', '', 'x:{y}']) {
      await store.commit(space, [put('one')]);
      await store.append(space, [], [{ bucket: '{b}', requests: 1, perSeconds: 86_400 }]);
    }
    const keys = (await redis.cli('KEYS', 'slots:*')).split('\n').filter((key) => key !== 'slots:ping');
    const slots = new Map<string, Set<string>>();
    for (const key of keys) {
      const tag = /^slots:\{([^}]*)\}/.exec(key)![1]!;
      slots.set(tag, (slots.get(tag) ?? new Set()).add(await redis.cli('CLUSTER', 'KEYSLOT', key)));
    }
    expect(slots.size).toBe(5);
    for (const [tag, found] of slots) if (tag !== '') expect(found.size).toBe(1);
    await store.close();
  });

  it('says when the feed has lost entries that a watcher has not seen', async () => {
    const store = await openRedisStore({ url: redis.url, prefix: 'trim' });
    const { notes, watcher } = noted();
    await store.commit('s', [put('a')]);
    await store.watch('s', watcher);
    await redis.cli('EVAL', "redis.call('HINCRBY', KEYS[1], 'n', 5)", '1', 'trim:{s}:head');
    await until(() => notes.resets === 1);
    await store.commit('s', [put('b')]);
    await until(() => notes.changes.includes('b'));
    expect(notes).toEqual({ changes: ['b'], resets: 1 });
    await store.close();
  });

  it('tells a watcher who was cut off of everything that changed meanwhile, or that some of it is gone', async () => {
    const relay = await StallingRelay.open(redis.port);
    const direct = await openRedisStore({ url: redis.url, prefix: 'away' });
    const away = await openRedisStore({ url: `redis://127.0.0.1:${relay.port}`, prefix: 'away' });
    const { notes, watcher } = noted();
    await away.watch('s', watcher);
    const ids = ['a', 'b', 'c', 'd', 'e'];
    relay.stall();
    for (const id of ids) await direct.commit('s', [put(id)]);
    relay.goOn();
    await until(() => notes.changes.length === 5);
    expect(notes).toEqual({ changes: ids, resets: 0 });
    relay.stall();
    for (const id of ['f', 'g', 'h', 'i']) await direct.commit('s', [put(id)]);
    await redis.cli('XTRIM', 'away:{s}:feed', 'MAXLEN', '1');
    relay.goOn();
    await until(() => notes.resets === 1);
    await direct.commit('s', [put('j')]);
    await until(() => notes.changes.includes('j'));
    await Promise.all([direct.close(), away.close()]);
    await relay.close();
  });

  it('says when the server went back to an older state', async () => {
    const own = await startRedis();
    const store = await openRedisStore({ url: own.url });
    const { notes, watcher } = noted();
    await store.commit('s', [put('a')]);
    await own.cli('SAVE');
    await store.watch('s', watcher);
    await store.commit('s', [put('b')]);
    await until(() => notes.changes.length === 1);
    await own.kill();
    await expect(store.ping()).rejects.toThrow(StoreUnavailable);
    await own.restart();
    await until(() => notes.resets > 0);
    await untilReachable(store);
    expect(await store.findByName('s', ['a', 'b'])).toEqual([{ type: 'thing', id: 'a' }, null]);
    await store.close();
    await own.stop();
  });

  it('keeps what it acknowledged when the server dies and keeps its files, and loses no change', async () => {
    const own = await startRedis({ appendonly: true });
    const store = await openRedisStore({ url: own.url });
    const { notes, watcher } = noted();
    await store.watch('s', watcher);
    const acknowledged: string[] = [];
    const writing = (async () => {
      for (let index = 0; index < 100_000; index++) {
        try {
          await store.commit('s', [put(`n-${index}`)]);
        } catch {
          return;
        }
        acknowledged.push(`n-${index}`);
      }
    })();
    await until(() => acknowledged.length > 50);
    await own.kill();
    await writing;
    await own.restart();
    const last = acknowledged.at(-1)!;
    await until(() => notes.changes.includes(last));
    // The one under way when the server died may be there as well.
    expect(notes.changes.slice(0, acknowledged.length)).toEqual(acknowledged);
    expect(notes.resets).toBe(0);
    await untilReachable(store);
    const found = await store.findByName('s', acknowledged);
    expect(found.filter((key) => key === null)).toEqual([]);
    await store.close();
    await own.stop();
  });

  it('runs its scripts on a server that has forgotten them', async () => {
    const store = await openRedisStore({ url: redis.url, prefix: 'scripts' });
    await store.commit('s', [put('a')]);
    await redis.cli('SCRIPT', 'FLUSH');
    await Promise.all(['b', 'c', 'd'].map((id) => store.commit('s', [put(id)])));
    expect((await store.list({ space: 's', type: 'thing', limit: 10 })).total).toBe(4);
    await store.close();
  });

  it('fails its ping, and every write, on a server that is full or read-only', async () => {
    const own = await startRedis();
    const store = await openRedisStore({ url: own.url });
    await store.commit('s', [put('a')]);
    await own.cli('CONFIG', 'SET', 'maxmemory', '1');
    await expect(store.ping()).rejects.toThrow(/OOM/);
    await expect(store.commit('s', [put('b')])).rejects.toThrow(StoreUnavailable);
    await expect(
      store.append('s', [{ writer: 'w', sequence: 1, hash: Buffer.alloc(0), body: Buffer.alloc(0) }], []),
    ).rejects.toThrow(StoreUnavailable);
    await own.cli('CONFIG', 'SET', 'maxmemory', '0');
    expect((await store.list({ space: 's', type: 'thing', limit: 10 })).total).toBe(1);
    await own.cli('REPLICAOF', '127.0.0.1', '1');
    await expect(store.ping()).rejects.toThrow(StoreUnavailable);
    await own.cli('REPLICAOF', 'NO', 'ONE');
    await untilReachable(store);
    await store.close();
    await own.stop();
  });

  it('signs in with user and password, uses the database of the URL, and never tells the password', async () => {
    const own = await startRedis();
    await own.cli('ACL', 'SETUSER', 'alter', 'on', '>p@ss/w:rd', '~*', '+@all');
    await own.cli('CONFIG', 'SET', 'requirepass', 'other');
    const url = (password: string) => `redis://alter:${encodeURIComponent(password)}@127.0.0.1:${own.port}/3`;
    const store = await openRedisStore({ url: url('p@ss/w:rd') });
    await store.commit('s', [put('a')]);
    expect(await own.cli('-a', 'other', '--no-auth-warning', '-n', '3', 'EXISTS', 'alter:{s}:head')).toBe('1');
    await store.close();
    const refused = await openRedisStore({ url: url('wr0ng-password') }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StoreUnavailable);
    expect(String(refused)).toMatch(/WRONGPASS/);
    expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain('wr0ng-password');
    await own.stop();
  });

  it('closes in bounded time while the server hangs, and while it is gone', async () => {
    const own = await startRedis();
    const [hanging, gone] = [await openRedisStore({ url: own.url }), await openRedisStore({ url: own.url })];
    await hanging.watch('s', noted().watcher);
    await gone.watch('s', noted().watcher);
    own.pause();
    const waiting = expect(hanging.ping()).rejects.toThrow(StoreUnavailable);
    const elapsedMs = startStopwatch();
    await hanging.close();
    await waiting;
    await own.kill();
    await sleep(100);
    await gone.close();
    expect(elapsedMs()).toBeLessThan(4_000);
  });

  it('says which server cannot be reached', async () => {
    const elapsedMs = startStopwatch();
    await expect(openRedisStore({ url: 'redis://127.0.0.1:1' })).rejects.toThrow(
      /cannot open the Redis store at 127\.0\.0\.1:1: connect ECONNREFUSED/,
    );
    expect(elapsedMs()).toBeLessThan(1_000);
  });

  it.each([
    'redis://',
    'redis://host/notanumber',
    'redis://host?family=6',
    'redis://a:1,b:2',
    'redis+sentinel://a:1,b:2',
    'redis+cluster://a:1/1',
    'http://host',
  ])('refuses %s as its URL', async (url) => {
    await expect(openRedisStore({ url })).rejects.toMatchObject({ code: 'config_invalid' });
  });
});
