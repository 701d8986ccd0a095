/** Where the servers of a Redis store are, as `ALTER_STORE_URL` says it. */
export interface RedisLocation {
  /** Are the servers the store, or Sentinels that know it, or some of the nodes of a Cluster? */
  readonly kind: 'single' | 'sentinel' | 'cluster';
  readonly tls: boolean;
  readonly servers: readonly ServerAddress[];
  /** What the Sentinels call the store; null where there are none. */
  readonly name: string | null;
  readonly database: number;
  readonly username: string | null;
  readonly password: string | null;
}

export interface ServerAddress {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

export const redisUrlForms =
  'redis://[USER:PASSWORD@]HOST:PORT/DB, redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/NAME/DB or redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT, each with rediss for TLS';

/** One line each, none of which quotes the URL: a part that was misread may hold the password. */
export type RedisUrlProblems = { readonly problems: readonly string[] };

/** Reads a URL that begins with one of the schemes. Never throws. */
export function readRedisUrl(text: string): { readonly location: RedisLocation } | RedisUrlProblems {
  const match = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/([^/?#]*)([^?#]*)([?#].*)?$/is.exec(text);
  if (match === null) return { problems: [`must be ${redisUrlForms}`] };
  const [, scheme = '', form, authority = '', path = '', rest] = match;
  const kind = (form?.toLowerCase() ?? 'single') as RedisLocation['kind'];
  const problems: string[] = [];
  if (rest !== undefined) problems.push('may have nothing from a ? or # on (written %3F and %23 inside a password)');

  const at = authority.lastIndexOf('@');
  const [username, password] = at === -1 ? [null, null] : readUser(authority.slice(0, at), problems);
  const servers = readServers(authority.slice(at + 1), kind === 'sentinel' ? 26_379 : 6_379, problems);
  if (kind === 'single' && servers.length > 1)
    problems.push(
      'names several servers: with them it begins with redis+sentinel:// or redis+cluster:// (rediss+… for TLS)',
    );

  const [name, database] = readPath(kind, path, problems);
  if (problems.length > 0) return { problems };
  return { location: { kind, tls: /^rediss$/i.test(scheme), servers, name, database, username, password } };
}

function readUser(text: string, problems: string[]): [string | null, string | null] {
  const colon = text.indexOf(':');
  try {
    const [username, password] =
      colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)].map(decodeURIComponent);
    if (password === '') problems.push('has a user without a password: USER:PASSWORD@, or :PASSWORD@');
    return [username === '' ? null : username!, password!];
  } catch {
    problems.push('has a % in its user or password that stands for nothing: write it %25');
    return [null, null];
  }
}

function readServers(text: string, defaultPort: number, problems: string[]): ServerAddress[] {
  const servers: ServerAddress[] = [];
  const items = text.split(',');
  for (const [index, item] of items.entries()) {
    const match = /^(?:\[([0-9a-f:.]+)\]|(\w(?:[\w.-]*\w)?\.?))(?::(\d{1,5}))?$/i.exec(item);
    const port = Number(match?.[3] ?? defaultPort);
    if (match !== null && port > 0 && port <= 65_535) servers.push({ host: (match[1] ?? match[2])!, port });
    else {
      const which = items.length === 1 ? 'has no' : `has, as server ${index + 1} of ${items.length}, no`;
      problems.push(`${which} HOST:PORT (an @, / or : inside a password is written %40, %2F or %3A)`);
    }
  }
  return servers;
}

function readPath(kind: RedisLocation['kind'], path: string, problems: string[]): [string | null, number] {
  if (kind === 'cluster') {
    if (path !== '' && path !== '/' && path !== '/0')
      problems.push('has something behind the servers: a Cluster has no numbered databases');
    return [null, 0];
  }
  const [, first = '', ...more] = path.split('/');
  const [name, database = '', ...beyond] = kind === 'sentinel' ? [first, ...more] : [null, first, ...more];
  if (kind === 'sentinel' && !/^[\w.-]+$/.test(name ?? ''))
    problems.push('needs, behind the servers, the NAME by which the Sentinels know the store');
  if (!/^\d{0,4}$/.test(database) || beyond.some((part) => part !== ''))
    problems.push(
      kind === 'sentinel'
        ? 'may have only /NAME/DB behind the servers, where DB is a number'
        : 'has a DB that is no number',
    );
  return [name, Number(/^\d{1,4}$/.exec(database)?.[0] ?? 0)];
}

/** `server`: acknowledged is what the server acknowledges. A number: what so many replicas also have within `ms`. */
export type StoreDurability = 'server' | { readonly replicas: number; readonly ms: number };

/** `server` or `wait:N:MS`; null for anything else. */
export function findStoreDurability(text: string): StoreDurability | null {
  if (text === 'server') return text;
  const match = /^wait:([1-9]\d?):(\d{1,5})$/.exec(text);
  const [replicas, ms] = [Number(match?.[1]), Number(match?.[2])];
  return replicas >= 1 && ms >= 10 && ms <= 5_000 ? { replicas, ms } : null;
}
