import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { Redis, type RedisOptions } from 'ioredis';
import { AlterError } from '../core/errors.ts';
import {
  type AuditEntry,
  type AuditQuery,
  type Change,
  type ListQuery,
  NameTaken,
  type RateTake,
  type RateVerdict,
  type RecordKey,
  type RecordPage,
  RevisionConflict,
  type Store,
  type StoredAuditEntry,
  type StoredRecord,
  StoreUnavailable,
  type Watch,
  type Watcher,
} from './store.ts';
import { disconnect, parsePosition, RedisFeed } from './store-redis-feed.ts';
import { parseMember, SpaceKeys, toMember } from './store-redis-keys.ts';
import {
  appendScript,
  commitScript,
  findByTagsScript,
  listScript,
  openFeedScript,
  type Script,
} from './store-redis-scripts.ts';

/** How long an answer may take. A server that stays silent for that long loses its connection, and what waits fails. */
const answerWithinMs = 2_000;
const connectWithinMs = 5_000;
const longestPauseMs = 1_000;

/** A server that hangs must not pile up requests: beyond this they are refused at once. */
const maxUnanswered = 10_000;

/** Entries that a feed keeps for followers that lost their connection, about. */
const feedEntries = 10_000;

export interface RedisStoreOptions {
  /** `redis://` or `rediss://`, with user, password and number of the database where they are needed. */
  readonly url: string;
  /** What every key begins with: letters, digits, `.`, `_` and `-`. */
  readonly prefix?: string;
}

/** Throws `config_invalid` for a URL that can't be used, and {@link StoreUnavailable} where the server can't be reached. */
export async function openRedisStore({ url, prefix = 'alter' }: RedisStoreOptions): Promise<Store> {
  const options = parseRedisUrl(url);
  // A brace in front of the one around the space would become the hash tag.
  if (!/^[\w.-]+$/.test(prefix)) throw invalid('The prefix of the keys may hold letters, digits, ., _ and - only.');
  const connection = new Redis(options);
  let reason = '';
  connection.on('error', (error) => {
    reason = error.message;
  });
  const address = `${options.host}:${options.port}`;
  try {
    await connection.connect();
    requireVersion(await connection.info('server'));
  } catch (error) {
    await disconnect(connection);
    // The reason only: an error of ioredis carries the arguments of its command, so also a password.
    throw new StoreUnavailable(`cannot open the Redis store at ${address}: ${reason || messageOf(error)}`);
  }
  return new RedisStore({ connection, options, address, prefix });
}

/** The type of ioredis allows a `replyMapping` that is undefined, and its constructor doesn't. */
type ConnectionOptions = Omit<RedisOptions, 'replyMapping'> & { readonly host: string; readonly port: number };

/** Throws `config_invalid`. */
export function parseRedisUrl(text: string): ConnectionOptions {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid('The URL of the Redis store cannot be read: it looks like redis://user:password@host:6379/0.');
  }
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    throw invalid(`A Redis store is reached with redis:// or rediss://, not ${url.protocol}//.`);
  }
  const db = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1];
  if (url.hostname === '' || db === undefined || url.search !== '' || url.hash !== '') {
    throw invalid('The URL of the Redis store has a host, and after it at most a port and the number of a database.');
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    host,
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(db),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:'
      ? { tls: { servername: isIP(host) === 0 ? host : '', rejectUnauthorized: true } }
      : {}),
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
    // Fail fast, and never send a commit twice: nobody knows what became of the first one.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 10), longestPauseMs) * (0.5 + Math.random() / 2),
    // After a failover the old primary still answers, as a replica: the name may lead to the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

function requireVersion(info: string): void {
  const version = /^redis_version:(\d+)\./m.exec(info)?.[1];
  if (version !== undefined && Number(version) < 7) throw new Error(`it is Redis ${version}, and 7.0 is needed`);
}

interface RedisStoreParts {
  readonly connection: Redis;
  readonly options: ConnectionOptions;
  readonly address: string;
  readonly prefix: string;
}

class RedisStore implements Store {
  readonly #connection: Redis;
  readonly #address: string;
  readonly #prefix: string;
  readonly #feed: RedisFeed;
  readonly #unanswered = new Set<Promise<unknown>>();
  #closing: Promise<void> | null = null;

  constructor({ connection, options, address, prefix }: RedisStoreParts) {
    this.#connection = connection;
    this.#address = address;
    this.#prefix = prefix;
    const following = new Redis(options);
    // Without a listener ioredis prints every failed attempt; that contact is missing says it all.
    following.on('error', () => undefined);
    this.#feed = new RedisFeed({
      connection: following,
      openFeed: async (keys) => parsePosition(texts(await this.#run(openFeedScript, [keys.head], [newEpoch()]))),
      unblock: async (clientId) => {
        await connection.client('UNBLOCK', clientId);
      },
    });
  }

  async get(space: string, keys: readonly RecordKey[]): Promise<(StoredRecord | null)[]> {
    if (keys.length === 0) return [];
    const spaceKeys = this.#keys(space);
    return this.#ask(async () => {
      if (keys.length === 1) {
        const [key] = keys;
        return [toRecord(key!, await this.#connection.hmgetBuffer(spaceKeys.record(key!), 'r', 'b'))];
      }
      const pipeline = this.#connection.pipeline();
      for (const key of keys) pipeline.hmgetBuffer(spaceKeys.record(key), 'r', 'b');
      const answers = (await pipeline.exec()) ?? [];
      return keys.map((key, index) => {
        const [error, fields] = answers[index] ?? [new Error('no answer'), null];
        if (error !== null) throw error;
        return toRecord(key, fields as (Buffer | null)[]);
      });
    });
  }

  async findByName(space: string, names: readonly string[]): Promise<(RecordKey | null)[]> {
    if (names.length === 0) return [];
    const members = await this.#ask(() => this.#connection.hmgetBuffer(this.#keys(space).names, ...names));
    return members.map((member) => (member === null ? null : parseMember(member)));
  }

  async list({ space, type, tag, after, offset, order, limit }: ListQuery): Promise<RecordPage> {
    const keys = this.#keys(space);
    const lowest = `[${toMember({ type, id: '' })}`;
    const highest = `(${lowest.slice(1, -1)};`;
    const descending = order === 'descending';
    const beyond = after === undefined ? null : `(${toMember({ type, id: after })}`;
    const [total, ...fields] = (await this.#run(
      listScript,
      [tag === undefined ? keys.index : keys.tag(tag)],
      [
        keys.base,
        lowest,
        highest,
        descending ? lowest : (beyond ?? lowest),
        descending ? (beyond ?? highest) : highest,
        descending ? 'REV' : '',
        offset ?? 0,
        Math.max(limit, 0),
      ],
    )) as [number, ...Buffer[]];
    const records: StoredRecord[] = [];
    for (let at = 0; at < fields.length; at += 3) {
      const record = toRecord(parseMember(fields[at]!), fields.slice(at + 1, at + 3));
      if (record !== null) records.push(record);
    }
    return { records, total };
  }

  async findByTags(space: string, tags: readonly string[], limit: number): Promise<RecordKey[]> {
    if (tags.length === 0 || limit <= 0) return [];
    const keys = this.#keys(space);
    const members = (await this.#run(findByTagsScript, [keys.index], [keys.base, limit, ...tags])) as Buffer[];
    return members.map(parseMember);
  }

  async commit(space: string, changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    const keys = this.#keys(space);
    const values: (string | number | Buffer)[] = [keys.base, newEpoch(), feedEntries];
    for (const change of changes) {
      values.push(change.kind, toMember(change), change.expectedRevision);
      if (change.kind === 'delete') continue;
      values.push(toBuffer(change.body), change.tags.length, ...change.tags, change.names.length, ...change.names);
    }
    const [outcome, index, name] = (await this.#run(
      commitScript,
      [keys.head, keys.feed, keys.index, keys.names],
      values,
    )) as number[];
    if (outcome === 0) return;
    const change = changes[index!]!;
    if (outcome === 2 && change.kind === 'put') throw new NameTaken(change.names[name!]!);
    throw new RevisionConflict({ type: change.type, id: change.id });
  }

  async append(space: string, entries: readonly AuditEntry[], takes: readonly RateTake[]): Promise<RateVerdict[]> {
    if (entries.length === 0 && takes.length === 0) return [];
    const keys = this.#keys(space);
    const values: (string | number | Buffer)[] = [keys.base, entries.length];
    for (const { writer, sequence, hash, body } of entries) {
      values.push(writer, sequence, toBuffer(hash), toBuffer(body));
    }
    for (const { bucket, requests, perSeconds, withPrevious } of takes)
      values.push(bucket, requests, perSeconds, withPrevious === true ? 1 : 0);
    const waits = (await this.#run(appendScript, [keys.audit], values)) as number[];
    return waits.map((seconds) => ({ allowed: seconds === 0, retryAfterSeconds: seconds }));
  }

  async readAudit({ space, after, including, order, limit }: AuditQuery): Promise<StoredAuditEntry[]> {
    if (after !== undefined && !/^\d{1,15}-\d{1,15}$/.test(after)) {
      throw new AlterError('validation_failed', {
        problems: [{ field: 'after', message: 'is not a cursor of this audit log' }],
      });
    }
    if (limit <= 0) return [];
    const { audit } = this.#keys(space);
    const from = after === undefined ? null : `${including ? '' : '('}${after}`;
    const entries = await this.#ask(() =>
      order === 'descending'
        ? this.#connection.xrevrangeBuffer(audit, from ?? '+', '-', 'COUNT', limit)
        : this.#connection.xrangeBuffer(audit, from ?? '-', '+', 'COUNT', limit),
    );
    return entries.map(([id, fields]) => toAuditEntry(id, fields));
  }

  async watch(space: string, watcher: Watcher): Promise<Watch> {
    return this.#ask(() => this.#feed.watch(this.#keys(space), watcher));
  }

  /** Writes, so that a replica, a full server and one that can't persist are found out. */
  async ping(): Promise<void> {
    await this.#ask(() => this.#connection.set(`${this.#prefix}:ping`, '1', 'PX', 60_000));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#unanswered);
    await Promise.all([this.#feed.close(), disconnect(this.#connection)]);
  }

  #keys(space: string): SpaceKeys {
    return new SpaceKeys(this.#prefix, space);
  }

  async #run(script: Script, keys: readonly string[], values: readonly (string | number | Buffer)[]): Promise<unknown> {
    const connection = this.#connection;
    return this.#ask(async () => {
      try {
        return await connection.callBuffer('EVALSHA', [script.sha1, keys.length, ...keys, ...values]);
      } catch (error) {
        // A server that never saw the script, or was restarted. It did nothing yet.
        if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
        return connection.callBuffer('EVAL', [script.lua, keys.length, ...keys, ...values]);
      }
    });
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#closing !== null) throw this.#unavailable('it is closed');
    if (this.#unanswered.size >= maxUnanswered) {
      throw this.#unavailable(`${maxUnanswered} requests are waiting for it`);
    }
    const answer = question();
    this.#unanswered.add(answer);
    try {
      return await answer;
    } catch (error) {
      throw error instanceof StoreUnavailable ? error : this.#unavailable(describe(error));
    } finally {
      this.#unanswered.delete(answer);
    }
  }

  #unavailable(reason: string): StoreUnavailable {
    return new StoreUnavailable(`the Redis store at ${this.#address} is unavailable: ${reason}`);
  }
}

/** Names one life of a feed: it differs after the server was emptied. */
function newEpoch(): string {
  return randomBytes(12).toString('base64url');
}

function toRecord({ type, id }: RecordKey, fields: readonly (Buffer | null)[]): StoredRecord | null {
  const [revision, body] = fields;
  if (revision === null || revision === undefined || body === null || body === undefined) return null;
  return { type, id, revision: Number(revision.toString()), body };
}

function toAuditEntry(id: Buffer, fields: readonly Buffer[]): StoredAuditEntry {
  const [, writer, , sequence, , hash, , body] = fields;
  const empty = Buffer.alloc(0);
  return {
    cursor: id.toString(),
    writer: writer?.toString() ?? '',
    sequence: Number(sequence?.toString()),
    hash: hash ?? empty,
    body: body ?? empty,
  };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function texts(reply: unknown): (string | null)[] {
  return (reply as (Buffer | null)[]).map((value) => value?.toString() ?? null);
}

/** What ioredis says when it has no connection speaks of its options. */
function describe(error: unknown): string {
  const message = messageOf(error);
  return /enableOfflineQueue|max retries per request|Connection is closed/.test(message) ? 'no connection' : message;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function invalid(detail: string): AlterError {
  return new AlterError('config_invalid', { detail });
}
