import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Redis, type RedisOptions } from 'ioredis';
import type { RedisLocation, ServerAddress, StoreDurability } from '../../core/store-location.ts';
import { NotDurable } from './store.ts';

/** How long an answer may take. A server that stays silent for that long loses its connection, and what waits fails. */
const answerWithinMs = 2_000;
/** Packets that are dropped are not noticed sooner, and what is tried again sooner also recovers sooner. */
const connectWithinMs = 2_000;
const openWithinMs = 5_000;
const longestPauseMs = 1_000;

export interface RedisAccess {
  readonly location: RedisLocation;
  /** PEM certificates of the authorities that the servers' certificates come from, instead of the system's. */
  readonly ca?: string | undefined;
  /** PEM, shown to servers that ask for a certificate. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
  /** For the Sentinels themselves. */
  readonly sentinelAuth?: { readonly username: string | null; readonly password: string } | undefined;
  readonly durability: StoreDurability;
}

/** The type of ioredis allows a `replyMapping` that is undefined, and its constructor doesn't. */
type NodeOptions = Omit<RedisOptions, 'replyMapping'>;

/** One server that answers for keys, or the one that the Sentinels say it is at this moment: the connections to it. */
export class RedisNode {
  /** Host and port, for people; of the Sentinels, where there are. */
  readonly address: string;
  /** For everything that is answered at once. */
  readonly commands: Redis;
  readonly #options: NodeOptions;
  readonly #wait: ReplicaWait | null;
  #following: Redis | null = null;
  #connecting: Promise<void> | null = null;
  #reason = '';

  constructor(access: RedisAccess, servers: readonly ServerAddress[]) {
    this.address = servers.map(formatAddress).join(', ');
    this.#options = nodeOptions(access, servers);
    this.commands = this.#open(this.#options);
    this.commands.on('error', (error) => {
      this.#reason = error.message;
    });
    const { durability } = access;
    // A connection of its own: everything behind a WAIT waits with it.
    this.#wait =
      durability === 'server' ? null : new ReplicaWait(this.#open(waitOptions(this.#options, durability)), durability);
  }

  /** For the feed alone, since it blocks. Connected on first use. */
  async follow(): Promise<Redis> {
    this.#following ??= this.#open(this.#options);
    if (this.#following.status === 'wait') await this.#following.connect();
    return this.#following;
  }

  /** Resolves when the server answers; afterwards the connections come back by themselves. Rejects where it doesn't. */
  async connect(): Promise<void> {
    if (this.commands.status === 'wait') {
      this.#connecting = this.#connect().finally(() => {
        this.#connecting = null;
      });
    }
    await this.#connecting;
  }

  async #connect(): Promise<void> {
    const connected = Promise.all(this.#ofCommands().map((connection) => connection.connect()));
    // Sentinels are asked until one answers.
    const late = sleep(openWithinMs, null, { ref: false }).then(() => {
      throw new Error(`no answer within ${openWithinMs} ms`);
    });
    try {
      await Promise.race([connected, late]);
    } catch (error) {
      connected.catch(() => undefined);
      throw new Error(this.#describeReason() || (error instanceof Error ? error.message : String(error)));
    }
  }

  /** Resolves when what the question wrote is as durable as it has to be; rejects with {@link NotDurable} where it isn't. */
  write<T>(question: (connection: Redis) => Promise<T>): Promise<T> {
    return this.#wait === null ? question(this.commands) : this.#wait.write(question);
  }

  get isLost(): boolean {
    return !['ready', 'wait'].includes(this.commands.status);
  }

  /** Host and port of the server itself, also where Sentinels named it. */
  get name(): string {
    const { remoteAddress, remotePort } = this.commands.stream ?? {};
    if (remoteAddress === undefined || remotePort === undefined) return this.address;
    return formatAddress({ host: remoteAddress, port: remotePort });
  }

  onLost(listener: () => void): void {
    this.commands.on('close', listener);
  }

  async close(): Promise<void> {
    const all = [...this.#ofCommands(), ...(this.#following === null ? [] : [this.#following])];
    await Promise.all(all.map(disconnect));
  }

  #describeReason(): string {
    if (!this.#reason.startsWith('All sentinels are unreachable')) return this.#reason;
    const last = /Last error: (.*)/.exec(this.#reason)?.[1];
    if (last === undefined || last.includes('No such master'))
      return `the Sentinels know no store of the name ${this.#options.name}`;
    return `no Sentinel answers: ${last === 'Connection is closed.' ? 'no connection' : last}`;
  }

  #ofCommands(): Redis[] {
    return this.#wait === null ? [this.commands] : [this.commands, this.#wait.connection];
  }

  #open(options: NodeOptions): Redis {
    const connection = new Redis(options);
    // Without a listener ioredis prints every failed attempt; that contact is missing says it all.
    connection.on('error', () => undefined);
    return connection;
  }
}

/** Asks for every write whether enough replicas have it. Writes that arrive together are asked for together. */
class ReplicaWait {
  readonly connection: Redis;
  readonly #replicas: number;
  readonly #ms: number;
  #underWay: Promise<number> | null = null;
  #next: Promise<number> | null = null;
  /** Counts the lives of the connection: a WAIT knows of the writes of its own connection only, and of no other's. */
  #life = 0;

  constructor(connection: Redis, { replicas, ms }: Exclude<StoreDurability, 'server'>) {
    this.connection = connection;
    this.#replicas = replicas;
    this.#ms = ms;
    connection.on('close', () => {
      this.#life++;
    });
  }

  async write<T>(question: (connection: Redis) => Promise<T>): Promise<T> {
    const life = this.#life;
    const answer = await question(this.connection);
    let count = 0;
    try {
      count = await this.#ask();
    } catch {
      // Neither a refusal nor a lost connection says how many have it.
    }
    if (life !== this.#life || count < this.#replicas) {
      const known = life === this.#life ? `${count} of ${this.#replicas} replicas have it` : 'the connection was lost';
      throw new NotDurable(`the write was done, but is not known to be durable: ${known} after ${this.#ms} ms`);
    }
    return answer;
  }

  #ask(): Promise<number> {
    this.#next ??= this.#askAfter(this.#underWay);
    return this.#next;
  }

  async #askAfter(before: Promise<number> | null): Promise<number> {
    await before?.catch(() => undefined);
    this.#underWay = this.#next;
    this.#next = null;
    return this.connection.wait(this.#replicas, this.#ms);
  }
}

function nodeOptions(
  { location, ca, certificate, sentinelAuth }: RedisAccess,
  servers: readonly ServerAddress[],
): NodeOptions {
  const { username, password, database } = location;
  const tls: TlsOptions | null = location.tls
    ? { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }), ...certificate }
    : null;
  const [first] = servers;
  return {
    ...(location.kind === 'sentinel'
      ? {
          sentinels: [...servers],
          name: location.name!,
          sentinelRetryStrategy: pauseMs,
          sentinelCommandTimeout: answerWithinMs,
          ...(sentinelAuth === undefined ? {} : { sentinelPassword: sentinelAuth.password }),
          ...(sentinelAuth?.username ? { sentinelUsername: sentinelAuth.username } : {}),
          // Which server it is going to be isn't known yet, so it gets no servername; the host that was dialled is verified.
          ...(tls === null ? {} : { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
        }
      : {
          ...first!,
          ...(tls === null ? {} : { tls: { ...tls, servername: isIP(first!.host) === 0 ? first!.host : '' } }),
        }),
    db: database,
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    lazyConnect: true,
    // ioredis loses RESP3 pushes and nothing here needs RESP3.
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: connectWithinMs,
    // How long a server that hangs can hold up the closing of a connection.
    disconnectTimeout: 200,
    commandTimeout: answerWithinMs,
    // Without it a command that timed out stays queued as long as a server that hangs keeps the socket open.
    socketTimeout: answerWithinMs,
    // A server that loads its data says how long that may take; it is often done long before.
    maxLoadingRetryTime: 500,
    // Fail fast, and never send a commit twice: nobody knows what became of the first one.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: pauseMs,
    // After a failover the old primary still answers, as a replica: the name may lead to the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

/** What is sent behind a WAIT is answered only after it. */
function waitOptions(options: NodeOptions, { ms }: Exclude<StoreDurability, 'server'>): NodeOptions {
  const withinMs = answerWithinMs + 2 * ms;
  return { ...options, commandTimeout: withinMs, socketTimeout: withinMs };
}

/** Until the next attempt: longer each time, and never the same for all who lost the same server. */
export function pauseMs(attempt: number): number {
  return Math.min(25 * 2 ** Math.min(attempt, 10), longestPauseMs) * (0.5 + Math.random() / 2);
}

export function formatAddress({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Resolves when the connection is gone for good. */
function disconnect(connection: Redis): Promise<void> {
  return new Promise((resolve) => {
    // Between two attempts there is nothing to close: ioredis forgets the next attempt and reports no end. While Sentinels
    // are asked, it ends with the answer.
    const asksSentinels = connection.status === 'connecting' && connection.options.sentinels !== null;
    const hasEnded = connection.status === 'end' || connection.status === 'reconnecting' || asksSentinels;
    connection.once('end', () => resolve());
    connection.disconnect();
    if (hasEnded) resolve();
  });
}
