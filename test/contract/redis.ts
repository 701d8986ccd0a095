/** The contract of a store on servers that are not just one in the clear. Run by `test/vault/store-redis-*.test.ts`. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe } from '@jest/globals';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import type { Redis, RedisTls } from '../support/redis.ts';
import { describeStore, describeStoreServer, type StoreUnderTest } from './store.ts';

/** What was started, for the whole of a suite. */
export interface Started {
  readonly url: string;
  readonly tls?: RedisTls;
  /** What can be paused and emptied; those that may be paused without a failover. */
  readonly servers: readonly Redis[];
  /** Words that let redis-cli in. */
  readonly admin?: readonly string[];
  readonly stop: () => Promise<void>;
}

export function holdTheContract(name: string, start: () => Promise<Started>): void {
  describe(name, () => {
    let started: Started;
    beforeAll(async () => {
      started = await start();
    }, 60_000);
    afterAll(() => started.stop());

    async function open(): Promise<StoreUnderTest> {
      const prefix = `alter-test-${randomBytes(6).toString('hex')}`;
      const opened: { close(): Promise<void> }[] = [];
      const { url, tls, servers, admin = [] } = started;
      const openOne = async () => {
        const store = await openRedisStore({ url, prefix, ...(tls === undefined ? {} : { ca: tls.caPem }) });
        opened.push(store);
        return store;
      };
      const each = (...words: string[]) => Promise.all(servers.map((server) => server.cli(...admin, ...words)));
      return {
        store: await openOne(),
        reopen: openOne,
        release: async () => {
          await Promise.all(opened.map((store) => store.close()));
        },
        server: {
          breakConnection: async () => {
            await each('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
          },
          pause: () => {
            for (const server of servers) server.pause();
          },
          resume: () => {
            for (const server of servers) server.resume();
          },
          empty: async () => {
            await each('FLUSHALL');
          },
        },
      };
    }

    describeStore(name, open);
    describeStoreServer(name, open);
  });
}
