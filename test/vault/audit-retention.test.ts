import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { issueId } from '../../core/id.ts';
import { AuditCheckpoints } from '../../vault/audit/audit-checkpoints.ts';
import { AuditLog } from '../../vault/audit/audit-log.ts';
import { type TrimLimits, trimAudit } from '../../vault/audit/trim-audit.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import type { Store } from '../../vault/store/store.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { type AppVault, openVault, type Vault } from '../../vault/vault.ts';
import { HostileStore } from '../support/hostile-store.ts';
import { startRedis } from '../support/redis.ts';

const day = 86_400_000;
const now = Date.UTC(2026, 10, 21);
const kms = openLocalKms({ rootKey: randomBytes(32) });

async function openRedis() {
  const redis = await startRedis();
  const store = await openRedisStore({ url: redis.url });
  return { store, close: () => redis.stop() };
}
async function openSqlite() {
  const directory = mkdtempSync(join(tmpdir(), 'alter-audit-retention-'));
  const store = await openSqliteStore({ path: join(directory, 'alter.db') });
  return { store, close: async () => rmSync(directory, { recursive: true }) };
}

describe.each([
  ['Redis', openRedis],
  ['SQLite', openSqlite],
])('the retention of an audit on %s', (_, open) => {
  let opened: { store: Store; close: () => Promise<void> };
  let store: HostileStore;
  let vault: Vault;
  let app: AppVault;
  let announced: string[];

  const log = (writer: string) => new AuditLog({ vault, writer, mode: 'strict' });
  const record = async (by: AuditLog, ats: readonly number[]) => {
    for (const at of ats)
      await by.record({ id: issueId(at), time: new Date(at).toISOString(), event: 'app.updated', app_id: app.appId });
  };
  const daysAgo = (...days: number[]) => days.map((one) => now - one * day);
  const trim = async (limits: Partial<TrimLimits>, at = now): Promise<number> => {
    const all = { before: null, maxEvents: null, exported: undefined, ...limits };
    const announce = async (why: string) => void announced.push(why);
    return trimAudit({ store, keys: await vault.keyring.of(app.appId), limits: all, now: at, announce });
  };
  const left = async () =>
    (await app.audit.list({ order: 'ascending', limit: 1000 })).events.map(
      ({ time }) => (now - Date.parse(time)) / day,
    );
  const verify = () => app.audit.verify([]);

  beforeAll(async () => {
    opened = await open();
    store = new HostileStore(opened.store);
    vault = await openVault({ store, kms, clock: () => now });
  });
  afterAll(async () => {
    await store.close();
    await opened.close();
  });
  beforeEach(async () => {
    app = await vault.app((await vault.apps.create({ name: issueId(now) })).value.id);
    announced = [];
  });

  it('removes by age, once it was announced, and what stays is proved whole from there', async () => {
    const one = log('one');
    await record(one, daysAgo(9, 8, 7, 2, 1));
    await one.close();
    expect(await trim({ before: now - 30 * day })).toBe(0);
    expect(announced).toEqual([]);
    expect(await trim({ before: now - 5 * day })).toBe(3);
    expect(announced).toEqual(['age']);
    expect(await left()).toEqual([2, 1]);
    const verdict = await verify();
    expect(verdict).toMatchObject({ kind: 'intact', entries: 2, chains: [{ sequence: 5 }] });
    expect(verdict).toMatchObject({ trim: { events: 3, newestAt: now - 7 * day, trimmedAt: now, isDone: true } });
  });

  it('removes by size, over several writers', async () => {
    const [one, two] = [log('one'), log('two')];
    for (let i = 20; i > 0; i--) await record(i % 2 === 0 ? one : two, daysAgo(i));
    await one.close();
    await two.close();
    expect(await trim({ maxEvents: 4 })).toBe(16);
    expect(announced).toEqual(['size']);
    expect(await left()).toEqual([4, 3, 2, 1]);
    expect(await verify()).toMatchObject({ kind: 'intact', entries: 4, trim: { events: 16 } });
  });

  it('removes what came after the last checkpoint of a writer who goes on', async () => {
    const one = log('one');
    await record(one, daysAgo(9, 8, 7, 6));
    expect(await trim({ before: now - 6.5 * day })).toBe(3); // the only checkpoint is that of the beginning
    await record(one, daysAgo(1));
    expect(await trim({ before: now - 2 * day })).toBe(1);
    await record(one, daysAgo(0));
    await one.close();
    expect(await left()).toEqual([1, 0]);
    expect(await verify()).toMatchObject({ kind: 'intact', entries: 2, trim: { events: 4 } });
  });

  it('keeps what was not exported, where that is asked for', async () => {
    const one = log('one');
    await record(one, daysAgo(9, 8, 7, 6));
    await one.close();
    expect(await trim({ before: now, exported: null })).toBe(0);
    const { events } = await app.audit.list({ order: 'ascending', limit: 3 });
    expect(await trim({ before: now, exported: events[2]!.cursor })).toBe(2);
    expect(await left()).toEqual([7, 6]);
  });

  it('removes nothing where it can not be put on record, and nothing over a break, which would hide it', async () => {
    const one = log('one');
    await record(one, daysAgo(9, 8, 7, 6));
    await one.close();
    const keys = await vault.keyring.of(app.appId);
    const refused = { store, keys, now, limits: { before: now, maxEvents: null, exported: undefined } };
    await expect(trimAudit({ ...refused, announce: () => Promise.reject(new Error('no')) })).rejects.toThrow('no');
    expect(await left()).toHaveLength(4);

    const [first, second] = await opened.store.readAudit({ space: app.appId, limit: 2 });
    const real = opened.store.readAudit.bind(opened.store);
    opened.store.readAudit = async (query) => (await real(query)).filter(({ cursor }) => cursor !== second!.cursor);
    try {
      await expect(trim({ before: now })).rejects.toMatchObject({ code: 'state_invalid' });
    } finally {
      opened.store.readAudit = real;
    }
    expect(first).toBeDefined();
    expect(await left()).toHaveLength(4);
  });

  it('ends a trim that was broken off between the cut and the removal, and is proved whole meanwhile', async () => {
    const one = log('one');
    await record(one, daysAgo(9, 8, 7, 6));
    await one.close();
    const real = opened.store.trimAudit.bind(opened.store);
    opened.store.trimAudit = () => Promise.reject(new Error('killed'));
    await expect(trim({ before: now - 7.5 * day })).rejects.toThrow('killed');
    opened.store.trimAudit = real;
    expect(await left()).toHaveLength(4);
    expect(await verify()).toMatchObject({ kind: 'intact', entries: 2, trim: { isDone: false } });
    expect(await trim({})).toBe(0);
    expect(await left()).toEqual([7, 6]);
    expect(await verify()).toMatchObject({ kind: 'intact', entries: 2, trim: { isDone: true } });
  });

  it('forgets writers of whom nothing is left and who are through, or long silent, and no others', async () => {
    const [closed, silent, running, present] = [log('closed'), log('silent'), log('running'), log('present')];
    await record(silent, daysAgo(90));
    await record(closed, daysAgo(9, 8));
    await record(running, daysAgo(7));
    await record(present, daysAgo(6, 0));
    await closed.close();
    expect(await trim({ before: now - day })).toBe(5);
    const checkpoints = new AuditCheckpoints({ store, keys: await vault.keyring.of(app.appId) });
    const names = [...(await checkpoints.load()).checkpoints.keys()].map((name) => name.split('.')[0]);
    expect(new Set(names)).toEqual(new Set(['present', 'running']));
    expect(names).toHaveLength(2);
    await record(running, daysAgo(0));
    expect(await verify()).toMatchObject({ kind: 'intact', entries: 2 });
    for (const log of [silent, running, present]) await log.close(); // also of one that is forgotten
  });

  it('finds the place of a moment in the log without reading up to it', async () => {
    const one = log('one');
    const times: number[] = [];
    for (let i = 0; i < 8; i++) {
      const at = Date.now();
      times.push(at);
      await record(one, [at]);
      await wait(5);
    }
    await one.close();
    const behind = async (at: number) => {
      const entry = await app.audit.seek(at);
      const after = entry === null ? {} : { after: `${entry}.999999` };
      return (await app.audit.list({ ...after, order: 'ascending', limit: 100 })).events.length;
    };
    expect(await behind(0)).toBe(8);
    expect(await behind(times[0]!)).toBe(8);
    expect(await behind(times[5]!)).toBe(3);
    expect(await behind(Date.now() + 1000)).toBe(0);
  });
});
