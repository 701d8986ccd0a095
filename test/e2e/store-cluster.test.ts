import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, it } from '@jest/globals';
import type { Service } from '../../serve/service.ts';
import { systemSpace } from '../../vault/keys/keyring.ts';
import { eventually } from '../support/in-parallel.ts';
import type { Redis } from '../support/redis.ts';
import { type RedisCluster, startCluster } from '../support/redis-cluster.ts';
import { Rig } from '../support/rig.ts';
import { WitnessedLoad } from '../support/witnessed-load.ts';

/*
 * A Redis Cluster is rearranged under requests and changes: the slots of the app and of the system move to other servers, and the
 * replica of a server that has the app takes its place. TEST_CLUSTER_ROUNDS says how often.
 */
const rounds = Number(process.env.TEST_CLUSTER_ROUNDS ?? 1);
const stalenessMs = 1_000;
/** For which a space is on two servers, and its requests wait or are refused. */
const movingMs = 300;

let cluster: RedisCluster;
let rig: Rig;
let other: Service;
beforeAll(async () => {
  cluster = await startCluster({ withReplica: true, server: { appendonly: true } });
  const settings = { ALTER_STORE_URL: cluster.url, ALTER_MAX_STALENESS: `${stalenessMs}ms` };
  rig = await Rig.open({ settings });
  other = await rig.startBeside('proxy');
});
afterAll(async () => {
  await other?.close();
  await rig?.close();
  await cluster?.stop();
});

it(
  `nothing is lost or used too long when a Cluster is rearranged under requests, ${rounds} times`,
  async () => {
    const ports = [rig.proxyPort, other.proxy!.address.port];
    const load = await WitnessedLoad.open(rig, [...ports, ...ports]);
    const goesOn = async (): Promise<void> => {
      const [arrivals, revocations] = [load.arrivals.length, load.acknowledgedRevocations];
      await eventually(
        () => load.arrivals.length > arrivals + 20 && load.acknowledgedRevocations > revocations,
        10_000,
      );
    };
    const ownerOf = (space: string): Promise<Redis> => cluster.ownerOf(`alter:{${space}}:head`);
    const move = async (space: string, to: Redis): Promise<void> => {
      if (to === (await ownerOf(space))) return;
      await cluster.move(`alter:{${space}}:head`, to, () => sleep(movingMs));
      await eventually(async () => (await ownerOf(space)) === to);
      await goesOn();
    };
    try {
      await goesOn();
      for (let round = 0; round < rounds; round++) {
        const [, second, third] = cluster.nodes;
        const [one, two] = round % 2 === 0 ? [second!, third!] : [third!, second!];
        await move(rig.appId, one);
        await move(systemSpace, two);
        // To the one of the pair that is its primary at this time.
        const primary = (await cluster.nodes[0]!.cli('ROLE')).startsWith('master')
          ? cluster.nodes[0]!
          : cluster.nodes.at(-1)!;
        await move(rig.appId, primary);
        await cluster.failOver();
        await eventually(async () => (await ownerOf(rig.appId)) !== primary);
        await goesOn();
      }
    } finally {
      await load.stop();
    }
    await load.judge(stalenessMs + 250);
  },
  60_000 + rounds * 60_000,
);
