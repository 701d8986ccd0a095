import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { issueId } from '../../core/id.ts';
import { nextLink, startChain } from '../../vault/audit/audit-chain.ts';
import { AuditLog } from '../../vault/audit/audit-log.ts';
import type { AuditVerdict, KnownLink } from '../../vault/audit/verify-audit.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { openVault, type Vault } from '../../vault/vault.ts';

const kms = openLocalKms({ rootKey: randomBytes(32) });
const clock = Date.now;
const count = 6;
let directory: string;
let path: string;
let appId: string;

async function inVault<T>(work: (vault: Vault) => Promise<T>): Promise<T> {
  const store = await openSqliteStore({ path });
  try {
    return await work(await openVault({ store, kms, clock }));
  } finally {
    await store.close();
  }
}
const verify = (known: readonly KnownLink[] = []): Promise<AuditVerdict> =>
  inVault(async (vault) => (await vault.app(appId)).audit.verify(known));

/** Somebody with the file and without the keys, while the service stands still. */
function tamper(work: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(path);
  try {
    work(db);
  } finally {
    db.close();
  }
}
const restore = 'DELETE FROM audit; INSERT INTO audit SELECT * FROM kept;';
const run = (sql: string) => tamper((db) => db.exec(`${restore} ${sql.replaceAll('{app}', `space = '${appId}'`)}`));

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'alter-audit-verify-'));
  path = join(directory, 'alter.db');
  await inVault(async (vault) => {
    appId = (await vault.apps.create({ name: 'shop' })).value.id;
    const log = new AuditLog({ vault, writer: 'w', mode: 'strict' });
    for (let i = 0; i < count; i += 1) {
      const time = new Date(clock()).toISOString();
      await log.record({ id: issueId(clock()), time, event: 'request.decided', app_id: appId, path: `/${i}` });
    }
    await log.close();
  });
  tamper((db) => db.exec('CREATE TABLE kept AS SELECT * FROM audit'));
});
afterAll(() => rm(directory, { recursive: true }));

describe('the verification of an audit in a file', () => {
  it('finds it intact, and leads to its newest links', async () => {
    const verdict = await verify();
    expect(verdict).toMatchObject({ kind: 'intact', entries: count, chains: [{ sequence: count }] });
    if (verdict.kind === 'intact') expect(await verify(verdict.chains)).toEqual(verdict);
  });

  it.each([
    ['changed', `UPDATE audit SET body = zeroblob(length(body)) WHERE {app} AND sequence = 3`, 3, 'hash'],
    ['removed', 'DELETE FROM audit WHERE {app} AND sequence = 3', 4, 'sequence'],
    [
      'put in twice',
      `INSERT INTO audit (space, writer, sequence, hash, body) SELECT space, writer, sequence, hash, body FROM kept WHERE {app} AND sequence = 3`,
      3,
      'sequence',
    ],
    [
      'moved',
      `UPDATE audit SET body = (SELECT body FROM kept WHERE {app} AND kept.sequence = 5) WHERE {app} AND sequence = 4`,
      4,
      'hash',
    ],
  ])('names the entry that was %s', async (_, sql, sequence, problem) => {
    run(sql);
    expect(await verify()).toMatchObject({ kind: 'broken', sequence, problem });
    run('');
    expect(await verify()).toMatchObject({ kind: 'intact' });
  });

  it('misses what was cut off at the end, by the checkpoint of the one who wrote it', async () => {
    const whole = await verify();
    if (whole.kind !== 'intact') throw new Error('broken before');
    run(`DELETE FROM audit WHERE {app} AND sequence = ${count}`);
    expect(await verify()).toMatchObject({ kind: 'broken', sequence: count, problem: 'truncated' });
    expect(await verify(whole.chains)).toMatchObject({ kind: 'broken', sequence: count, problem: 'truncated' });
    run('DELETE FROM audit WHERE {app}');
    expect(await verify()).toMatchObject({ kind: 'broken', sequence: count, problem: 'truncated' });
    run('');
  });

  it('finds a change whose links were all computed anew, since nobody can seal without the keys', async () => {
    tamper((db) => {
      const rows = db.prepare('SELECT * FROM audit WHERE space = ? ORDER BY sequence').all(appId);
      let head = startChain({ space: appId, writer: String(rows[0]!.writer) });
      for (const row of rows) {
        const body = Buffer.from(row.body as Uint8Array);
        if (row.sequence === 3) body[body.length - 1]! ^= 1;
        head = nextLink(head, body);
        db.prepare('UPDATE audit SET body = ?, hash = ? WHERE space = ? AND sequence = ?').run(
          ...[body, head.hash, appId, Number(row.sequence)],
        );
      }
    });
    expect(await verify()).toMatchObject({ kind: 'broken', sequence: 3, problem: 'seal', entries: 2 });
    run('');
    const hash = createHash('sha256').update('another').digest('hex');
    const whole = await verify();
    if (whole.kind !== 'intact') throw new Error('not restored');
    expect(await verify([{ ...whole.chains[0]!, hash }])).toMatchObject({ kind: 'broken', problem: 'hash' });
  });
});
