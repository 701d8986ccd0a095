import { ClusterServers } from './store-redis-cluster.ts';
import { type RedisAccess, RedisNode } from './store-redis-node.ts';

/** Who answers for which keys: one server, the one that Sentinels name, or the primaries of a Cluster. */
export interface RedisServers {
  /** For people. */
  readonly address: string;
  /** The server that has the key, as far as is known. Throws where it isn't known of any. */
  find(key: string): RedisNode;
  /** False where another server is known to have the key. */
  isAt(key: string, node: RedisNode): boolean;
  /** Can one command read the feeds of several spaces? */
  readonly oneReadsAll: boolean;
  /** Asks the server that has the key, and another one where the key has moved. All that is asked must be of one space. */
  ask<T>(key: string, question: (node: RedisNode) => Promise<T>): Promise<T>;
  /** What an answer to a question that was asked past `ask` says of where keys are. */
  heed(error: unknown): void;
  /** Every server that takes writes, with a key that it has. */
  primaries(prefix: string): readonly { readonly node: RedisNode; readonly key: string }[];
  close(): Promise<void>;
}

/** Rejects where the servers can't be reached. */
export async function openRedisServers(access: RedisAccess): Promise<RedisServers> {
  if (access.location.kind === 'cluster') return ClusterServers.open(access);
  const node = new RedisNode(access, access.location.servers);
  try {
    await node.connect();
  } catch (error) {
    await node.close();
    throw error;
  }
  return new OneServer(node);
}

/** A server, or whichever the Sentinels name when a connection is made: then ioredis finds the promoted one. */
class OneServer implements RedisServers {
  readonly address: string;
  readonly oneReadsAll = true;
  readonly #node: RedisNode;

  constructor(node: RedisNode) {
    this.#node = node;
    this.address = node.address;
  }

  find(): RedisNode {
    return this.#node;
  }

  ask<T>(_: string, question: (node: RedisNode) => Promise<T>): Promise<T> {
    return question(this.#node);
  }

  isAt(): boolean {
    return true;
  }

  heed(): void {
    // It can only be here.
  }

  primaries(prefix: string) {
    return [{ node: this.#node, key: `${prefix}:ping` }];
  }

  close(): Promise<void> {
    return this.#node.close();
  }
}
