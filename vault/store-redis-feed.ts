import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Watch, Watcher } from './store.ts';
import { parseMember, type SpaceKeys } from './store-redis-keys.ts';
import { Watchers } from './watchers.ts';

/** Where a follower of a feed stands: the entry `number` with this `id` was the last that it delivered. */
export interface FeedPosition {
  readonly epoch: string;
  readonly number: number;
  readonly id: string;
}

export interface RedisFeedOptions {
  /** For the feed alone, since it blocks. Not connected yet. */
  readonly connection: Redis;
  /** Reads the head of a feed, over another connection, creating it where there is none. */
  readonly openFeed: (keys: SpaceKeys) => Promise<FeedPosition>;
  /** Ends the blocking read of the connection with this id. May fail: it only makes a new watch prompter. */
  readonly unblock: (clientId: string) => Promise<void>;
}

interface Followed {
  readonly keys: SpaceKeys;
  readonly watchers: Watchers;
  position: FeedPosition;
  /** The number of the last entry that the head named after the last read. */
  announced: number;
}

/** Also how long contact lags behind at most, and how soon a store that was emptied is noticed. */
const blockMs = 250;
const entriesPerRead = 1000;
const pauseAfterFailureMs = 50;

/**
 * Follows the change feeds of all watched spaces with one blocking read. It reads on from the last entry that it
 * delivered, so a lost connection loses nothing; where the feed no longer reaches back to there (trimmed, emptied, rolled
 * back to an older state), it says so with `onReset`.
 */
export class RedisFeed {
  readonly #connection: Redis;
  readonly #openFeed: RedisFeedOptions['openFeed'];
  readonly #unblock: RedisFeedOptions['unblock'];
  readonly #followed = new Map<string, Followed>();
  #clientId: string | null = null;
  #following: Promise<void> | null = null;
  #closed = false;

  constructor(options: RedisFeedOptions) {
    this.#connection = options.connection;
    this.#openFeed = options.openFeed;
    this.#unblock = options.unblock;
    this.#connection.on('ready', () => {
      this.#connection
        .client('ID')
        .then((id) => {
          this.#clientId = String(id);
        })
        .catch(() => undefined);
    });
    this.#connection.on('close', () => {
      this.#clientId = null;
    });
  }

  async watch(keys: SpaceKeys, watcher: Watcher): Promise<Watch> {
    if (this.#connection.status === 'wait') await this.#connection.connect();
    // From here on nothing is missed: what is committed later has a higher number than this position.
    const position = await this.#openFeed(keys);
    const followed = this.#followed.get(keys.feed) ?? {
      keys,
      watchers: new Watchers(),
      position,
      announced: position.number,
    };
    followed.watchers.add(watcher);
    const isNew = !this.#followed.has(keys.feed);
    this.#followed.set(keys.feed, followed);
    const isReading = this.#following !== null;
    this.#following ??= this.#follow();
    if (isNew && isReading && this.#clientId !== null) this.#unblock(this.#clientId).catch(() => undefined);
    return {
      stop: () => {
        followed.watchers.delete(watcher);
        if (followed.watchers.size === 0 && this.#followed.get(keys.feed) === followed) {
          this.#followed.delete(keys.feed);
        }
      },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#followed.clear();
    await disconnect(this.#connection);
    await this.#following;
  }

  async #follow(): Promise<void> {
    while (!this.#closed && this.#followed.size > 0) {
      try {
        await this.#read();
      } catch {
        // No contact is what the watchers measure; ioredis reconnects by itself.
        await sleep(pauseAfterFailureMs);
      }
    }
    this.#following = null;
  }

  /** One blocking read of all feeds, then the heads of all of them, in one round trip. */
  async #read(): Promise<void> {
    const all = [...this.#followed.values()];
    // Taken before the question leaves: what was acknowledged before now is in the feed when Redis answers.
    const at = performance.now();
    const pipeline = this.#connection.pipeline();
    pipeline.callBuffer('XREAD', [
      'COUNT',
      entriesPerRead,
      'BLOCK',
      blockMs,
      'STREAMS',
      ...all.map(({ keys }) => keys.feed),
      ...all.map(({ position }) => position.id),
    ]);
    for (const { keys } of all) pipeline.hmget(keys.head, 'e', 'n', 'i');
    const answers = (await pipeline.exec()) ?? [];
    for (const [error] of answers) if (error !== null) throw error;
    const streams = parseStreams(answers[0]?.[1]);
    for (const [index, followed] of all.entries()) {
      const head = parsePosition(answers[index + 1]?.[1]);
      this.#deliver(followed, streams.get(followed.keys.feed) ?? [], head, at);
    }
  }

  #deliver(followed: Followed, entries: readonly FeedEntry[], head: FeedPosition, at: number): void {
    const lost = !followOn(followed, entries) || isBeyond(followed, entries.length > 0, head);
    if (lost) {
      // What the head names was the state when this answer was made; everything later comes through the feed.
      followed.position = head;
      followed.watchers.tellReset();
    }
    followed.announced = head.number;
    // A full read has more behind it, and that may be older than `at`.
    if (!lost && entries.length >= entriesPerRead) return;
    followed.watchers.tellContact(at);
  }
}

/** Delivers entries as long as they continue from the position. False where one is missing. */
function followOn(followed: Followed, entries: readonly FeedEntry[]): boolean {
  for (const { id, number, members } of entries) {
    if (number !== followed.position.number + 1) return false;
    followed.position = { epoch: followed.position.epoch, number, id };
    for (const member of members) followed.watchers.tellChange(parseMember(member));
  }
  return true;
}

/** Does the head show that the feed can't be continued from the position? */
function isBeyond({ position, announced }: Followed, readSome: boolean, head: FeedPosition): boolean {
  if (head.epoch !== position.epoch || head.number < position.number) return true;
  if (head.number === position.number && head.id !== position.id) return true;
  // The last head promised more than we have, and the read after it brought nothing: it was trimmed away.
  return !readSome && announced > position.number;
}

interface FeedEntry {
  readonly id: string;
  readonly number: number;
  readonly members: readonly Buffer[];
}

type StreamsReply = readonly [key: Buffer, entries: readonly [id: Buffer, fields: readonly Buffer[]][]][] | null;

function parseStreams(reply: unknown): Map<string, FeedEntry[]> {
  const streams = new Map<string, FeedEntry[]>();
  for (const [key, entries] of (reply as StreamsReply) ?? []) {
    streams.set(
      key.toString(),
      entries.map(([id, fields]) => ({
        id: id.toString(),
        // The first field is the number, every other the member of a changed record.
        number: Number(fields[1]?.toString()),
        members: fields.filter((_, index) => index > 2 && index % 2 === 1),
      })),
    );
  }
  return streams;
}

/** A head that is missing, because the store was emptied, is a position that no follower had. */
export function parsePosition(reply: unknown): FeedPosition {
  const [epoch, number, id] = reply as (string | null)[];
  return { epoch: epoch ?? '', number: Number(number ?? 0), id: id ?? '0-0' };
}

/** Resolves when the connection is gone for good. */
export function disconnect(connection: Redis): Promise<void> {
  return new Promise((resolve) => {
    // Between two attempts there is nothing to close: ioredis forgets the next attempt and reports no end.
    const hasEnded = connection.status === 'end' || connection.status === 'reconnecting';
    connection.once('end', () => resolve());
    connection.disconnect();
    if (hasEnded) resolve();
  });
}
