import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BackupSeal } from '../../vault/backup/backup-lines.ts';
import { BackupRestore } from '../../vault/backup/restore-backup.ts';
import { BackupWriter } from '../../vault/backup/write-backup.ts';
import { StateMarks } from '../../vault/guard/state-marks.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { openVault, type Vault } from '../../vault/vault.ts';
import { draftSecret, type FilledVault, fillVault, newKey, startOfTime, token } from '../support/filled-vault.ts';
import { Random } from '../support/mutate.ts';

let filled: FilledVault;
let appId: string;
let secretId: string;
let grantIds: string[];
let keyId: string;

beforeEach(async () => {
  filled = await fillVault();
  appId = (await filled.vault.apps.create({ name: 'shop' })).value.id;
  const app = await filled.vault.app(appId);
  const made = await app.secrets.create({ draft: draftSecret(), fields: token('canary'), baseGrantLabel: 'one' });
  secretId = made.secret.value.id;
  const other = await app.grants.create({
    ...{ secretId, principal: { type: 'system' }, label: 'two', description: null, policy: null, expiresAt: null },
  });
  grantIds = [made.grant.value.id, other.value.id];
  const key = newKey(appId);
  keyId = key.id;
  await app.keys.create(key);
  await app.grants.revoke(grantIds[1]!);
  await app.secrets.rotate(secretId, token('canary 2'));
  await filled.vault.authority.create({ certificatePem: 'certificate', privateKeyPem: 'private key' });
});
afterEach(() => filled.close());

async function write(vault: Vault = filled.vault, only: string | null = null): Promise<string[]> {
  const writer = await BackupWriter.open(vault, startOfTime, only);
  const lines = [writer.seal.headerLine];
  for (let index = 0; ; index++) {
    const { line, done } = await writer.line(index);
    lines.push(line);
    if (done) return lines;
  }
}

async function prove(vault: Vault, lines: readonly string[]): Promise<BackupRestore> {
  const restore = await BackupRestore.open(vault, lines[0]!);
  for (const line of lines.slice(1)) await restore.read(line);
  return restore;
}

async function restore(vault: Vault, lines: readonly string[], intoExisting = false): Promise<BackupRestore> {
  const proved = await prove(vault, lines);
  await proved.begin({ intoExisting });
  for (const line of lines.slice(1)) await proved.read(line);
  await proved.finish({ now: startOfTime, budgetMs: 10_000 });
  return proved;
}

const openEmpty = async (more: { rootKey?: Buffer; marks?: StateMarks } = {}) => {
  const { rootKey = filled.rootKey, marks = new StateMarks() } = more;
  const store = await openSqliteStore({ path: join(filled.folder, `${randomBytes(4).toString('hex')}.db`) });
  return openVault({ store, kms: openLocalKms({ rootKey }), clock: () => startOfTime, marks }).catch(async (error) => {
    await store.close();
    throw error;
  });
};

describe('a backup', () => {
  it('brings everything back into an empty store, and what was revoked stays so', async () => {
    const lines = await write();
    const vault = await openEmpty();
    const { count } = await restore(vault, lines);
    expect(count).toMatchObject({ kept: 0, skipped: 0 });
    const app = await vault.app(appId);
    const { value: secret } = await app.secrets.get('stripe-live');
    expect(secret).toMatchObject({ id: secretId, version: 2 });
    expect((await app.grants.get(grantIds[0]!)).value.revokedAt).toBeNull();
    expect((await app.grants.get(grantIds[1]!)).value.revokedAt).toBe(startOfTime);
    expect((await app.keys.get(keyId)).value.appId).toBe(appId);
    expect((await vault.apps.get('shop')).value.id).toBe(appId);
    expect(await vault.authority.find()).toMatchObject({ certificatePem: 'certificate', privateKeyPem: 'private key' });
    await app.grants.revoke(grantIds[0]!);
    expect(await write(vault)).toHaveLength(lines.length);
    await vault.store.close();
  });

  it('holds nothing that can be read', async () => {
    const text = (await write()).join('\n');
    const decoded = text.replace(/[\w+/]{40,}={0,2}/g, (word) => Buffer.from(word, 'base64').toString('latin1'));
    for (const word of ['canary', 'stripe', 'Stripe', 'shop', 'private key', 'backend'])
      expect([word, text.includes(word), decoded.includes(word)]).toEqual([word, false, false]);
    expect(text).toContain(appId); // the control: this is where it would be
  });

  it('is refused before anything is changed, wherever one bit of it was flipped', async () => {
    const lines = await write();
    const vault = await openEmpty();
    const random = new Random(28);
    const refused: string[] = [];
    for (const [at, line] of lines.entries()) {
      for (const position of [
        0,
        8,
        20,
        60,
        line.length - 1,
        ...Array.from({ length: 10 }, () => random.below(line.length)),
      ]) {
        const bytes = Buffer.from(line, 'latin1');
        bytes[position]! ^= 1 << random.below(7);
        const forged = lines.with(at, bytes.toString('latin1'));
        await expect(prove(vault, forged)).rejects.toMatchObject({ code: 'backup_invalid' });
        refused.push(`${at} ${position}`);
      }
    }
    expect(refused.length).toBeGreaterThan(40);
    expect((await vault.apps.list({ limit: 1, offset: 0 })).total).toBe(0);
    await vault.store.close();
  });

  it('is refused in parts, in another order, mixed with another one, and under another root key', async () => {
    const [lines, other] = [await write(), await write()];
    const vault = await openEmpty();
    const code = async (forged: readonly string[]) =>
      prove(vault, forged).then(
        ({ phase }) => phase,
        (error: { code: string }) => error.code,
      );
    expect(await code(lines)).toBe('proved');
    expect(await code(lines.slice(0, -1))).toBe('proving');
    expect(lines.length).toBeGreaterThan(3);
    for (const forged of [
      lines.toSpliced(1, 1),
      lines.toSpliced(1, 2, lines[2]!, lines[1]!),
      lines.toSpliced(1, 0, lines[1]!),
      lines.with(1, other[1]!),
      lines.with(-1, other.at(-1)!),
      lines.with(0, other[0]!),
      lines.with(0, lines[0]!.replace('"alter_egress_backup":1', '"alter_egress_backup":2')),
      lines.with(0, lines[0]!.replace(/"created_at":\d/, '"created_at":9')),
      lines.with(0, lines[0]!.replace('"key":', `"app_id":"${appId}","key":`)),
      ['{}', ...lines.slice(1)],
      ['SQLite format 3', ...lines.slice(1)],
    ])
      expect(await code(forged)).toBe('backup_invalid');
    const cut = await prove(vault, lines.slice(0, -1));
    await expect(cut.begin({ intoExisting: true })).rejects.toMatchObject({ code: 'conflict' });
    const foreign = await openEmpty({ rootKey: randomBytes(32) });
    await expect(prove(foreign, lines)).rejects.toMatchObject({ code: 'backup_invalid' });
    await foreign.store.close();
    await vault.store.close();
  });

  it('adds to a store in use what it lacks, and undoes neither a revocation nor a deletion', async () => {
    const lines = await write();
    const app = await filled.vault.app(appId);
    const { secret: gone } = await app.secrets.create({
      draft: draftSecret({ name: 'Gone' }),
      fields: token('x'),
      baseGrantLabel: 'x',
    });
    const later = await write();
    await app.grants.revoke(grantIds[0]!);
    await app.keys.revoke(keyId);
    await app.secrets.delete(gone.value.id);
    const doomed = (await filled.vault.apps.create({ name: 'doomed' })).value.id;
    const last = await write();
    await filled.vault.apps.delete(doomed);

    const proved = await prove(filled.vault, lines);
    await expect(proved.begin({ intoExisting: false })).rejects.toMatchObject({ code: 'conflict' });
    for (const backup of [lines, later, last]) {
      const { count } = await restore(filled.vault, backup, true);
      expect(count).toMatchObject({ restored: 0, skipped: 0 });
    }
    expect((await app.grants.get(grantIds[0]!)).value.revokedAt).not.toBeNull();
    expect((await app.keys.get(keyId)).value.revokedAt).not.toBeNull();
    await expect(app.secrets.get(gone.value.id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(filled.vault.apps.get(doomed)).rejects.toMatchObject({ code: 'not_found' });

    // A record that was taken out of the store, and not deleted by the service, comes back.
    const [stored] = await filled.store.get(appId, [{ type: 'key', id: keyId }]);
    await filled.store.commit(appId, [{ kind: 'delete', type: 'key', id: keyId, expectedRevision: stored!.revision }]);
    expect((await restore(filled.vault, last, true)).count.restored).toBe(1);
    expect((await app.keys.get(keyId)).value.revokedAt).not.toBeNull();
  });

  it('is accepted by who has seen the state that was lost', async () => {
    const path = join(filled.folder, 'marks');
    const kms = openLocalKms({ rootKey: filled.rootKey });
    const seen = new StateMarks({ path });
    const proxy = await openVault({ store: filled.store, kms, clock: () => startOfTime, marks: seen });
    const lines = await write();
    await (await filled.vault.app(appId)).secrets.rotate(secretId, token('lost'));
    await proxy.apps.get(appId);
    await (await proxy.app(appId)).secrets.get(secretId);
    await seen.close();

    await expect(openEmpty({ marks: new StateMarks({ path }) })).rejects.toMatchObject({ code: 'state_rollback' });
    const file = join(filled.folder, 'restored.db');
    const admin = await openVault({ store: await openSqliteStore({ path: file }), kms, clock: () => startOfTime });
    await restore(admin, lines);
    await admin.store.close();
    const store = await openSqliteStore({ path: file });
    const again = await openVault({ store, kms, clock: () => startOfTime, marks: new StateMarks({ path }) });
    expect((await (await again.app(appId)).secrets.get(secretId)).value.version).toBe(2);
    await again.store.close();
  });

  it('of one app holds nothing of others, and goes into a store that others use', async () => {
    const other = (await filled.vault.apps.create({ name: 'other' })).value.id;
    await (await filled.vault.app(other)).keys.create(newKey(other));
    const lines = await write(filled.vault, appId);
    const seal = await BackupSeal.open(filled.vault.kms, lines[0]!);
    const held = lines.slice(1).flatMap((line, index) => {
      const read = seal.open(line, index);
      return read.kind === 'records' ? read.records.map(({ type, id }) => ({ space: read.space, type, id })) : [];
    });
    expect(held.filter(({ space }) => space === 'system').map(({ type }) => type)).toEqual([
      ...['app-key', 'app-key', 'app-entry', 'key-owner'],
    ]);
    expect(new Set(held.map(({ space }) => space))).toEqual(new Set(['system', appId]));
    expect(lines.join()).not.toContain(other);

    const vault = await openEmpty();
    await vault.authority.create({ certificatePem: 'its own', privateKeyPem: 'its own' });
    const busy = (await vault.apps.create({ name: 'busy' })).value.id;
    await (await vault.app(busy)).keys.create(newKey(busy));
    expect((await restore(vault, lines)).count).toMatchObject({ kept: 0, skipped: 0 });
    const app = await vault.app(appId);
    expect((await app.secrets.get('stripe-live')).value.id).toBe(secretId);
    expect((await app.grants.get(grantIds[1]!)).value.revokedAt).toBe(startOfTime);
    expect((await vault.apps.list({ limit: 9, offset: 0 })).items.map(({ value }) => value.name).sort()).toEqual([
      ...['busy', 'shop'],
    ]);
    expect(await vault.authority.find()).toMatchObject({ certificatePem: 'its own' });

    await app.keys.revoke(keyId);
    await expect(restore(vault, lines)).rejects.toMatchObject({ code: 'conflict' });
    expect((await restore(vault, lines, true)).count).toMatchObject({ restored: 0, skipped: 0 });
    expect((await app.keys.get(keyId)).value.revokedAt).not.toBeNull();
    await vault.apps.delete(appId);
    await expect(restore(vault, lines, true)).rejects.toMatchObject({ detail: 'The app was deleted in this store.' });
    await vault.store.close();

    const named = await openEmpty();
    const namesake = (await named.apps.create({ name: 'shop' })).value.id;
    await (await named.app(namesake)).keys.create(newKey(namesake));
    await expect(restore(named, lines)).rejects.toMatchObject({ detail: expect.stringContaining('has the name') });
    await expect(named.apps.get(appId)).rejects.toMatchObject({ code: 'not_found' });
    await named.store.close();
  });

  it('comes back into the store that it is of where all but the app was lost', async () => {
    await filled.vault.apps.update(appId, (app) => app, undefined, 'default'); // as a first start would call it
    const lines = await write();
    const app = await filled.vault.app(appId);
    for (const type of ['secret', 'key'])
      for (const { id, revision } of (await filled.store.list({ space: appId, type, limit: 9 })).records)
        await filled.store.commit(appId, [{ kind: 'delete', type, id, expectedRevision: revision }]);
    expect((await restore(filled.vault, lines, true)).count.restored).toBe(2);
    expect((await app.keys.get(keyId)).value.id).toBe(keyId);
  });

  it('reads an app again that changes meanwhile, and holds no broken record', async () => {
    let changes = 0;
    const app = await filled.vault.app(appId);
    const writer = await BackupWriter.open(filled.vault, startOfTime);
    const lines = [writer.seal.headerLine];
    for (let index = 0, done = false; !done; index++) {
      const given = await writer.line(index);
      lines.push(given.line);
      done = given.done;
      if (given.line.includes(`"kind":"records","space":"${appId}"`) && changes++ < 2)
        await app.secrets.update(secretId, (secret) => ({ ...secret, description: `change ${changes}` }));
    }
    expect(changes).toBe(3);
    const vault = await openEmpty();
    const { count } = await restore(vault, lines);
    expect(count.restored).toBe(writer.records - 2); // the keys of the two spaces are none
    expect((await (await vault.app(appId)).secrets.get(secretId)).value.description).toBe('change 2');
    await vault.store.close();

    const place = { type: 'grant', id: grantIds[0]! };
    const [stored] = await filled.store.get(appId, [place]);
    filled.store.forged.set(`${appId} grant ${place.id}`, { ...stored!, body: stored!.body.toReversed() });
    await expect(write()).rejects.toMatchObject({ code: 'state_invalid' });
  });

  it('keeps many records in bounded lines', async () => {
    const app = await filled.vault.app(appId);
    const value = 'x'.repeat(16_000);
    for (let count = 0; count < 12; count++)
      await app.secrets.create({ draft: draftSecret(), fields: token(value), baseGrantLabel: 'default' });
    const lines = await write();
    expect(lines.length).toBeGreaterThan(4);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(256 * 1024);
    const vault = await openEmpty();
    await restore(vault, lines);
    expect((await (await vault.app(appId)).secrets.list({ limit: 1, offset: 0 })).total).toBe(13);
    await vault.store.close();
  });
});
