import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Store, StoreUnavailable } from '../../vault/store/store.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { describeStore } from '../contract/store.ts';

let directory: string;
const opened: Store[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'alter-sqlite-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  rmSync(directory, { recursive: true, force: true });
});

async function open(path = join(directory, 'data', 'alter.db')): Promise<Store> {
  const store = await openSqliteStore({ path });
  opened.push(store);
  return store;
}

describeStore('SQLite', async () => ({
  store: await open(),
  reopen: () => open(),
  release: async () => undefined,
  server: null,
}));

/** Starts the process that writes; `acknowledged` grows as it prints. */
function startWriter(path: string) {
  const script = fileURLToPath(new URL('../support/store-writer.ts', import.meta.url));
  const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'pipe'] });
  const writer = { child, exited: once(child, 'exit'), acknowledged: [] as string[], complaints: '' };
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    writer.acknowledged.push(...lines);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    writer.complaints += text;
  });
  return writer;
}

describe('the SQLite store', () => {
  it('creates its directory and its files for its user alone', async () => {
    const store = await open();
    await store.ping();
    const data = join(directory, 'data');
    expect(statSync(data).mode & 0o777).toBe(0o700);
    for (const name of ['alter.db', 'alter.db-wal', 'alter.db.owner']) {
      expect([name, statSync(join(data, name)).mode & 0o777]).toEqual([name, 0o600]);
    }
    await store.close();
    expect(existsSync(join(data, 'alter.db.owner'))).toBe(false);
    expect(existsSync(join(data, 'alter.db-wal'))).toBe(false);
  });

  it('is owned by one: a second one in the same process is refused with path and pid', async () => {
    const store = await open();
    const path = join(directory, 'data', 'alter.db');
    for (let attempt = 0; attempt < 2; attempt++) {
      const refused = openSqliteStore({ path });
      await expect(refused).rejects.toThrow(StoreUnavailable);
      await expect(refused).rejects.toThrow(`cannot open ${path}: it is in use by the process with pid ${process.pid}`);
    }
    await store.ping();
  });

  it('loses no acknowledged write when its process is killed, and is taken over at once', async () => {
    const path = join(directory, 'killed.db');
    for (let round = 0; round < 2; round++) {
      rmSync(path, { force: true });
      rmSync(`${path}-wal`, { force: true });
      const writer = startWriter(path);
      while (writer.acknowledged.length < 100) {
        if (writer.child.exitCode !== null) throw new Error(writer.complaints);
        await sleep(5);
      }
      await expect(openSqliteStore({ path })).rejects.toThrow(`by the process with pid ${writer.child.pid};`);
      writer.child.kill('SIGKILL');
      await writer.exited;
      expect(writer.complaints).toBe('');
      expect(readFileSync(`${path}.owner`, 'utf8')).toBe(`${writer.child.pid}\n`);
      const store = await open(path);
      const found = await store.findByName('s', writer.acknowledged);
      expect(found.filter((key) => key === null)).toEqual([]);
      const audited = new Set(
        (await store.readAudit({ space: 's', limit: 1e9 })).map(({ sequence }) => String(sequence)),
      );
      expect(writer.acknowledged.filter((id) => !audited.has(id))).toEqual([]);
      await store.close();
    }
  });

  it('refuses a file that is no database, another program’s, or of a newer version, and leaves it as it is', async () => {
    const text = join(directory, 'text.db');
    writeFileSync(text, 'no database, but long enough to be looked at '.repeat(50));
    await expect(openSqliteStore({ path: text })).rejects.toThrow(/text\.db: file is not a database/);
    const foreign = join(directory, 'foreign.db');
    const other = new DatabaseSync(foreign);
    other.exec('CREATE TABLE things (name TEXT)');
    other.close();
    await expect(openSqliteStore({ path: foreign })).rejects.toThrow(
      /foreign\.db: it is a database of another program/,
    );
    const path = join(directory, 'newer.db');
    await (await open(path)).close();
    const newer = new DatabaseSync(path);
    newer.exec('PRAGMA user_version = 99');
    newer.close();
    await expect(openSqliteStore({ path })).rejects.toThrow(/newer\.db: it was written by a newer version/);
    await expect(openSqliteStore({ path: join(text, 'alter.db') })).rejects.toThrow(StoreUnavailable);
  });

  it('refuses what goes beyond 10,000 waiting requests, and goes on', async () => {
    const store = await open();
    await store.commit('s', [
      { kind: 'put', type: 't', id: 'a', expectedRevision: 0, body: Buffer.alloc(1), tags: [], names: [] },
    ]);
    const requests = Array.from({ length: 10_001 }, () => store.get('s', [{ type: 't', id: 'a' }]));
    const results = await Promise.allSettled(requests);
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    expect((await store.get('s', [{ type: 't', id: 'a' }]))[0]?.revision).toBe(1);
  });

  it('removes the windows of rates that are over', async () => {
    const path = join(directory, 'rates.db');
    const store = await open(path);
    const take = (bucket: string) => ({ bucket, requests: 1, perSeconds: 1 });
    await store.append(
      's',
      [],
      Array.from({ length: 50 }, (_, index) => take(`b-${index}`)),
    );
    await store.close();
    await sleep(1_010);
    const again = await open(path);
    await again.append('s', [], [{ ...take('new'), perSeconds: 3600 }]);
    await again.close();
    const database = new DatabaseSync(path);
    expect(database.prepare('SELECT COUNT(*) AS count FROM rate').get()?.count).toBe(1);
    database.close();
  });
});
