import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerAddress } from '../../core/store-location.ts';
import { formatAddress, pauseMs, type RedisAccess, RedisNode } from './store-redis-node.ts';
import type { RedisServers } from './store-redis-servers.ts';
import { slotOf } from './store-redis-slot.ts';

/** How long a question follows a slot that is moving. */
const followWithinMs = 2_000;
const pauseWhileMovingMs = 25;
const slots = 16_384;

/**
 * The primaries of a Redis Cluster. ioredis has a cluster of its own; it repeats what was under way when a connection was
 * lost, and a commit that is sent twice contradicts itself. Here a question is repeated only where the server said that it
 * did nothing.
 */
export class ClusterServers implements RedisServers {
  readonly address: string;
  readonly oneReadsAll = false;
  readonly #access: RedisAccess;
  /** By slot, what `formatAddress` makes of its primary. */
  #owners: (string | undefined)[] = [];
  readonly #nodes = new Map<string, RedisNode>();
  #lookingAgain: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #failedLooks = 0;
  #closed = false;

  private constructor(access: RedisAccess) {
    this.#access = access;
    this.address = access.location.servers.map(formatAddress).join(', ');
  }

  /** Rejects where none of the servers of the URL says who has the slots, or one who has them does not answer. */
  static async open(access: RedisAccess): Promise<ClusterServers> {
    const servers = new ClusterServers(access);
    try {
      await servers.#look();
      await Promise.all(servers.primaries('').map(({ node }) => node.connect()));
      return servers;
    } catch (error) {
      await servers.close();
      throw error;
    }
  }

  find(key: string): RedisNode {
    const owner = this.#owners[slotOf(key)];
    const node = owner === undefined ? undefined : this.#nodes.get(owner);
    if (node !== undefined) return node;
    this.#lookSoon();
    throw new Error('no server of the Cluster is known to have this slot');
  }

  isAt(key: string, node: RedisNode): boolean {
    const owner = this.#owners[slotOf(key)];
    return owner === undefined || this.#nodes.get(owner) === node;
  }

  async ask<T>(key: string, question: (node: RedisNode) => Promise<T>): Promise<T> {
    const deadline = performance.now() + followWithinMs;
    for (;;) {
      try {
        const node = this.find(key);
        await node.connect();
        return await question(node);
      } catch (error) {
        const isMoving = isAboutMoving(error);
        this.heed(error);
        if (!isMoving || performance.now() > deadline || this.#closed) throw error;
        // ASK and TRYAGAIN: the keys of the space are on two servers for the moment, and neither can answer for all of them.
        if (findMoved(error) === null) await sleep(pauseWhileMovingMs);
      }
    }
  }

  heed(error: unknown): void {
    const moved = findMoved(error);
    if (moved !== null && !this.#closed) {
      this.#node(moved.server);
      this.#owners[moved.slot] = formatAddress(moved.server);
    }
    if (moved !== null || /^CLUSTERDOWN/.test(messageOf(error))) this.#lookSoon();
  }

  primaries(prefix: string): readonly { readonly node: RedisNode; readonly key: string }[] {
    return [...new Set(this.#owners)]
      .filter((owner) => owner !== undefined)
      .map((owner) => {
        // About one key in as many as there are servers.
        for (let number = 0; ; number++) {
          const key = `${prefix}:ping:${number}`;
          if (this.#owners[slotOf(key)] === owner || number > slots) return { node: this.#nodes.get(owner)!, key };
        }
      });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#lookingAgain !== null) clearTimeout(this.#lookingAgain);
    await this.#looking?.catch(() => undefined);
    await Promise.all([...this.#nodes.values()].map((node) => node.close()));
  }

  #node(server: ServerAddress): RedisNode {
    const address = formatAddress(server);
    const known = this.#nodes.get(address);
    if (known !== undefined) return known;
    const node = new RedisNode(this.#access, [server]);
    node.onLost(() => this.#lookSoon());
    this.#nodes.set(address, node);
    return node;
  }

  #lookSoon(): void {
    if (this.#closed || this.#lookingAgain !== null) return;
    this.#lookingAgain = setTimeout(
      () => {
        this.#lookingAgain = null;
        this.#looking = this.#look()
          .then(() => {
            // Until somebody else has the slots of a server that is lost, or it is back.
            const isLost = this.primaries('').some(({ node }) => node.isLost);
            this.#failedLooks = isLost ? this.#failedLooks + 1 : 0;
            if (isLost) this.#lookSoon();
          })
          .catch(() => {
            this.#failedLooks++;
            this.#lookSoon();
          });
      },
      pauseMs(this.#failedLooks + 1),
    );
    this.#lookingAgain.unref();
  }

  /** Asks one server who has which slots: one that is connected, in a random order, or those of the URL. */
  async #look(): Promise<void> {
    const connected = [...this.#nodes.values()].filter((node) => node.commands.status === 'ready');
    const reasons: string[] = [];
    for (const node of shuffle(connected)) {
      try {
        return this.#take(await readOwners(node, null));
      } catch (error) {
        reasons.push(messageOf(error));
      }
    }
    for (const server of shuffle(this.#access.location.servers)) {
      if (this.#closed) break;
      const node = new RedisNode({ ...this.#access, durability: 'server' }, [server]);
      try {
        await node.connect();
        return this.#take(await readOwners(node, server));
      } catch (error) {
        reasons.push(messageOf(error));
      } finally {
        await node.close();
      }
    }
    throw new Error(reasons.at(-1) ?? 'it is closed');
  }

  #take(ranges: readonly SlotRange[]): void {
    if (this.#closed) return;
    const owners: (string | undefined)[] = [];
    for (const { from, to, server } of ranges) {
      this.#node(server);
      for (let slot = from; slot <= to; slot++) owners[slot] = formatAddress(server);
    }
    this.#owners = owners;
    const used = new Set(owners);
    for (const [address, node] of this.#nodes) {
      if (used.has(address)) continue;
      this.#nodes.delete(address);
      void node.close();
    }
  }
}

interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly server: ServerAddress;
}

type SlotsReply = readonly (readonly [
  from: number,
  to: number,
  primary: readonly [host: string | null, port: number],
])[];

/** `asked`: what a server that doesn't know its own name is called. */
async function readOwners(node: RedisNode, asked: ServerAddress | null): Promise<SlotRange[]> {
  const reply = (await node.commands.cluster('SLOTS')) as unknown as SlotsReply;
  if (reply.length === 0) throw new Error('CLUSTERDOWN no slot is served');
  return reply.map(([from, to, [host, port]]) => {
    const name = host || asked?.host || node.commands.options.host!;
    return { from, to, server: { host: name, port } };
  });
}

/** Did the server say that it did nothing, because the keys are elsewhere or on their way? */
function isAboutMoving(error: unknown): boolean {
  return /^(MOVED|ASK|TRYAGAIN) |non local key/.test(messageOf(error));
}

function findMoved(error: unknown): { readonly slot: number; readonly server: ServerAddress } | null {
  const match = /^MOVED (\d+) (.+):(\d+)$/.exec(messageOf(error));
  if (match === null) return null;
  return { slot: Number(match[1]), server: { host: match[2]!, port: Number(match[3]) } };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function shuffle<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
