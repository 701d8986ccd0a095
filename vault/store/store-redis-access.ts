import { SpaceKeys } from './store-redis-keys.ts';

/**
 * What a sidecar does at the server, scripts included; all of it of Redis 7.0, since a server refuses a rule with a command
 * that it does not know. Not here: CLIENT UNBLOCK, by which one user can disturb another, and CONFIG GET, which shows passwords.
 */
const commands = [
  ...['ping', 'info', 'role', 'select', 'client|id', 'time', 'wait'],
  ...['cluster|slots', 'cluster|info', 'readonly'],
  ...['eval', 'evalsha', 'get', 'incr', 'pexpireat', 'del'],
  ...['hget', 'hmget', 'hset', 'hsetnx', 'hdel', 'hincrby', 'zadd', 'zrem', 'zrange', 'zlexcount'],
  ...['xadd', 'xread', 'xrange', 'xrevrange', 'xlen', 'xinfo|stream'],
];

/**
 * The rules of `ACL SETUSER` for a sidecar: of one app's keys it reads all, and writes those that the data plane writes. What
 * an operator decides (grants, keys, secrets, policies) can't be changed with it, although its app key could seal it.
 */
export function redisAccessRules(of: {
  readonly prefix: string;
  readonly space: string;
  /** Types of record that the data plane writes. All others it only reads. */
  readonly writes: readonly string[];
}): string[] {
  const { base, head, feed, index, names, audit } = new SpaceKeys(of.prefix, of.space);
  const written = [head, feed, index, names, `${audit}*`, `${base}tag:*`, `${base}rate:*`];
  return [
    'resetkeys',
    'resetchannels',
    'nocommands',
    `%R~${base}*`,
    ...[...written, ...of.writes.map((type) => `${base}record:${type}:*`)].map((pattern) => `~${pattern}`),
    ...commands.map((command) => `+${command}`),
  ];
}
