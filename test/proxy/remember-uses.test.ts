import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UseMemory } from '../../proxy/caller/remember-uses.ts';
import { openStore } from '../../vault/store/store-url.ts';
import type { AppVault } from '../../vault/vault.ts';
import { type FilledVault, fillVault, newKey } from '../support/filled-vault.ts';
import { eventually } from '../support/in-parallel.ts';
import { startRedis } from '../support/redis.ts';

describe.each(['sqlite', 'redis'] as const)('what was used last, on %s', (kind) => {
  let filled: FilledVault;
  let app: AppVault;
  let stop: () => Promise<void> = async () => {};
  let now = 1_000_000;

  beforeAll(async () => {
    if (kind === 'sqlite') filled = await fillVault();
    else {
      const redis = await startRedis();
      stop = () => redis.stop();
      filled = await fillVault(await openStore(redis.url));
    }
    app = await filled.vault.app((await filled.vault.apps.create({ name: 'default' })).value.id);
  });
  afterAll(async () => {
    await filled.close();
    await stop();
  });

  const failures: unknown[] = [];
  const open = () =>
    new UseMemory({
      vault: filled.vault,
      clock: () => now,
      onFailure: (error) => void failures.push(error),
      tickMs: 10,
    });
  const at = async (id: string) => (await app.lastUses.find('key', [id]))[0];

  it('is written at most once a minute, without a new revision of the key, and by the newest use', async () => {
    const key = newKey(app.appId);
    const { revision } = await app.keys.create(key);
    const memory = open();
    memory.saw(app.appId, { key: key.id, grant: 'g-1' });
    const first = now;
    await eventually(async () => (await at(key.id)) === first);
    expect(await app.lastUses.find('grant', ['g-1', 'g-2'])).toEqual([first, null]);
    now += 59_000;
    memory.saw(app.appId, { key: key.id, grant: null });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await at(key.id)).toBe(first);
    now += 2_000;
    await eventually(async () => (await at(key.id)) === first + 59_000); // when it was used, not when it was written
    now += 1_000;
    memory.saw(app.appId, { key: key.id });
    await memory.close();
    expect(await at(key.id)).toBe(first + 62_000);
    expect((await app.keys.get(key.id)).revision).toBe(revision);
    expect(failures).toEqual([]);
  });

  it('goes forward only, whichever of several processes writes last', async () => {
    const memories = Array.from({ length: 5 }, open);
    for (const memory of memories) {
      now += 1;
      for (let n = 0; n < 300; n++) memory.saw(app.appId, { key: `many-${n}` });
    }
    const newest = now;
    await Promise.all(memories.map((memory) => memory.close()));
    const ids = Array.from({ length: 300 }, (_, n) => `many-${n}`);
    expect(new Set(await app.lastUses.find('key', ids))).toEqual(new Set([newest]));
    await app.lastUses.note([{ type: 'key', id: 'many-0', at: 5 }]);
    expect(await at('many-0')).toBe(newest);
  });

  it('is no reason for anything to fail, and is written once the store is back', async () => {
    const vault = {
      isDown: true,
      app: (id: string) => (vault.isDown ? Promise.reject(new Error('down')) : filled.vault.app(id)),
    };
    const seen: unknown[] = [];
    const memory = new UseMemory({ vault, clock: () => now, onFailure: (error) => void seen.push(error), tickMs: 10 });
    memory.saw(app.appId, { key: 'late' });
    await eventually(() => seen.length > 0);
    vault.isDown = false;
    now += 61_000;
    await eventually(async () => (await at('late')) === now - 61_000);
    await memory.close();
  });
});
