import { AlterError } from '../../core/errors.ts';
import { type RedisLocation, readRedisUrl, type ServerAddress } from '../../core/store-location.ts';
import { type RedisAccess, RedisNode } from './store-redis-node.ts';

/** How the servers are reached, besides their URL. */
export type RedisSettings = Pick<RedisAccess, 'ca' | 'certificate' | 'sentinelAuth'>;

interface Made {
  /** False where an operator has to run the rule, at one server at least. */
  readonly isMade: boolean;
  /** What is still to be done, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Makes or changes a user of the servers, with the rights of the service's own user, and has them write it down: at the one
 * server of the URL, at the primary that Sentinels name and its replicas, or at all that serve a Cluster. They do not tell each
 * other of users, and a replica that is promoted must know them. Whether it may is up to each. Throws `state_unavailable`
 * where none is reached.
 */
export async function makeRedisUser(of: {
  readonly url: string;
  readonly access: RedisSettings;
  readonly user: string;
  readonly rules: readonly string[];
}): Promise<Made> {
  const read = readRedisUrl(of.url);
  if ('problems' in read)
    throw new AlterError('config_invalid', { detail: `ALTER_STORE_URL ${read.problems.join('; ')}.` });
  const { location } = read;
  const access: RedisAccess = { ...of.access, location, durability: 'server' };
  const opened: RedisNode[] = [];
  try {
    const { nodes, notes } = await findServers(access, (servers, kind = 'single') => {
      const node = new RedisNode({ ...access, location: { ...location, kind } }, servers);
      opened.push(node);
      return node;
    });
    const outcomes = await Promise.all(
      nodes.map(async (node) => {
        const outcome = await makeAt(node, of, location.kind);
        return { ...outcome, name: location.kind === 'sentinel' ? node.name : node.address };
      }),
    );
    if (outcomes.every(({ refused }) => refused === noAnswer)) throw new Error(noAnswer);
    const failed = Map.groupBy(outcomes, ({ refused }) => refused);
    const namesOf = (some: typeof outcomes): string => some.map(({ name }) => name).join(', ');
    for (const [refused, some] of failed) {
      if (refused === noAnswer) notes.push(`Run the rule at ${namesOf(some)}: there was no answer.`);
      else if (refused !== null)
        notes.push(`Run the rule at ${namesOf(some)}: the service's own user may not (${refused}).`);
    }
    const isMade = failed.size === 1 && failed.has(null);
    const forgetful = outcomes.filter(({ refused, isKept }) => refused === null && !isKept);
    if (forgetful.length > 0)
      notes.push(
        `Without an ACL file a server forgets the user when it restarts, as ${namesOf(forgetful)} would. Put the rule into its configuration.`,
      );
    if (outcomes.some(({ hasReplicas }) => hasReplicas))
      notes.push('Run the rule on every replica too: users are not replicated.');
    if (location.kind !== 'single') notes.push('A server that is added later needs the rule too.');
    return { isMade, notes };
  } catch (cause) {
    throw new AlterError('state_unavailable', { detail: 'The store could not be reached.', cause });
  } finally {
    await Promise.all(opened.map((node) => node.close()));
  }
}

const noAnswer = 'no answer';

type Open = (servers: readonly ServerAddress[], kind?: RedisLocation['kind']) => RedisNode;

/** Rejects where nobody says who the servers are. */
async function findServers(
  { location }: RedisAccess,
  open: Open,
): Promise<{ readonly nodes: readonly RedisNode[]; readonly notes: string[] }> {
  const { kind, servers } = location;
  if (kind === 'single') return { nodes: [open(servers)], notes: [] };
  if (kind === 'cluster') return { nodes: await findClusterServers(servers, open), notes: [] };
  const primary = open(servers, 'sentinel');
  await primary.connect();
  const { answer, refused } = await ask(() => primary.commands.info('replication'));
  const replicas = [...(answer ?? '').matchAll(/^slave\d+:ip=([^,]+),port=(\d+)/gm)];
  return {
    nodes: [primary, ...replicas.map(([, host, port]) => open([{ host: host!, port: Number(port) }]))],
    notes: refused === null ? [] : [`Run the rule on every replica: which there are is not told (${refused}).`],
  };
}

type SlotsReply = readonly (readonly [from: number, to: number, ...servers: (readonly [string | null, number])[]])[];

/** Of the Cluster that any of these belongs to: whoever has slots, and their replicas. */
async function findClusterServers(servers: readonly ServerAddress[], open: Open): Promise<RedisNode[]> {
  let reason: unknown = null;
  for (const asked of servers) {
    const node = open([asked]);
    try {
      await node.connect();
      const reply = (await node.commands.cluster('SLOTS')) as unknown as SlotsReply;
      const all = reply.flatMap(([, , ...holders]) => holders);
      // A server that does not know its own name is the one that was asked.
      const byName = new Map(all.map(([host, port]) => [`${host}:${port}`, { host: host || asked.host, port }]));
      return [...byName.values()].map((server) => open([server]));
    } catch (error) {
      reason = error;
    }
  }
  throw reason;
}

async function makeAt(
  node: RedisNode,
  { user, rules }: { readonly user: string; readonly rules: readonly string[] },
  kind: RedisLocation['kind'],
): Promise<{ readonly refused: string | null; readonly isKept: boolean; readonly hasReplicas: boolean }> {
  const { commands } = node;
  try {
    await node.connect();
    const { refused } = await ask(() => commands.call('ACL', ['SETUSER', user, ...rules]));
    if (refused !== null) return { refused, isKept: false, hasReplicas: false };
    const isKept = (await ask(() => commands.call('ACL', 'SAVE'))).refused === null;
    const replication = kind === 'single' ? (await ask(() => commands.info('replication'))).answer : null;
    return { refused: null, isKept, hasReplicas: /^connected_slaves:[1-9]/m.test(replication ?? '') };
  } catch {
    return { refused: noAnswer, isKept: false, hasReplicas: false };
  }
}

/** `refused`: the first word of what the server answered, such as NOPERM; null where it did as it was told. */
async function ask<T>(
  command: () => Promise<T>,
): Promise<{ readonly answer: T | null; readonly refused: string | null }> {
  try {
    return { answer: await command(), refused: null };
  } catch (error) {
    if ((error as Error).name !== 'ReplyError') throw error;
    return { answer: null, refused: (error as Error).message.split(' ', 1)[0]! };
  }
}
