import { Redis } from 'ioredis';
import { AlterError } from '../core/errors.ts';
import { parseRedisUrl } from './store-redis.ts';
import { disconnect } from './store-redis-feed.ts';

/**
 * Makes or changes a user of the server, with the rights of the service's own user, and has the server write it down.
 * Whether it may is up to the server; where it may not, nothing is changed. Throws `state_unavailable`.
 */
export async function makeRedisUser(of: {
  readonly url: string;
  readonly user: string;
  readonly rules: readonly string[];
}): Promise<{ readonly isMade: boolean; readonly notes: readonly string[] }> {
  const connection = new Redis(parseRedisUrl(of.url));
  connection.on('error', () => undefined); // ioredis prints it otherwise
  try {
    await connection.connect();
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
    await disconnect(connection);
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
