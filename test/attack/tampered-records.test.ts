import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AlterError } from '../../core/errors.ts';
import { defaultClaimNames } from '../../core/identity-provider.ts';
import { issueToken } from '../../core/token.ts';
import { appKeyType, systemSpace, wrappingContext } from '../../vault/keys/keyring.ts';
import { unwrapKey } from '../../vault/keys/wrapped-key.ts';
import { findRecordKind, recordTypes } from '../../vault/records/record-kinds.ts';
import { openRecord, sealRecord } from '../../vault/records/sealed-records.ts';
import type { StoredRecord } from '../../vault/store/store.ts';
import { draftSecret, type FilledVault, fillVault, newKey, startOfTime, token } from '../support/filled-vault.ts';
import { Random } from '../support/mutate.ts';

/**
 * Every record that stands in a store in which every kind of object was made, changed by somebody who can write to it. One
 * bit of every byte is flipped, and ALTER_TAMPER_EVERY_BIT=1 flips all of them.
 */
const bits = process.env.ALTER_TAMPER_EVERY_BIT === '1' ? [0, 1, 2, 3, 4, 5, 6, 7] : null;

let filled: FilledVault;
const stored: { readonly space: string; readonly record: StoredRecord }[] = [];

beforeAll(async () => {
  filled = await fillVault();
  const { vault } = filled;
  const pat = issueToken('pat', startOfTime);
  const digest = pat.digest.toString('hex');
  const bare = {
    id: pat.id,
    name: 'ci',
    appId: null,
    expiresAt: null,
    digest,
    createdAt: startOfTime,
    revokedAt: null,
  };
  await vault.accessTokens.create({ ...bare, scopes: ['dashboard_secrets:read'] });
  await vault.authority.create({ certificatePem: 'certificate', privateKeyPem: 'private key' });
  await vault.idempotency.begin({ subject: 'ab'.repeat(32), content: 'x' });
  const spaces = [systemSpace];
  for (const name of ['a', 'b']) {
    const { id } = (await vault.apps.create({ name })).value;
    spaces.push(id);
    const app = await vault.app(id);
    const { secret, grant } = await app.secrets.create({
      draft: draftSecret({ policy: { methods: ['GET'] } }),
      fields: token('canary'),
      baseGrantLabel: 'default',
    });
    await app.secrets.update(secret.value.id, (before) => ({ ...before, description: 'changed' }));
    const key = newKey(id);
    await app.keys.create(key);
    const provider = await app.identityProviders.create({
      ...{ name: 'p', issuer: 'https://idp.test', audience: 'api', jwksUrl: 'https://idp.test/keys' },
      ...{ claims: defaultClaimNames, algorithms: ['ES256'], singleUse: false },
    });
    const idpId = provider.value.id;
    const known = { idpId, externalId: 'ada', email: null, name: null, groups: ['ops'], issuedAt: startOfTime };
    const user = await app.users.see(known);
    await app.groups.create({ idpId, externalGroupId: 'ops', name: 'Operations' });
    const agent = await app.agents.create({ name: 'crawler', displayName: null, type: 'agent', metadata: {} });
    await app.delegations.create({
      ...{ agentId: agent.value.id, sourceGrantId: grant.value.id, userId: user.value.id },
      expiresAt: startOfTime + 60_000,
    });
    await app.lastUses.note([{ type: 'key', id: key.id, at: startOfTime }]);
  }
  for (const space of spaces)
    for (const type of [...recordTypes, 'epoch', 'floors'])
      for (const record of (await filled.store.list({ space, type, limit: 100 })).records)
        stored.push({ space, record });
});
afterAll(() => filled.close());

/** `as`: the record in whose place the bytes are given. */
async function open(space: string, as: StoredRecord, bytes: StoredRecord): Promise<string> {
  const { keyring, kms } = filled.vault;
  try {
    const keys = await keyring.of(space);
    const kind = findRecordKind(as.type);
    if (kind !== null) openRecord(kind, keys, as.id, bytes);
    else if (as.type === appKeyType) await unwrapKey(kms, bytes.body, wrappingContext(as.id, bytes.revision));
    else keys.open({ type: as.type, id: as.id, revision: bytes.revision }, bytes.body);
    return 'it was accepted';
  } catch (error) {
    if (error instanceof AlterError) return error.code;
    throw error;
  }
}

describe('a stored record of any kind', () => {
  it('opens as long as it is untouched: the control of this suite', async () => {
    for (const { space, record } of stored) expect(await open(space, record, record)).toBe('it was accepted');
    expect(new Set(stored.map(({ record }) => record.type)).size).toBeGreaterThan(18);
  });

  it('is refused after any one bit of it was flipped', async () => {
    const random = new Random(2);
    let mutations = 0;
    for (const { space, record } of stored) {
      for (let at = 0; at < record.body.length; at++) {
        for (const bit of bits ?? [random.below(8)]) {
          const body = Buffer.from(record.body);
          body[at]! ^= 1 << bit;
          const code = await open(space, record, { ...record, body });
          if (code !== 'state_invalid') throw new Error(`${record.type}, byte ${at}, bit ${bit}: ${code}`);
          mutations++;
        }
      }
    }
    expect(mutations).toBeGreaterThan(10_000);
  });

  it('is refused in the place of any other, of its app or of another', async () => {
    for (const one of stored) {
      for (const other of stored) {
        if (one === other) continue;
        // As it stands there, and under the revision that is expected here.
        for (const revision of new Set([one.record.revision, other.record.revision]))
          expect([one.record.type, await open(one.space, one.record, { ...other.record, revision })]).toEqual([
            one.record.type,
            'state_invalid',
          ]);
      }
    }
  });

  it('is refused with a shorter tag, without a field, and with one more, also if the key was known', async () => {
    for (const { space, record } of stored) {
      for (const cut of [4, 8, 12, 15, 16, record.body.length])
        expect(await open(space, record, { ...record, body: record.body.subarray(0, -cut) })).toBe('state_invalid');
      const kind = findRecordKind(record.type);
      if (kind === null) continue;
      const keys = await filled.vault.keyring.of(space);
      const { value } = openRecord(kind, keys, record.id, record);
      const { type, id, revision } = record;
      const json = JSON.stringify(value);
      const forgeries = Object.keys(kind.shape)
        .filter((field) => !Object.hasOwn(kind.absent ?? {}, field))
        .map((field) => JSON.stringify({ ...value, [field]: undefined }));
      forgeries.push(
        json.replace('{', '{"unknown":1,'),
        json.replace('{', '{"__proto__":{"polluted":1},'),
        '[]',
        'null',
        '',
      );
      for (const text of forgeries) {
        const body = keys.seal({ type, id, revision }, Buffer.from(text));
        expect([type, text, await open(space, record, { ...record, body })]).toEqual([type, text, 'state_invalid']);
      }
      expect(() => sealRecord(kind, keys, { ...value, unknown: 1 }, 0)).toThrow('validation_failed');
    }
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

describe('what tells an old state from a new one', () => {
  it('refuses its app after any one bit of it was flipped, until an operator accepts the state', async () => {
    const { vault, store } = filled;
    const random = new Random(3);
    const app = stored.find(({ record }) => record.type === 'floors' && record.body.length > 0)!;
    const secretId = stored.find(({ space, record }) => space === app.space && record.type === 'secret')!.record.id;
    const place = { type: 'secret', id: secretId };
    for (const { space, record } of stored.filter(({ record: { type } }) => type === 'epoch' || type === 'floors')) {
      if (space !== app.space) continue;
      const name = `${space} ${record.type} ${record.id}`;
      for (let round = 0; round < 40; round++) {
        const body = Buffer.from(record.body);
        body[random.below(body.length)]! ^= 1 << random.below(8);
        store.forged.set(name, { ...record, body });
        const reading = record.type === 'epoch' ? vault.store.look(space) : vault.store.areGone(space, [place]);
        await expect(reading).rejects.toMatchObject({ code: 'state_rollback' });
        expect(vault.store.rolledBack()).toEqual([space]);
        store.forged.clear();
        await vault.store.look(space);
        expect(vault.store.rolledBack()).toEqual([]);
      }
      if (record.type === 'floors') break;
    }
  });
});
