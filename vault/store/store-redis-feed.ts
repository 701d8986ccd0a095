import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Watch, Watcher } from './store.ts';
import { parseMember, type SpaceKeys } from './store-redis-keys.ts';
import type { RedisNode } from './store-redis-node.ts';
import type { RedisServers } from './store-redis-servers.ts';
import { Watchers } from './watchers.ts';

/** Where a follower of a feed stands: the entry `number` with this `id` was the last that it delivered. */
export interface FeedPosition {
  readonly epoch: string;
  readonly number: number;
  readonly id: string;
}

export interface RedisFeedOptions {
  readonly servers: RedisServers;
  /** Reads the head of a feed, over another connection, creating it where there is none. */
  readonly openFeed: (keys: SpaceKeys) => Promise<FeedPosition>;
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
/** Between two reads of a node of a Cluster, where one blocking read can't be of two spaces. */
const pollMs = 25;
const entriesPerRead = 1000;
const pauseAfterFailureMs = 50;

/**
 * Follows the change feeds of all watched spaces, each on the server that has it. It reads on from the last entry that it
 * delivered, so a lost connection loses nothing, nor does a space that moves to another server; where the feed no longer
 * reaches back to there (trimmed, emptied, rolled back to an older state), it says so with `onReset`.
 */
export class RedisFeed {
  readonly #servers: RedisServers;
  readonly #openFeed: RedisFeedOptions['openFeed'];
  readonly #followed = new Map<string, Followed>();
  readonly #readers = new Map<RedisNode, FeedReader>();
  readonly #ended = new Set<Promise<void>>();
  #closed = false;

  constructor(options: RedisFeedOptions) {
    this.#servers = options.servers;
    this.#openFeed = options.openFeed;
  }

  async watch(keys: SpaceKeys, watcher: Watcher): Promise<Watch> {
    // From here on nothing is missed: what is committed later has a higher number than this position.
    const position = await this.#openFeed(keys);
    const known = this.#followed.get(keys.feed);
    const followed = known ?? { keys, watchers: new Watchers(), position, announced: position.number };
    followed.watchers.add(watcher);
    if (known === undefined) {
      this.#followed.set(keys.feed, followed);
      this.#assign(followed);
    }
    return {
      stop: () => {
        followed.watchers.delete(watcher);
        if (followed.watchers.size === 0 && this.#followed.get(keys.feed) === followed) {
          this.#followed.delete(keys.feed);
          for (const reader of this.#readers.values()) reader.drop(followed);
        }
      },
    };
  }

  /** To be called before the connections are closed; the promise resolves after they are. */
  close(): Promise<unknown> {
    this.#closed = true;
    this.#followed.clear();
    for (const reader of this.#readers.values()) reader.stop();
    return Promise.all(this.#ended);
  }

  #assign(followed: Followed): void {
    if (this.#closed || this.#followed.get(followed.keys.feed) !== followed) return;
    const node = this.#servers.find(followed.keys.feed);
    const known = this.#readers.get(node);
    if (known === undefined || known.isDone) this.#startReader(node, followed);
    else known.add(followed);
  }

  #startReader(node: RedisNode, first: Followed): void {
    const reader = new FeedReader(node, this.#servers);
    reader.add(first);
    this.#readers.set(node, reader);
    const ended = reader
      .run((moved) => this.#assign(moved))
      .finally(() => {
        if (this.#readers.get(node) === reader) this.#readers.delete(node);
        this.#ended.delete(ended);
      });
    this.#ended.add(ended);
  }
}

/** Reads the feeds of the spaces of one server, over a connection of its own. */
class FeedReader {
  readonly #node: RedisNode;
  readonly #servers: RedisServers;
  readonly #followed = new Set<Followed>();
  #connection: Redis | null = null;
  #clientId: string | null = null;
  /** Nothing is followed here any more, nor is going to be. */
  isDone = false;

  constructor(node: RedisNode, servers: RedisServers) {
    this.#node = node;
    this.#servers = servers;
  }

  add(followed: Followed): void {
    this.#followed.add(followed);
    // Ends the blocking read that is under way. May fail: it only makes a new watch prompter.
    if (this.#clientId !== null) this.#node.commands.client('UNBLOCK', this.#clientId).catch(() => undefined);
  }

  drop(followed: Followed): void {
    this.#followed.delete(followed);
  }

  stop(): void {
    this.#followed.clear();
  }

  /** Resolves when nothing is left to follow here. `onMoved` gets what another server has now. */
  async run(onMoved: (followed: Followed) => void): Promise<void> {
    while (this.#followed.size > 0) {
      try {
        const isWhole = await this.#read(await this.#connect());
        if (!isWhole) await sleep(pauseAfterFailureMs);
        else if (!this.#servers.oneReadsAll) await sleep(pollMs);
      } catch {
        // No contact is what the watchers measure; the connection comes back by itself.
        await sleep(pauseAfterFailureMs);
      }
      for (const followed of this.#followed) {
        if (this.#servers.isAt(followed.keys.feed, this.#node)) continue;
        this.#followed.delete(followed);
        onMoved(followed);
      }
    }
    this.isDone = true;
  }

  async #connect(): Promise<Redis> {
    const connection = await this.#node.follow();
    if (this.#connection === null) {
      this.#connection = connection;
      const askId = (): void => {
        connection
          .client('ID')
          .then((id) => {
            this.#clientId = String(id);
          })
          .catch(() => undefined);
      };
      connection.on('ready', askId).on('close', () => {
        this.#clientId = null;
      });
      askId();
    }
    return connection;
  }

  /** Every feed from its position on, then its head, in one round trip. False where one of them could not be read. */
  async #read(connection: Redis): Promise<boolean> {
    const all = [...this.#followed];
    // Taken before the question leaves: what was acknowledged before now is in the feed when Redis answers.
    const at = performance.now();
    const pipeline = connection.pipeline();
    const groups = this.#servers.oneReadsAll ? [all] : all.map((one) => [one]);
    for (const group of groups) {
      pipeline.callBuffer('XREAD', [
        ...['COUNT', entriesPerRead],
        ...(this.#servers.oneReadsAll ? ['BLOCK', blockMs] : []),
        'STREAMS',
        ...group.map(({ keys }) => keys.feed),
        ...group.map(({ position }) => position.id),
      ]);
    }
    for (const { keys } of all) pipeline.hmget(keys.head, 'e', 'n', 'i');
    const answers = (await pipeline.exec()) ?? [];
    const streams = new Map(answers.slice(0, groups.length).flatMap(([, reply]) => [...parseStreams(reply)]));
    let isWhole = true;
    for (const [index, followed] of all.entries()) {
      const [failure] = answers[this.#servers.oneReadsAll ? 0 : index] ?? noAnswer;
      const [headFailure, head] = answers[groups.length + index] ?? noAnswer;
      if (failure !== null || headFailure !== null) {
        this.#servers.heed(failure ?? headFailure);
        isWhole = false;
        continue;
      }
      // Whoever stopped watching while this was read hears no more of it.
      if (!this.#followed.has(followed)) continue;
      deliver(followed, streams.get(followed.keys.feed) ?? [], parsePosition(head), at);
    }
    return isWhole;
  }
}

const noAnswer: [Error, unknown] = [new Error('no answer'), null];

function deliver(followed: Followed, entries: readonly FeedEntry[], head: FeedPosition, at: number): void {
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
