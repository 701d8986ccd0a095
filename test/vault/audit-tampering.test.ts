import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis as Client } from 'ioredis';
import { issueId } from '../../core/id.ts';
import { AuditLog } from '../../vault/audit/audit-log.ts';
import { trimAudit } from '../../vault/audit/trim-audit.ts';
import type { AuditVerdict } from '../../vault/audit/verify-audit.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import type { Store } from '../../vault/store/store.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { openVault } from '../../vault/vault.ts';
import { type Redis, startRedis } from '../support/redis.ts';

const kms = openLocalKms({ rootKey: randomBytes(32) });
/** On Redis. A file has to be opened and closed for each. AUDIT_MUTATIONS lengthens both. */
const mutations = Number(process.env.AUDIT_MUTATIONS ?? 160);
const mutationsOfFile = Math.ceil(mutations / 8);
const entriesOfWriter = 12;
const cut = 5;

interface Entry {
  readonly writer: string;
  readonly sequence: string;
  readonly hash: Buffer;
  readonly body: Buffer;
}
interface Kept {
  readonly id: string;
  readonly body: Buffer;
  readonly revision: number;
}
/** What somebody with the store and without the keys has before them. */
interface Medium {
  readonly entries: readonly Entry[];
  readonly checkpoints: readonly Kept[];
  readonly ledger: Kept | null;
}
type Mutation = (medium: Medium, removed: readonly Entry[]) => Medium | null;

const any = <T>(of: readonly T[]): T => of[randomInt(of.length)]!;
const replaced = <T>(of: readonly T[], index: number, ...by: readonly T[]): T[] => of.toSpliced(index, 1, ...by);
const flipped = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  copy[randomInt(copy.length)]! ^= 1 << randomInt(8);
  return copy;
};
const ofEntries =
  (
    change: (entries: readonly Entry[], index: number, removed: readonly Entry[]) => readonly Entry[] | null,
  ): Mutation =>
  (medium, removed) => {
    const entries = change(medium.entries, randomInt(medium.entries.length), removed);
    return entries === null ? null : { ...medium, entries };
  };

const kinds: Readonly<Record<string, Mutation>> = {
  'a body edited': ofEntries((all, at) => replaced(all, at, { ...all[at]!, body: flipped(all[at]!.body) })),
  'a hash edited': ofEntries((all, at) => replaced(all, at, { ...all[at]!, hash: flipped(all[at]!.hash) })),
  'a sequence edited': ofEntries((all, at) =>
    replaced(all, at, { ...all[at]!, sequence: String(Number(all[at]!.sequence) + randomInt(1, 9)) }),
  ),
  'a writer renamed': ofEntries((all, at) => replaced(all, at, { ...all[at]!, writer: `${all[at]!.writer}x` })),
  'an entry deleted': ofEntries((all, at) => replaced(all, at)),
  'an entry put in again': ofEntries((all, at) => all.toSpliced(randomInt(all.length + 1), 0, all[at]!)),
  'a removed entry put back': ofEntries((all, at, removed) => all.toSpliced(at, 0, any(removed))),
  'a forged entry': ofEntries((all, at) =>
    all.toSpliced(at, 0, { ...all[at]!, body: randomBytes(200), sequence: '99' }),
  ),
  'two entries of one writer swapped': ofEntries((all, at) => {
    const others = all.flatMap(({ writer }, index) => (writer === all[at]!.writer && index !== at ? [index] : []));
    const other = any(others);
    return replaced(replaced(all, at, all[other]!), other, all[at]!);
  }),
  'the end cut off': ofEntries((all) => all.slice(0, -randomInt(1, all.length + 1))),
  'the beginning cut off': ofEntries((all) => all.slice(randomInt(1, all.length + 1))),
  'all of one writer removed': ofEntries((all, at) => all.filter(({ writer }) => writer !== all[at]!.writer)),
  'a writer and their checkpoint removed': ({ entries, checkpoints, ledger }) => {
    const { id } = any(checkpoints);
    return {
      ledger,
      entries: entries.filter(({ writer }) => writer !== id),
      checkpoints: checkpoints.filter((one) => one.id !== id),
    };
  },
  'a checkpoint edited': (medium) => {
    const at = randomInt(medium.checkpoints.length);
    const one = medium.checkpoints[at]!;
    return { ...medium, checkpoints: replaced(medium.checkpoints, at, { ...one, body: flipped(one.body) }) };
  },
  'a checkpoint removed': (medium) => ({
    ...medium,
    checkpoints: replaced(medium.checkpoints, randomInt(medium.checkpoints.length)),
  }),
  'two checkpoints swapped': (medium) => {
    const [one, two, ...rest] = medium.checkpoints;
    return { ...medium, checkpoints: [{ ...one!, body: two!.body }, { ...two!, body: one!.body }, ...rest] };
  },
  'the ledger edited': (medium) => ({ ...medium, ledger: { ...medium.ledger!, body: flipped(medium.ledger!.body) } }),
  'the ledger removed': (medium) => ({ ...medium, ledger: null }),
  'everything removed but what was written since': ({ entries }) => ({ entries, checkpoints: [], ledger: null }),
};

/** A store as its operator sees it: `read` and `write` go around the service. */
interface Bench {
  readonly rounds: number;
  inStore<T>(work: (store: Store) => Promise<T>): Promise<T>;
  read(space: string): Promise<Medium>;
  write(space: string, medium: Medium): Promise<void>;
  close(): Promise<void>;
}

async function openRedisBench(): Promise<Bench> {
  const redis: Redis = await startRedis();
  const client = new Client(redis.url);
  const store = await openRedisStore({ url: redis.url });
  const base = (space: string) => `alter:{${space}}:`;
  const place = (space: string, type: string, id: string) => `${base(space)}record:${type}:${id}`;
  const find = async (space: string, type: string, id: string): Promise<Kept | null> => {
    const [revision, body] = await client.hmgetBuffer(place(space, type, id), 'r', 'b');
    return revision && body ? { id, body, revision: Number(revision) } : null;
  };
  return {
    rounds: mutations,
    inStore: (work) => work(store),
    async read(space) {
      const entries = await client.xrangeBuffer(`${base(space)}audit`, '-', '+');
      const members = await client.zrangebylex(`${base(space)}index`, '[audit-checkpoint:', '(audit-checkpoint;');
      const ids = members.map((member) => member.slice(member.indexOf(':') + 1));
      return {
        entries: entries.map(([, [, writer, , sequence, , hash, , body]]) => ({
          ...{ writer: String(writer), sequence: String(sequence), hash: hash!, body: body! },
        })),
        checkpoints: (await Promise.all(ids.map((id) => find(space, 'audit-checkpoint', id)))).filter(
          (one) => one !== null,
        ),
        ledger: await find(space, 'audit-ledger', 'audit'),
      };
    },
    async write(space, { entries, checkpoints, ledger }) {
      const all = client.pipeline().del(`${base(space)}audit`);
      for (const { writer, sequence, hash, body } of entries)
        all.xadd(`${base(space)}audit`, '*', 'w', writer, 's', sequence, 'h', hash, 'b', body);
      const members = await client.zrangebylex(`${base(space)}index`, '[audit-checkpoint:', '(audit-checkpoint;');
      for (const member of members) all.del(`${base(space)}record:${member}`).zrem(`${base(space)}index`, member);
      for (const { id, body, revision } of checkpoints)
        all
          .hset(place(space, 'audit-checkpoint', id), { r: revision, b: body, h: '' })
          .zadd(`${base(space)}index`, 0, `audit-checkpoint:${id}`);
      if (ledger === null) all.del(place(space, 'audit-ledger', 'audit'));
      else all.hset(place(space, 'audit-ledger', 'audit'), { r: ledger.revision, b: ledger.body, h: '' });
      await all.exec();
    },
    async close() {
      client.disconnect();
      await store.close();
      await redis.stop();
    },
  };
}

async function openSqliteBench(): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), 'alter-audit-tampering-'));
  const path = join(directory, 'alter.db');
  const inFile = <T>(work: (db: DatabaseSync) => T): T => {
    const db = new DatabaseSync(path);
    try {
      return work(db);
    } finally {
      db.close();
    }
  };
  const bytes = (value: unknown): Buffer => Buffer.from(value as Uint8Array);
  return {
    rounds: mutationsOfFile,
    async inStore(work) {
      const store = await openSqliteStore({ path });
      try {
        return await work(store);
      } finally {
        await store.close();
      }
    },
    async read(space) {
      return inFile((db) => {
        const of = (type: string): Kept[] =>
          db
            .prepare('SELECT id, body, revision FROM record WHERE space = ? AND type = ? ORDER BY id')
            .all(space, type)
            .map(({ id, body, revision }) => ({ id: String(id), body: bytes(body), revision: Number(revision) }));
        return {
          entries: db
            .prepare('SELECT * FROM audit WHERE space = ? ORDER BY number')
            .all(space)
            .map(({ writer, sequence, hash, body }) => ({
              ...{ writer: String(writer), sequence: String(sequence), hash: bytes(hash), body: bytes(body) },
            })),
          checkpoints: of('audit-checkpoint'),
          ledger: of('audit-ledger')[0] ?? null,
        };
      });
    },
    async write(space, { entries, checkpoints, ledger }) {
      inFile((db) => {
        db.exec('BEGIN');
        db.prepare('DELETE FROM audit WHERE space = ?').run(space);
        const add = db.prepare('INSERT INTO audit (space, writer, sequence, hash, body) VALUES (?, ?, ?, ?, ?)');
        for (const { writer, sequence, hash, body } of entries) add.run(space, writer, Number(sequence), hash, body);
        db.prepare(`DELETE FROM record WHERE space = ? AND type IN ('audit-checkpoint', 'audit-ledger')`).run(space);
        const put = db.prepare('INSERT INTO record (space, type, id, revision, body) VALUES (?, ?, ?, ?, ?)');
        for (const { id, body, revision } of checkpoints) put.run(space, 'audit-checkpoint', id, revision, body);
        if (ledger !== null) put.run(space, 'audit-ledger', 'audit', ledger.revision, ledger.body);
        db.exec('COMMIT');
      });
    },
    close: () => rm(directory, { recursive: true }),
  };
}

describe.each([
  ['Redis', openRedisBench],
  ['SQLite', openSqliteBench],
])('an audit on %s, of which retention took a part', (_, open) => {
  let bench: Bench;
  let appId: string;
  let removed: readonly Entry[];
  let whole: Medium;
  const verify = (): Promise<AuditVerdict> =>
    bench.inStore(async (store) => {
      const vault = await openVault({ store, kms, clock: Date.now });
      return (await vault.app(appId)).audit.verify([]);
    });

  beforeAll(async () => {
    bench = await open();
    let cursor = '';
    await bench.inStore(async (store) => {
      const vault = await openVault({ store, kms, clock: Date.now });
      appId = (await vault.apps.create({ name: 'shop' })).value.id;
      const logs = ['one', 'two', 'three'].map((writer) => new AuditLog({ vault, writer, mode: 'strict' }));
      for (let i = 0; i < entriesOfWriter; i++)
        for (const log of logs) {
          const now = Date.now();
          await log.record({
            id: issueId(now),
            time: new Date(now).toISOString(),
            event: 'app.updated',
            app_id: appId,
          });
        }
      for (const log of logs) await log.close();
      const entries = await store.readAudit({ space: appId, limit: 100 });
      cursor = entries[cut]!.cursor;
    });
    removed = (await bench.read(appId)).entries.slice(0, cut);
    await bench.inStore(async (store) => {
      const vault = await openVault({ store, kms, clock: Date.now });
      const count = await trimAudit({
        store,
        keys: await vault.keyring.of(appId),
        now: Date.now(),
        limits: { before: null, maxEvents: 0, exported: cursor },
        announce: async () => {},
      });
      expect(count).toBe(cut);
    });
    whole = await bench.read(appId);
  });
  afterAll(() => bench.close());

  it('is intact, and says what was taken', async () => {
    expect(await verify()).toMatchObject({
      kind: 'intact',
      entries: 3 * entriesOfWriter - cut,
      trim: { events: cut, isDone: true },
    });
    await bench.write(appId, whole); // this test does it as exactly as an attacker would
    expect(await verify()).toMatchObject({ kind: 'intact' });
  });

  it(
    'shows every single change that is made to it',
    async () => {
      const missed: string[] = [];
      const names = Object.keys(kinds);
      for (let round = 0; round < bench.rounds; round++) {
        const name = round < names.length ? names[round]! : any(names);
        const changed = kinds[name]!(whole, removed);
        if (changed === null) continue;
        await bench.write(appId, changed);
        const verdict = await verify();
        if (verdict.kind === 'intact') missed.push(name);
      }
      await bench.write(appId, whole);
      expect(missed).toEqual([]);
      expect(await verify()).toMatchObject({ kind: 'intact' });
    },
    30_000 + mutations * 300,
  );
});
