import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { appKeyType, systemSpace } from '../../vault/keys/keyring.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { openVault, type Vault } from '../../vault/vault.ts';
import { type FilledVault, fillVault, startOfTime } from '../support/filled-vault.ts';
import { placeOf } from '../support/hostile-store.ts';

describe('the wrapped keys', () => {
  let filled: FilledVault;
  const nextKey = randomBytes(32);
  const open = (rootKey: Uint8Array, previous: readonly Uint8Array[] = []): Promise<Vault> =>
    openVault({
      store: filled.store,
      kms: openLocalKms({ rootKey }),
      previousKms: previous.map((key) => openLocalKms({ rootKey: key })),
      clock: () => startOfTime,
    });
  const appIds: string[] = [];

  beforeEach(async () => {
    filled = await fillVault();
    appIds.length = 0;
    for (const name of ['a', 'b', 'c']) appIds.push((await filled.vault.apps.create({ name })).value.id);
  });
  afterEach(() => filled.close());

  it('say of each key what wrapped it, and go over to the next root key in steps of any size', async () => {
    const vault = await open(nextKey, [filled.rootKey]);
    const old = openLocalKms({ rootKey: filled.rootKey }).keyId;
    expect(await vault.wrappedKeys.count()).toEqual({
      total: 4,
      current: 0,
      others: [{ keyId: old, isKnown: true, count: 4 }],
    });
    const first = await vault.wrappedKeys.rewrap({ limit: 2 });
    expect(first).toMatchObject({ examined: 2, rewrapped: 2, failed: [] });
    const second = await vault.wrappedKeys.rewrap({ after: first.next!, limit: 2 });
    expect(second).toMatchObject({ examined: 2, rewrapped: 2 });
    expect(await vault.wrappedKeys.rewrap({ after: second.next!, limit: 2 })).toMatchObject({
      examined: 0,
      next: null,
    });
    expect(await vault.wrappedKeys.rewrap({ limit: 500 })).toMatchObject({ examined: 4, rewrapped: 0 });
    expect(await vault.wrappedKeys.count()).toEqual({ total: 4, current: 4, others: [] });
    const fresh = await open(nextKey);
    for (const id of appIds) expect((await fresh.apps.get(id)).value.id).toBe(id);
    await expect(open(filled.rootKey)).rejects.toEqual(expect.objectContaining({ code: 'state_invalid' }));
  });

  it('can be taken over by two processes at a time', async () => {
    const [one, two] = [await open(nextKey, [filled.rootKey]), await open(nextKey, [filled.rootKey])];
    const steps = await Promise.all([one.wrappedKeys.rewrap({ limit: 10 }), two.wrappedKeys.rewrap({ limit: 10 })]);
    expect(steps.reduce((sum, { rewrapped }) => sum + rewrapped, 0)).toBe(4);
    expect((await one.wrappedKeys.count()).current).toBe(4);
  });

  it('leave one that was changed as it is, name it, and go on', async () => {
    const key = { type: appKeyType, id: appIds[1]! };
    const [stored] = await filled.store.get(systemSpace, [key]);
    const body = Buffer.from(stored!.body);
    body[body.length - 1]! ^= 1;
    filled.store.forged.set(placeOf(systemSpace, key), { ...stored!, body });
    const vault = await open(nextKey, [filled.rootKey]);
    const step = await vault.wrappedKeys.rewrap({ limit: 10 });
    expect(step).toMatchObject({ examined: 4, rewrapped: 3, failed: [{ space: appIds[1] }] });
    expect(await vault.wrappedKeys.count()).toMatchObject({ current: 3, others: [{ count: 1 }] });
  });

  it('of a root key that nobody has are counted as such, and stay', async () => {
    const vault = await open(nextKey, [filled.rootKey]);
    await vault.wrappedKeys.rewrap({ limit: 10 });
    const later = await open(randomBytes(32), [nextKey]);
    expect((await later.wrappedKeys.count()).others).toEqual([
      { keyId: openLocalKms({ rootKey: nextKey }).keyId, isKnown: true, count: 4 },
    ]);
    expect(await filled.vault.wrappedKeys.rewrap({ limit: 10 })).toMatchObject({
      rewrapped: 0,
      failed: [{}, {}, {}, {}],
    });
  });
});
