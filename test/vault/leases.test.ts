import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LeaseRepository } from '../../vault/records/lease-repository.ts';
import { openStore } from '../../vault/store/store-url.ts';
import { type FilledVault, fillVault } from '../support/filled-vault.ts';
import { startRedis } from '../support/redis.ts';

describe.each(['sqlite', 'redis'] as const)('a lease on %s', (kind) => {
  let filled: FilledVault;
  let leases: LeaseRepository;
  let stop: () => Promise<void> = async () => {};
  let now = 1_000;
  const forMs = 30_000;
  const take = (holder: string) => leases.take('work', { holder, forMs });

  beforeAll(async () => {
    if (kind === 'sqlite') filled = await fillVault();
    else {
      const redis = await startRedis();
      stop = () => redis.stop();
      filled = await fillVault(await openStore(redis.url));
    }
    const keys = await filled.vault.keyring.of('system');
    leases = new LeaseRepository({ store: filled.store, keys, clock: () => now });
  });
  afterAll(async () => {
    await filled.close();
    await stop();
  });

  it('is held by one, however many want it, until it ends or is given back', async () => {
    const holders = Array.from({ length: 10 }, (_, n) => `process-${n}`);
    const taken = await Promise.all(holders.map(take));
    expect(taken.filter(Boolean)).toHaveLength(1);
    const first = holders[taken.indexOf(true)]!;
    now += 20_000;
    expect(await take(first)).toBe(true); // renewed
    now += 20_000;
    expect(await take('another')).toBe(false);
    now += 10_001;
    expect(await take('another')).toBe(true);
    expect(await take(first)).toBe(false);
    await leases.release('work', first); // not its own any more
    expect(await take(first)).toBe(false);
    await leases.release('work', 'another');
    expect(await take(first)).toBe(true);
  });
});
