import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Store, StoreUnavailable } from '../../vault/store/store.ts';
import type { StoreChannel } from '../../vault/store/store-messages.ts';
import { StoreOwner } from '../../vault/store/store-owner.ts';
import { openRemoteStore } from '../../vault/store/store-remote.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { describeStore } from '../contract/store.ts';
import { compileCache } from '../support/compile-cache.ts';
import { startStopwatch } from '../support/stopwatch.ts';

const ownerScript = fileURLToPath(new URL('../support/store-owner-process.ts', import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'alter-remote-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function startOwner(path: string): Promise<ChildProcess> {
  const child = fork(ownerScript, [path], {
    serialization: 'advanced',
    execArgv: [],
    env: { ...process.env, ...compileCache },
  });
  await once(child, 'message');
  return child;
}

function channelTo(child: ChildProcess): StoreChannel {
  child.setMaxListeners(0);
  return {
    send: (message) => {
      if (child.connected) child.send(message);
    },
    onMessage: (listener) => void child.on('message', listener),
    onClose: (listener) => void child.once('disconnect', listener),
  };
}

describeStore('the SQLite store of another process', async () => {
  const child = await startOwner(join(directory, 'alter.db'));
  const opened: Store[] = [];
  const open = async (): Promise<Store> => {
    const store = openRemoteStore(channelTo(child));
    opened.push(store);
    return store;
  };
  return {
    store: await open(),
    reopen: open,
    release: async () => {
      await Promise.all(opened.map((store) => store.close()));
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
    server: null,
  };
});

function channelOver(port: MessagePort): StoreChannel {
  return {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener),
    onClose: (listener) => void port.once('close', listener),
  };
}

describe('a store that several processes use', () => {
  it('refuses everything when its owner is gone, also what was under way', async () => {
    const child = await startOwner(join(directory, 'alter.db'));
    const store = openRemoteStore(channelTo(child));
    await store.ping();
    child.kill('SIGSTOP');
    const underWay = store.ping();
    child.kill('SIGKILL');
    await expect(underWay).rejects.toThrow(StoreUnavailable);
    await expect(store.ping()).rejects.toThrow(StoreUnavailable);
    await store.close();
  });

  it('acknowledges a commit when everybody who watches has heard of it, and waits for nobody that hangs', async () => {
    const owner = new StoreOwner(await openSqliteStore({ path: join(directory, 'alter.db') }));
    const heard: string[] = [];
    const remotes = await Promise.all(
      [0, 1].map(async (index) => {
        const { port1, port2 } = new MessageChannel();
        owner.serve(channelOver(port1));
        let hangs = false;
        const held: unknown[] = [];
        const channel: StoreChannel = {
          ...channelOver(port2),
          onMessage: (listener) =>
            void port2.on('message', (message: unknown) => (hangs ? held.push(message) : listener(message))),
        };
        const store = openRemoteStore(channel);
        await store.watch('s', {
          onChange: ({ id }) => heard.push(`${index}:${id}`),
          onReset: () => {},
          onContact: () => {},
        });
        return {
          store,
          port2,
          hang: () => {
            hangs = true;
          },
        };
      }),
    );
    const commit = (store: Store, id: string) =>
      store.commit('s', [
        { kind: 'put', type: 't', id, expectedRevision: 0, body: Buffer.from(id), tags: [], names: [] },
      ]);
    for (let round = 0; round < 50; round++) {
      heard.length = 0;
      await commit([owner, remotes[0]!.store, remotes[1]!.store][round % 3]!, `id-${round}`);
      expect(heard.sort()).toEqual([`0:id-${round}`, `1:id-${round}`]);
    }
    remotes[1]!.hang();
    const elapsedMs = startStopwatch();
    await commit(owner, 'last');
    expect(elapsedMs()).toBeLessThan(1_000);
    expect(heard).toContain('0:last');
    for (const { port2 } of remotes) port2.close();
    await owner.close();
  });
});
