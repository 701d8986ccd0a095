import type { StoreDurability } from '../../core/store-location.ts';
import type { RedisNode } from './store-redis-node.ts';
import type { RedisServers } from './store-redis-servers.ts';

/** One line for an operator; `isRisk` where an acknowledged write could be lost, or a wanted one refused. */
export interface StoreNote {
  readonly isRisk: boolean;
  readonly text: string;
}

/** Reads how the servers keep and replicate what they are given, and says what that means. Never rejects. */
export async function explainServers(
  servers: RedisServers,
  durability: StoreDurability = 'server',
): Promise<StoreNote[]> {
  const notes = await Promise.all(servers.primaries('').map(({ node }) => explainServer(node, durability)));
  return notes.flat();
}

async function explainServer(node: RedisNode, durability: StoreDurability): Promise<StoreNote[]> {
  const settings = await readSettings(node);
  const replicas = await countReplicas(node);
  return explainSettings({ settings, replicas, durability }).map(({ isRisk, text }) => ({
    isRisk,
    text: `Redis at ${node.name}: ${text}`,
  }));
}

/** Pure, so that every sentence can be tested. `settings` and `replicas` are null where the user may not ask. */
export function explainSettings(of: {
  readonly settings: ReadonlyMap<string, string> | null;
  readonly replicas: number | null;
  readonly durability: StoreDurability;
}): StoreNote[] {
  const { settings, replicas, durability } = of;
  return [...(settings === null ? [unknown] : [...explainFiles(settings), explainMemory(settings)]), explainReplicas()];

  function explainReplicas(): StoreNote {
    const atLeast = Number(settings?.get('min-replicas-to-write') ?? 0);
    if (durability !== 'server') {
      const promise = `a write counts as done when ${count(durability.replicas)} confirmed it within ${durability.ms} ms (ALTER_STORE_DURABILITY), and is refused as not durable otherwise.`;
      if (replicas !== null && replicas < durability.replicas)
        return risk(`only ${count(replicas)} connected now; ${promise}`);
      return fine(promise);
    }
    if (replicas === null)
      return risk(
        'the ACL user may not ask for INFO replication, so whether a failover could lose writes is not known.',
      );
    if (replicas === 0)
      return fine('it has no replicas, so there is nothing to fail over to: its own files are all there is.');
    const refuses =
      atLeast > 0 ? ` It stops taking writes while fewer than ${atLeast} are connected (min-replicas-to-write).` : '';
    return risk(
      `it has ${count(replicas)}, which it does not wait for: a failover can lose the last acknowledged writes, a revocation among them. ALTER_STORE_DURABILITY=wait:1:500 waits.${refuses}`,
    );
  }
}

const unknown = risk(
  'the ACL user may not ask for CONFIG GET, so what a crash would lose is not known. Allow it with +config|get, or see to appendonly, appendfsync and maxmemory-policy yourself.',
);

function explainFiles(settings: ReadonlyMap<string, string>): StoreNote[] {
  const save = settings.get('save') ?? '';
  if (settings.get('appendonly') === 'yes') {
    switch (settings.get('appendfsync')) {
      case 'always':
        return [fine('every write is on its disk before it is acknowledged (appendfsync always).')];
      case 'everysec':
        return [
          risk(
            'the last second of acknowledged writes, a revocation among them, is lost if its machine loses power (appendfsync everysec). A crash of the server alone loses nothing. appendfsync always closes this.',
          ),
        ];
      default:
        return [
          risk(
            'how many acknowledged writes are lost if its machine loses power is up to the operating system (appendfsync no).',
          ),
        ];
    }
  }
  if (save !== '') {
    return [
      risk(
        `everything since the last snapshot is lost when the server crashes (appendonly no; save ${save}). Set appendonly yes and appendfsync always.`,
      ),
    ];
  }
  return [
    risk(
      'everything is lost when the server ends: it writes no files (appendonly no, no save). Set appendonly yes and appendfsync always.',
    ),
  ];
}

function explainMemory(settings: ReadonlyMap<string, string>): StoreNote {
  const policy = settings.get('maxmemory-policy') ?? 'noeviction';
  const limit = Number(settings.get('maxmemory') ?? 0);
  // Rate counters and the ping expire, so also a policy that is limited to those deletes something of ours.
  if (policy !== 'noeviction')
    return risk(
      `it deletes data when memory runs out (maxmemory-policy ${policy}): a policy, a revocation or a rate counter could disappear. Set noeviction.`,
    );
  return fine(
    limit === 0
      ? 'its memory has no limit of its own (maxmemory 0).'
      : `when ${Math.round(limit / 2 ** 20)} MiB are full it refuses writes and deletes nothing (noeviction).`,
  );
}

async function readSettings({ commands }: RedisNode): Promise<ReadonlyMap<string, string> | null> {
  const names = ['appendonly', 'appendfsync', 'save', 'maxmemory', 'maxmemory-policy', 'min-replicas-to-write'];
  try {
    const pairs = (await commands.config('GET', ...(names as [string]))) as string[];
    const settings = new Map<string, string>();
    for (let at = 0; at < pairs.length; at += 2) settings.set(pairs[at]!, pairs[at + 1]!);
    return settings;
  } catch {
    return null;
  }
}

async function countReplicas({ commands }: RedisNode): Promise<number | null> {
  try {
    const info = await commands.info('replication');
    return Number(/^connected_slaves:(\d+)/m.exec(info)?.[1] ?? 0);
  } catch {
    return null;
  }
}

function count(replicas: number): string {
  return replicas === 1 ? '1 replica' : `${replicas} replicas`;
}

function risk(text: string): StoreNote {
  return { isRisk: true, text };
}

function fine(text: string): StoreNote {
  return { isRisk: false, text };
}
