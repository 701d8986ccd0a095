import { AlterError } from '../core/errors.ts';
import { readRedisUrl } from '../core/store-location.ts';
import { type RedisAccess, RedisNode } from './store-redis-node.ts';

/** How the servers are reached, besides their URL. */
export type RedisSettings = Pick<RedisAccess, 'ca' | 'certificate' | 'sentinelAuth'>;

/**
 * Makes or changes a user of the server, with the rights of the service's own user, and has the server write it down.
 * Whether it may is up to the server; where it may not, nothing is changed. Throws `state_unavailable`.
 */
export async function makeRedisUser(of: {
  /** Of one server. */
  readonly url: string;
  readonly access: RedisSettings;
  readonly user: string;
  readonly rules: readonly string[];
}): Promise<{ readonly isMade: boolean; readonly notes: readonly string[] }> {
  const read = readRedisUrl(of.url);
  if ('problems' in read)
    throw new AlterError('config_invalid', { detail: `ALTER_STORE_URL ${read.problems.join('; ')}.` });
  const node = new RedisNode({ ...of.access, location: read.location, durability: 'server' }, read.location.servers);
  try {
    await node.connect();
    const connection = node.commands;
    const refused = await refusalOf(() => connection.call('ACL', ['SETUSER', of.user, ...of.rules]));
    if (refused !== null)
      return { isMade: false, notes: [`Run the rule at the server: the service's own user may not (${refused}).`] };
    const notes: string[] = [];
    if ((await refusalOf(() => connection.call('ACL', 'SAVE'))) !== null)
      notes.push(
        'The server keeps no ACL file: it forgets the user when it restarts. Put the rule into its configuration.',
      );
    if (/^connected_slaves:[1-9]/m.test(await connection.info('replication')))
      notes.push('Run the rule on every replica too: users are not replicated.');
    return { isMade: true, notes };
  } catch (cause) {
    throw new AlterError('state_unavailable', { detail: 'The store could not be reached.', cause });
  } finally {
    await node.close();
  }
}

/** The first word of what the server answered, such as NOPERM; null where it did as it was told. */
async function refusalOf(command: () => Promise<unknown>): Promise<string | null> {
  try {
    await command();
    return null;
  } catch (error) {
    if ((error as Error).name !== 'ReplyError') throw error;
    return (error as Error).message.split(' ', 1)[0]!;
  }
}
