import { slotOf } from '../../vault/store/store-redis-slot.ts';
import { eventually } from './in-parallel.ts';
import { findFreePort, type Redis, type RedisOptions, type RedisTls, startRedis, unlessTaken } from './redis.ts';

const slots = 16_384;

export interface ClusterOptions {
  readonly primaries?: number;
  /** Does the first primary have a replica, the last of the nodes? */
  readonly withReplica?: boolean;
  readonly nodeTimeoutMs?: number;
  readonly tls?: RedisTls;
  readonly server?: Pick<RedisOptions, 'appendonly' | 'args'>;
}

export interface RedisCluster {
  readonly url: string;
  readonly nodes: readonly Redis[];
  /** The node that has the slot of this key. */
  ownerOf(key: string): Promise<Redis>;
  /** Gives the slot of this key, with all that is in it, to another node. `onHalf` runs while the keys are on their way. */
  move(key: string, to: Redis, onHalf?: () => Promise<void>): Promise<void>;
  /** Puts the replica and its primary, the first of the nodes or whoever took its place, into each other's roles. */
  failOver(): Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A Redis Cluster on the loopback whose slots are spread evenly. */
export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const { primaries = 3, withReplica = false, nodeTimeoutMs = 15_000, tls, server = {} } = options;
  const busPorts = new Map<Redis, number>();
  const startNode = async (): Promise<Redis> => {
    // The bus would be at port + 10000, which a high port doesn't have.
    const busPort = await findFreePort();
    const node = await startRedis({
      ...server,
      ...(tls === undefined ? {} : { tls }),
      args: [
        ...(server.args ?? []),
        ...['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-config-file', 'nodes.conf'],
        ...['--cluster-node-timeout', String(nodeTimeoutMs), '--cluster-port', String(busPort)],
        ...['--repl-diskless-sync-delay', '0', '--cluster-require-full-coverage', 'no'],
        ...(tls === undefined ? [] : ['--tls-cluster', 'yes', '--tls-replication', 'yes']),
      ],
    });
    busPorts.set(node, busPort);
    return node;
  };
  const nodes = await Promise.all(
    Array.from({ length: primaries + (withReplica ? 1 : 0) }, () => unlessTaken(startNode)),
  );
  const [first] = nodes as [Redis];
  const idOf = (node: Redis): Promise<string> => node.cli('CLUSTER', 'MYID');
  for (const [index, node] of nodes.entries()) {
    await node.cli('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    if (index < primaries) {
      const [from, beyond] = [index, index + 1].map((part) => Math.floor((slots * part) / primaries)) as [
        number,
        number,
      ];
      await node.cli('CLUSTER', 'ADDSLOTSRANGE', String(from), String(beyond - 1));
    }
    if (node !== first) await node.cli('CLUSTER', 'MEET', '127.0.0.1', String(first.port), String(busPorts.get(first)));
  }
  const isWhole = async (node: Redis): Promise<boolean> => {
    const info = await node.cli('CLUSTER', 'INFO');
    return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes.length}`);
  };
  for (const node of nodes) await eventually(() => isWhole(node));
  if (withReplica) {
    const replica = nodes.at(-1)!;
    await replica.cli('CLUSTER', 'REPLICATE', await idOf(first));
    await eventually(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'));
    const isKnown = async () => (await first.cli('CLUSTER', 'SLOTS')).includes(String(replica.port));
    await eventually(isKnown);
  }
  const ownerOf = async (key: string): Promise<Redis> => {
    const slot = slotOf(key);
    for (const line of (await nodes.at(-1)!.cli('CLUSTER', 'NODES')).split('\n')) {
      const [, address = '', flags = '', , , , , , ...ranges] = line.split(' ');
      const has = ranges.some((range) => {
        const [from, to = from] = range.split('-').map(Number);
        return slot >= from! && slot <= to!;
      });
      const port = Number(/:(\d+)@/.exec(address)?.[1]);
      if (has && flags.includes('master')) return nodes.find((node) => node.port === port)!;
    }
    throw new Error(`nobody has slot ${slot}`);
  };
  return {
    url: `${tls === undefined ? 'redis' : 'rediss'}+cluster://${nodes
      .slice(0, primaries)
      .map(({ port }) => `127.0.0.1:${port}`)
      .join(',')}`,
    nodes,
    ownerOf,
    move: async (key, to, onHalf) => {
      const [slot, from] = [String(slotOf(key)), await ownerOf(key)];
      const [fromId, toId] = [await idOf(from), await idOf(to)];
      await to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
      await from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
      const keysLeft = async (): Promise<string[]> =>
        (await from.cli('CLUSTER', 'GETKEYSINSLOT', slot, '100000')).split('\n').filter((one) => one !== '');
      const migrate = async (some: readonly string[]): Promise<void> => {
        if (some.length > 0) await from.cli('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...some);
      };
      const keys = await keysLeft();
      await migrate(keys.slice(0, Math.ceil(keys.length / 2)));
      await onHalf?.();
      for (let left = await keysLeft(); left.length > 0; left = await keysLeft()) await migrate(left);
      await to.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
      await from.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
    },
    failOver: async () => {
      const pair = [nodes[0]!, nodes.at(-1)!];
      const isReplica = async (node: Redis) => (await node.cli('ROLE')).startsWith('slave');
      const replica = (await isReplica(pair[0]!)) ? pair[0]! : pair[1]!;
      const primary = pair.find((node) => node !== replica)!;
      const isUp = async (node: Redis) => (await node.cli('INFO', 'replication')).includes('master_link_status:up');
      await eventually(() => isUp(replica));
      // Asked for again where it was given up, because the machine is busy, or not granted: a replica of the same primary gets
      // no votes twice within two node timeouts.
      await eventually(
        async () => {
          if (!(await isReplica(replica))) return true;
          await replica.cli('CLUSTER', 'FAILOVER');
          await new Promise((resolve) => setTimeout(resolve, 500));
          return !(await isReplica(replica));
        },
        30_000 + 2 * nodeTimeoutMs,
      );
      await eventually(() => isUp(primary));
    },
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}
