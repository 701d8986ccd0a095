import { eventually } from './in-parallel.ts';
import { type Redis, type RedisOptions, type RedisTls, startRedis } from './redis.ts';
import { StallingRelay } from './stalling-relay.ts';

export interface SentinelOptions {
  readonly sentinels?: number;
  /** After how long without an answer the Sentinels take the primary for dead. Long: only when they are told. */
  readonly downAfterMs?: number;
  readonly tls?: RedisTls;
  /** Everybody but those who know its port reaches the primary through a relay that can be stalled. */
  readonly behindRelay?: boolean;
  readonly server?: Pick<RedisOptions, 'appendonly' | 'args'>;
}

export interface RedisWithSentinels {
  readonly url: string;
  readonly servers: readonly [Redis, Redis];
  readonly sentinels: readonly Redis[];
  readonly relay: StallingRelay | null;
  /** The one of the servers that the Sentinels name. */
  primary(): Promise<Redis>;
  /** The Sentinels make the replica the primary, and everybody has heard of it. */
  failOver(): Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A primary with a replica, and Sentinels that watch them under the name `store`. */
export async function startSentinels(options: SentinelOptions = {}): Promise<RedisWithSentinels> {
  const { tls, sentinels: count = 1, downAfterMs = 60_000, server = {} } = options;
  const secure = tls === undefined ? {} : { tls };
  const common = [
    ...(server.args ?? []),
    '--repl-diskless-sync-delay',
    '0',
    ...(tls === undefined ? [] : ['--tls-replication', 'yes']),
  ];
  const start = (args: readonly string[]) => startRedis({ ...server, ...secure, args: [...common, ...args] });
  const primary = await start([]);
  const relay = options.behindRelay === true ? await StallingRelay.open(primary.port) : null;
  const knownPort = relay?.port ?? primary.port;
  const replica = await start(['--replicaof', '127.0.0.1', String(knownPort)]);
  const servers = [primary, replica] as const;
  await eventually(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'));
  const sentinels = await Promise.all(
    Array.from({ length: count }, () =>
      startRedis({
        ...secure,
        args: ['--sentinel'],
        config: [
          `sentinel monitor store 127.0.0.1 ${knownPort} ${Math.floor(count / 2) + 1}`,
          `sentinel down-after-milliseconds store ${downAfterMs}`,
          'sentinel failover-timeout store 3000',
          ...(tls === undefined ? [] : ['tls-replication yes']),
        ],
      }),
    ),
  );
  const named = async (): Promise<Redis> => {
    const [, port] = (await sentinels[0]!.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'store')).split('\n');
    return Number(port) === knownPort ? primary : replica;
  };
  // By default they look at the servers every ten seconds, and at each other every two.
  const often = [
    'info-period',
    '300',
    'publish-period',
    '200',
    'ask-period',
    '200',
    'min-link-reconnect-period',
    '300',
  ];
  for (const sentinel of sentinels) {
    await sentinel.cli('SENTINEL', 'DEBUG', ...often, 'slave-reconf-timeout', '1000');
    await eventually(async () => {
      const told = (await sentinel.cli('SENTINEL', 'MASTER', 'store')).split('\n');
      const value = (field: string): number => Number(told[told.indexOf(field) + 1]);
      return value('num-slaves') === 1 && value('num-other-sentinels') === count - 1;
    }, 15_000);
  }
  return {
    url: `${tls === undefined ? 'redis' : 'rediss'}+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/store/0`,
    servers,
    sentinels,
    relay,
    primary: named,
    failOver: async () => {
      const before = await named();
      await eventually(async () => (await sentinels[0]!.cli('SENTINEL', 'FAILOVER', 'store')) === 'OK');
      await eventually(async () => (await named()) !== before);
      const after = await named();
      await eventually(async () => (await after.cli('INFO', 'replication')).includes('role:master'));
    },
    stop: async () => {
      await Promise.all([...sentinels, ...servers].map((one) => one.stop()));
      await relay?.close();
    },
  };
}
