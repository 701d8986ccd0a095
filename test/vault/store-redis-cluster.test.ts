import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openSidecarStore } from '../../vault/sidecar-store.ts';
import { RevisionConflict, type Store, StoreUnavailable } from '../../vault/store/store.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { slotOf } from '../../vault/store/store-redis-slot.ts';
import { holdTheContract } from '../contract/redis.ts';
import { eventually } from '../support/in-parallel.ts';
import { makeRedisTls, type RedisTls } from '../support/redis.ts';
import { type RedisCluster, startCluster } from '../support/redis-cluster.ts';
import { startStopwatch } from '../support/stopwatch.ts';

holdTheContract('a Redis Cluster of three', async () => {
  const { url, nodes, stop } = await startCluster({ nodeTimeoutMs: 60_000 });
  return { url, servers: nodes, stop };
});

const put = (id: string) =>
  ({
    kind: 'put',
    type: 'thing',
    id,
    expectedRevision: 0,
    body: Buffer.from(id),
    tags: ['t', `t-${id}`],
    names: [id],
  }) as const;

describe('a Redis store on a Cluster', () => {
  let tls: RedisTls;
  let cluster: RedisCluster;
  let store: Store;
  beforeAll(async () => {
    tls = await makeRedisTls();
    cluster = await startCluster({ tls, withReplica: true, nodeTimeoutMs: 1_000 });
    store = await openRedisStore({ url: cluster.url, ca: tls.caPem });
  });
  afterAll(async () => {
    await store.close();
    await cluster.stop();
  });

  const follow = async (space: string) => {
    const notes = { changes: [] as string[], resets: 0 };
    await store.watch(space, {
      onChange: ({ id }) => notes.changes.push(id),
      onReset: () => notes.resets++,
      onContact: () => undefined,
    });
    return notes;
  };
  /** Commits again until it is known to be there: every attempt but the last did nothing, or what it said is unknown. */
  const commitUntilThere = (space: string, id: string) =>
    eventually(
      () =>
        store.commit(space, [put(id)]).then(
          () => true,
          (error: unknown) => error instanceof RevisionConflict,
        ),
      15_000,
    );

  it('finds the slot of a key as the servers do', async () => {
    for (const key of ['a', 'alter:{app_1}:head', '{}x', 'a{b', 'x{y}z{w}', '{}{a}', 'ü:{é}'])
      expect(slotOf(key)).toBe(Number(await cluster.nodes[0]!.cli('CLUSTER', 'KEYSLOT', key)));
  });

  it('spreads spaces over the nodes and keeps each of them on one', async () => {
    const owners = new Set<number>();
    for (let index = 0; index < 12; index++) {
      await store.commit(`spread-${index}`, [put('a')]);
      owners.add((await cluster.ownerOf(`alter:{spread-${index}}:head`)).port);
    }
    expect(owners.size).toBe(3);
  });

  it('makes the user of a sidecar at every server, and says at which it may not', async () => {
    const sidecars = openSidecarStore(cluster.url, { ca: tls.caPem });
    const issue = () => sidecars.issueLogin({ appId: 'own', keepOld: false });
    const login = await issue();
    expect([login.isMade, login.notes.join()]).toEqual([true, expect.not.stringContaining('Run the rule at')]);
    expect(cluster.nodes).toHaveLength(4);
    for (const node of cluster.nodes) expect(await node.cli('ACL', 'LIST')).toContain(`user ${login.user} on`);
    const limited = await openRedisStore({ url: login.url, ca: tls.caPem });
    const place = { type: 'thing', id: 'x' };
    expect(await limited.get('own', [place])).toEqual([null]);
    await expect(limited.get('other', [place])).rejects.toThrow('NOPERM');
    await limited.close();

    const replica = cluster.nodes.at(-1)!;
    await replica.cli('ACL', 'SETUSER', 'default', '-acl|setuser');
    const partly = await issue();
    expect([partly.isMade, partly.notes]).toEqual([
      false,
      expect.arrayContaining([expect.stringMatching(new RegExp(`at 127.0.0.1:${replica.port}: .*NOPERM`))]),
    ]);
  });

  it('follows a slot to another node, loses no change, and changes nothing halfway', async () => {
    const space = 'moving';
    const notes = await follow(space);
    const ids = Array.from({ length: 20 }, (_, index) => `n-${String(index).padStart(2, '0')}`);
    for (const id of ids) await store.commit(space, [put(id)]);
    const key = `alter:{${space}}:head`;
    const from = await cluster.ownerOf(key);
    const to = cluster.nodes.slice(0, 3).find((node) => node !== from)!;
    let during: Promise<unknown>[] = [];
    await cluster.move(key, to, async () => {
      // What can't be done while the keys are on two nodes waits for the end of it.
      during = [
        store.commit(space, [{ ...put('n-00'), expectedRevision: 1, tags: ['new'], names: ['n-00'] }, put('extra')]),
        store.list({ space, type: 'thing', limit: 100 }),
        store.get(
          space,
          ids.map((id) => ({ type: 'thing', id })),
        ),
        store.append(space, [], [{ bucket: 'b', requests: 1, perSeconds: 86_400 }]),
      ];
      await new Promise((resolve) => setTimeout(resolve, 200));
    });
    const [, list, records] = (await Promise.all(during)) as [undefined, { total: number }, (object | null)[]];
    expect([20, 21]).toContain(list.total);
    expect(records.every((record) => record !== null)).toBe(true);
    await store.commit(space, [put('after')]);
    await eventually(() => notes.changes.includes('after'));
    expect(notes).toEqual({ changes: [...ids, 'n-00', 'extra', 'after'], resets: 0 });
    expect((await store.list({ space, type: 'thing', tag: 't-n-00', limit: 10 })).total).toBe(0);
    expect((await store.list({ space, type: 'thing', tag: 'new', limit: 10 })).total).toBe(1);
    expect((await cluster.ownerOf(key)).port).toBe(to.port);
  });

  it('follows a replica that is promoted because its primary died', async () => {
    const [first] = cluster.nodes;
    const replica = cluster.nodes.at(-1)!;
    let space = '';
    for (let index = 0; space === ''; index++)
      if ((await cluster.ownerOf(`alter:{dying-${index}}:head`)) === first) space = `dying-${index}`;
    const notes = await follow(space);
    await store.commit(space, [put('before')]);
    await eventually(() => notes.changes.length === 1);
    await eventually(async () => (await replica.cli('EXISTS', `alter:{${space}}:head`)) !== '');
    await first!.kill();
    await expect(store.commit(space, [put('lost')])).rejects.toThrow(StoreUnavailable);
    // Spaces of other nodes do not notice.
    const other = Array.from({ length: 12 }, (_, index) => `spread-${index}`);
    for (const one of other)
      if ((await cluster.ownerOf(`alter:{${one}}:head`)) !== first) await store.get(one, [{ type: 'thing', id: 'a' }]);
    await eventually(async () => (await replica.cli('INFO', 'replication')).includes('role:master'));
    const elapsedMs = startStopwatch();
    await commitUntilThere(space, 'after');
    expect(elapsedMs()).toBeLessThan(5_000);
    await eventually(() => notes.changes.includes('after') || notes.resets > 0);
    await store.ping();
  });
});
