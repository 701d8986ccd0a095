import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { AlterError } from '../../core/errors.ts';
import { readRedisUrl } from '../../core/store-location.ts';
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
import { parsePosition, RedisFeed } from './store-redis-feed.ts';
import { parseMember, SpaceKeys, toMember } from './store-redis-keys.ts';
import { formatAddress, type RedisAccess, type RedisNode } from './store-redis-node.ts';
import {
  appendScript,
  commitScript,
  findByTagsScript,
  getScript,
  listScript,
  openFeedScript,
  type Script,
} from './store-redis-scripts.ts';
import { openRedisServers, type RedisServers } from './store-redis-servers.ts';

/** A server that hangs must not pile up requests: beyond this they are refused at once. */
const maxUnanswered = 10_000;

/** Entries that a feed keeps for followers that lost their connection, about. */
const feedEntries = 10_000;

export interface RedisStoreOptions {
  /** `redis://`, `redis+sentinel://` or `redis+cluster://`, or the same with `rediss`. */
  readonly url: string;
  /** What every key begins with: letters, digits, `.`, `_` and `-`. */
  readonly prefix?: string;
  readonly ca?: RedisAccess['ca'];
  readonly certificate?: RedisAccess['certificate'];
  readonly sentinelAuth?: RedisAccess['sentinelAuth'];
  readonly durability?: RedisAccess['durability'];
}

/** Throws `config_invalid` for a URL that can't be used, and {@link StoreUnavailable} where the server can't be reached. */
export async function openRedisStore({ url, prefix = 'alter', ...access }: RedisStoreOptions): Promise<RedisStore> {
  const read = readRedisUrl(url);
  if ('problems' in read) throw invalid(`The URL of the Redis store ${read.problems.join('; it ')}.`);
  // A brace in front of the one around the space would become the hash tag.
  if (!/^[\w.-]+$/.test(prefix)) throw invalid('The prefix of the keys may hold letters, digits, ., _ and - only.');
  const { location } = read;
  const address = location.servers.map(formatAddress).join(', ');
  try {
    const servers = await openRedisServers({ durability: 'server', ...access, location });
    try {
      for (const { node } of servers.primaries(prefix)) requireVersion(await askVersion(node));
      return new RedisStore(servers, prefix);
    } catch (error) {
      await servers.close();
      throw error;
    }
  } catch (error) {
    // The reason only: an error of ioredis carries the arguments of its command, so also a password.
    throw new StoreUnavailable(`cannot open the Redis store at ${address}: ${messageOf(error)}`);
  }
}

/** Empty where the ACL user may not ask. */
function askVersion({ commands }: RedisNode): Promise<string> {
  return commands.info('server').catch((error: unknown) => {
    if (messageOf(error).startsWith('NOPERM')) return '';
    throw error;
  });
}

function requireVersion(info: string): void {
  const version = /^redis_version:(\d+)\./m.exec(info)?.[1];
  if (version !== undefined && Number(version) < 7) throw new Error(`it is Redis ${version}, and 7.0 is needed`);
}

export class RedisStore implements Store {
  readonly servers: RedisServers;
  readonly #prefix: string;
  readonly #feed: RedisFeed;
  readonly #unanswered = new Set<Promise<unknown>>();
  #closing: Promise<void> | null = null;

  constructor(servers: RedisServers, prefix: string) {
    this.servers = servers;
    this.#prefix = prefix;
    this.#feed = new RedisFeed({
      servers,
      openFeed: async (keys) => parsePosition(texts(await this.#read(openFeedScript, [keys.head], [newEpoch()]))),
    });
  }

  async get(space: string, keys: readonly RecordKey[]): Promise<(StoredRecord | null)[]> {
    if (keys.length === 0) return [];
    const spaceKeys = this.#keys(space);
    const [first, ...more] = keys.map((key) => spaceKeys.record(key));
    const fields =
      more.length === 0
        ? await this.#ask(first!, ({ commands }) => commands.hmgetBuffer(first!, 'r', 'b'))
        : ((await this.#read(getScript, [spaceKeys.head], [first!, ...more])) as (Buffer | null)[]);
    return keys.map((key, index) => toRecord(key, fields.slice(2 * index, 2 * index + 2)));
  }

  async findByName(space: string, names: readonly string[]): Promise<(RecordKey | null)[]> {
    if (names.length === 0) return [];
    const key = this.#keys(space).names;
    const members = await this.#ask(key, ({ commands }) => commands.hmgetBuffer(key, ...names));
    return members.map((member) => (member === null ? null : parseMember(member)));
  }

  async list({ space, type, tag, after, offset, order, limit }: ListQuery): Promise<RecordPage> {
    const keys = this.#keys(space);
    const lowest = `[${toMember({ type, id: '' })}`;
    const highest = `(${lowest.slice(1, -1)};`;
    const descending = order === 'descending';
    const beyond = after === undefined ? null : `(${toMember({ type, id: after })}`;
    const [total, ...fields] = (await this.#read(
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
    const members = (await this.#read(findByTagsScript, [keys.index], [keys.base, limit, ...tags])) as Buffer[];
    return members.map(parseMember);
  }

  async commit(space: string, changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    const keys = this.#keys(space);
    const values: ScriptValue[] = [keys.base, newEpoch(), feedEntries];
    for (const change of changes) {
      values.push(change.kind, toMember(change), change.expectedRevision);
      if (change.kind === 'delete') continue;
      values.push(toBuffer(change.body), change.tags.length, ...change.tags, change.names.length, ...change.names);
    }
    const [outcome, index, name] = (await this.#write(
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
    const values: ScriptValue[] = [keys.base, entries.length];
    for (const { writer, sequence, hash, body } of entries) {
      values.push(writer, sequence, toBuffer(hash), toBuffer(body));
    }
    for (const { bucket, requests, perSeconds, withPrevious } of takes)
      values.push(bucket, requests, perSeconds, withPrevious === true ? 1 : 0);
    const waits = (await this.#write(appendScript, [keys.audit], values)) as number[];
    return waits.map((seconds) => ({ allowed: seconds === 0, retryAfterSeconds: seconds }));
  }

  async readAudit({ space, after, including, order, limit }: AuditQuery): Promise<StoredAuditEntry[]> {
    if (after !== undefined) requireCursor(after);
    if (limit <= 0) return [];
    const { audit } = this.#keys(space);
    const from = after === undefined ? null : `${including ? '' : '('}${after}`;
    const entries = await this.#ask(audit, ({ commands }) =>
      order === 'descending'
        ? commands.xrevrangeBuffer(audit, from ?? '+', '-', 'COUNT', limit)
        : commands.xrangeBuffer(audit, from ?? '-', '+', 'COUNT', limit),
    );
    return entries.map(([id, fields]) => toAuditEntry(id, fields));
  }

  async trimAudit(space: string, upTo: string): Promise<void> {
    requireCursor(upTo);
    const [ms, count] = upTo.split('-');
    const { audit } = this.#keys(space);
    const first = `${ms}-${BigInt(count!) + 1n}`;
    await this.#ask(audit, (node) => node.write((connection) => connection.xtrim(audit, 'MINID', '=', first)));
  }

  async watch(space: string, watcher: Watcher): Promise<Watch> {
    this.#refuseIfClosed();
    try {
      return await this.#feed.watch(this.#keys(space), watcher);
    } catch (error) {
      throw this.#asUnavailable(error);
    }
  }

  /** Writes, so that a replica, a full server and one that can't persist are found out. */
  async ping(): Promise<void> {
    await Promise.all(
      this.servers
        .primaries(this.#prefix)
        .map(({ key }) => this.#ask(key, ({ commands }) => commands.set(key, '1', 'PX', 60_000))),
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#unanswered);
    await Promise.all([this.#feed.close(), this.servers.close()]);
  }

  #keys(space: string): SpaceKeys {
    return new SpaceKeys(this.#prefix, space);
  }

  #read(script: Script, keys: readonly [string, ...string[]], values: readonly ScriptValue[]): Promise<unknown> {
    return this.#ask(keys[0], ({ commands }) => run(commands, script, keys, values));
  }

  /** Resolves when what was written is as durable as it has to be. */
  #write(script: Script, keys: readonly [string, ...string[]], values: readonly ScriptValue[]): Promise<unknown> {
    return this.#ask(keys[0], (node) => node.write((connection) => run(connection, script, keys, values)));
  }

  async #ask<T>(key: string, question: (node: RedisNode) => Promise<T>): Promise<T> {
    this.#refuseIfClosed();
    if (this.#unanswered.size >= maxUnanswered) {
      throw this.#unavailable(`${maxUnanswered} requests are waiting for it`);
    }
    const answer = this.servers.ask(key, question);
    this.#unanswered.add(answer);
    try {
      return await answer;
    } catch (error) {
      throw this.#asUnavailable(error);
    } finally {
      this.#unanswered.delete(answer);
    }
  }

  #refuseIfClosed(): void {
    if (this.#closing !== null) throw this.#unavailable('it is closed');
  }

  #asUnavailable(error: unknown): StoreUnavailable {
    return error instanceof StoreUnavailable ? error : this.#unavailable(describe(error));
  }

  #unavailable(reason: string): StoreUnavailable {
    return new StoreUnavailable(`the Redis store at ${this.servers.address} is unavailable: ${reason}`);
  }
}

type ScriptValue = string | number | Buffer;

async function run(
  connection: Redis,
  script: Script,
  keys: readonly string[],
  values: readonly ScriptValue[],
): Promise<unknown> {
  try {
    return await connection.callBuffer('EVALSHA', [script.sha1, keys.length, ...keys, ...values]);
  } catch (error) {
    // A server that never saw the script, or was restarted. It did nothing yet.
    if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
    return connection.callBuffer('EVAL', [script.lua, keys.length, ...keys, ...values]);
  }
}

/** Throws `validation_failed`. */
function requireCursor(cursor: string): void {
  if (/^\d{1,15}-\d{1,15}$/.test(cursor)) return;
  throw new AlterError('validation_failed', {
    problems: [{ field: 'after', message: 'is not a cursor of this audit log' }],
  });
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
