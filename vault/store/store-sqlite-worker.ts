/**
 * The thread that owns the SQLite file. `node:sqlite` is synchronous and a commit waits for fsync (milliseconds on a
 * disk), so it must not run where requests are proxied.
 */
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type {
  AuditQuery,
  Delete,
  ListQuery,
  Put,
  RateTake,
  RateVerdict,
  RecordKey,
  RecordPage,
  StoredAuditEntry,
  StoredRecord,
} from './store.ts';

/** A body travels in `Batch.bytes`; the question only says how long it is. */
export type PutWithoutBody = Omit<Put, 'body'> & { readonly bodyBytes: number };

export interface EntryWithoutBytes {
  readonly writer: string;
  readonly sequence: number;
  readonly hashBytes: number;
  readonly bodyBytes: number;
}

export type Question =
  | { readonly kind: 'get'; readonly space: string; readonly keys: readonly RecordKey[] }
  | { readonly kind: 'findByName'; readonly space: string; readonly names: readonly string[] }
  | { readonly kind: 'list'; readonly query: ListQuery }
  | { readonly kind: 'findByTags'; readonly space: string; readonly tags: readonly string[]; readonly limit: number }
  | { readonly kind: 'readAudit'; readonly query: AuditQuery }
  | { readonly kind: 'contact' }
  | { readonly kind: 'commit'; readonly space: string; readonly changes: readonly (PutWithoutBody | Delete)[] }
  | {
      readonly kind: 'append';
      readonly space: string;
      readonly entries: readonly EntryWithoutBytes[];
      readonly takes: readonly RateTake[];
    }
  | { readonly kind: 'trimAudit'; readonly space: string; readonly upTo: string }
  | { readonly kind: 'ping' }
  | { readonly kind: 'close' };

/** What the answer to each question holds. */
export interface AnswerOf {
  get: (StoredRecord | null)[];
  findByName: (RecordKey | null)[];
  list: RecordPage;
  findByTags: RecordKey[];
  readAudit: StoredAuditEntry[];
  contact: null;
  commit: null;
  append: RateVerdict[];
  trimAudit: null;
  ping: null;
  close: null;
}

export interface Batch {
  /** The number of the first question; the others follow. */
  readonly first: number;
  readonly questions: readonly Question[];
  /** The bytes of all questions, one after the other. One transferred buffer: a third of the CPU of cloning each. */
  readonly bytes: Uint8Array;
}

export type Failure =
  | { readonly kind: 'revision_conflict'; readonly change: number }
  | { readonly kind: 'name_taken'; readonly name: string }
  | { readonly kind: 'unavailable'; readonly message: string };

export interface Answer {
  readonly number: number;
  readonly value?: unknown;
  readonly failure?: Failure;
}

/** The first message of the thread: is the file open? Afterwards it posts `Answer[]`. */
export type Opened = { readonly opened: true } | { readonly opened: false; readonly message: string };

/** 'ALTR': tells our file from somebody else's SQLite file. */
const applicationId = 0x414c5452;

/** Each entry brings the schema from the version of its index to the next. Never change one that was released. */
const migrations = [
  `
  CREATE TABLE record (
    number INTEGER PRIMARY KEY, space TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL,
    revision INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (space, type, id)
  ) STRICT;
  CREATE TABLE tag (
    space TEXT NOT NULL, tag TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, record INTEGER NOT NULL,
    PRIMARY KEY (space, tag, type, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX tag_of_record ON tag (record);
  CREATE TABLE name (
    space TEXT NOT NULL, name TEXT NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (space, name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX name_of_record ON name (record);
  CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, space TEXT NOT NULL, writer TEXT NOT NULL, sequence INTEGER NOT NULL,
    hash BLOB NOT NULL, body BLOB NOT NULL
  ) STRICT;
  CREATE INDEX audit_of_space ON audit (space);
  CREATE TABLE rate (
    space TEXT NOT NULL, bucket TEXT NOT NULL, per_seconds INTEGER NOT NULL, ends_at INTEGER NOT NULL,
    taken INTEGER NOT NULL, PRIMARY KEY (space, bucket, per_seconds)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX rate_by_end ON rate (ends_at);
  CREATE TABLE pulse (number INTEGER PRIMARY KEY, beats INTEGER NOT NULL) STRICT;
  INSERT INTO pulse VALUES (1, 0);
  `,
];

const sweepEveryMs = 60_000;

interface Write {
  readonly question: Question;
  readonly bytes: ByteReader;
}

class Refusal extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.kind);
    this.failure = failure;
  }
}

/** Hands out the bytes of one question in the order in which it names them. */
class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  take(length: number): Uint8Array {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

class Database {
  readonly #db: DatabaseSync;
  readonly #ownerFile: string;
  readonly #statements = new Map<string, StatementSync>();
  #sweptAt = 0;

  /** Throws with a message for the operator where the file can't be owned. */
  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#ownerFile = `${path}.owner`;
    createPrivately(path);
    const db = new DatabaseSync(path);
    try {
      // The lock is the kernel's lock on the file, held as long as the file is open: it goes with the process, however
      // that dies, so there is no stale lock to judge. The file beside it only tells whom to ask.
      db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF');
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864');
      migrate(db);
    } catch (error) {
      db.close();
      throw new Error(describeOpenFailure(error, this.#ownerFile));
    }
    this.#db = db;
    writeFileSync(this.#ownerFile, `${process.pid}\n`, { mode: 0o600 });
  }

  close(): void {
    // While the lock is still held: afterwards the file may be the next owner's.
    rmSync(this.#ownerFile, { force: true });
    this.#db.close();
  }

  read(question: Question): unknown {
    switch (question.kind) {
      case 'get':
        return question.keys.map(({ type, id }) => this.#get(question.space, type, id));
      case 'findByName':
        return question.names.map((name) => this.#findByName(question.space, name));
      case 'list':
        return this.#list(question.query);
      case 'findByTags':
        return this.#findByTags(question.space, question.tags, question.limit);
      case 'readAudit':
        return this.#readAudit(question.query);
      default:
        return null;
    }
  }

  /** Runs all writes in one transaction, so with one fsync; each is all or nothing by itself. A result may be a `Refusal`. */
  write(writes: readonly Write[]): unknown[] {
    const [first] = writes;
    if (first !== undefined && writes.length === 1) return [this.#writeAlone(first)];
    const db = this.#db;
    const results: unknown[] = [];
    try {
      this.#run('BEGIN IMMEDIATE');
      for (const { question, bytes } of writes) {
        this.#run('SAVEPOINT one');
        try {
          results.push(this.#apply(question, bytes));
        } catch (error) {
          // A full disk or an I/O error may have ended the whole transaction.
          if (!db.isTransaction) throw error;
          this.#run('ROLLBACK TO one');
          results.push(error instanceof Refusal ? error : unavailable(error));
        }
        this.#run('RELEASE one');
      }
      this.#run('COMMIT');
      return results;
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      return writes.map(() => unavailable(error));
    }
  }

  /** As most groups of audit events come: each statement that can be left out is felt in what a request costs. */
  #writeAlone({ question, bytes }: Write): unknown {
    // A statement is a transaction by itself.
    const isOneStatement = question.kind === 'append' && question.entries.length === 1 && question.takes.length === 0;
    try {
      if (!isOneStatement) this.#run('BEGIN IMMEDIATE');
      const result = this.#apply(question, bytes);
      if (!isOneStatement) this.#run('COMMIT');
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      return error instanceof Refusal ? error : unavailable(error);
    }
  }

  #apply(question: Question, bytes: ByteReader): unknown {
    switch (question.kind) {
      case 'commit':
        return this.#commit(question.space, question.changes, bytes);
      case 'append':
        return this.#append(question, bytes);
      case 'trimAudit':
        this.#run('DELETE FROM audit WHERE space = ? AND number <= ?', question.space, Number(question.upTo));
        return null;
      case 'ping':
        this.#run('UPDATE pulse SET beats = beats + 1');
        return null;
      default:
        return null;
    }
  }

  #commit(space: string, changes: readonly (PutWithoutBody | Delete)[], bytes: ByteReader): null {
    const seen = new Set<string>();
    const bodies = changes.map((change) => (change.kind === 'put' ? bytes.take(change.bodyBytes) : null));
    const numbers = changes.map(({ type, id, expectedRevision }, index) => {
      const found = this.#row('SELECT number, revision FROM record WHERE space = ? AND type = ? AND id = ?', [
        space,
        type,
        id,
      ]);
      const key = JSON.stringify([type, id]);
      if (seen.has(key) || (found?.revision ?? 0) !== expectedRevision) {
        throw new Refusal({ kind: 'revision_conflict', change: index });
      }
      seen.add(key);
      return found === undefined ? null : (found.number as number);
    });
    // Everything that the changed records held goes first, so that a name can pass from one to the other in one commit.
    for (const [index, number] of numbers.entries()) {
      if (number === null) continue;
      this.#run('DELETE FROM tag WHERE record = ?', number);
      this.#run('DELETE FROM name WHERE record = ?', number);
      if (changes[index]!.kind === 'delete') this.#run('DELETE FROM record WHERE number = ?', number);
    }
    for (const [index, change] of changes.entries()) {
      if (change.kind === 'put') this.#put(space, change, bodies[index]!, numbers[index]!);
    }
    return null;
  }

  #put(space: string, put: PutWithoutBody, body: Uint8Array, existing: number | null): void {
    const { type, id } = put;
    const number =
      existing ??
      Number(
        this.#statement('INSERT INTO record (space, type, id, revision, body) VALUES (?, ?, ?, 1, ?)').run(
          space,
          type,
          id,
          body,
        ).lastInsertRowid,
      );
    if (existing !== null) {
      this.#run('UPDATE record SET revision = revision + 1, body = ? WHERE number = ?', body, existing);
    }
    for (const tag of put.tags)
      this.#run('INSERT OR IGNORE INTO tag VALUES (?, ?, ?, ?, ?)', space, tag, type, id, number);
    for (const name of put.names) {
      const held = this.#row('SELECT record FROM name WHERE space = ? AND name = ?', [space, name]);
      if (held === undefined) this.#run('INSERT INTO name VALUES (?, ?, ?)', space, name, number);
      else if (held.record !== number) throw new Refusal({ kind: 'name_taken', name });
    }
  }

  #append(question: Extract<Question, { kind: 'append' }>, bytes: ByteReader): RateVerdict[] {
    const { space, entries, takes } = question;
    for (const { writer, sequence, hashBytes, bodyBytes } of entries) {
      const hash = bytes.take(hashBytes);
      const body = bytes.take(bodyBytes);
      this.#run(
        'INSERT INTO audit (space, writer, sequence, hash, body) VALUES (?, ?, ?, ?, ?)',
        space,
        writer,
        sequence,
        hash,
        body,
      );
    }
    if (takes.length === 0) return [];
    const now = Date.now();
    if (now - this.#sweptAt > sweepEveryMs || now < this.#sweptAt) {
      this.#run('DELETE FROM rate WHERE ends_at <= ?', now);
      this.#sweptAt = now;
    }
    return together(takes).flatMap((group) => this.#takeAll(space, group, now));
  }

  /** All are counted, or none. */
  #takeAll(space: string, takes: readonly RateTake[], now: number): RateVerdict[] {
    const held = new Map<string, { readonly take: RateTake; readonly endsAt: number; taken: number }>();
    const verdicts = takes.map((take) => {
      const { bucket, requests, perSeconds } = take;
      const key = `${perSeconds} ${bucket}`;
      const window = held.get(key) ?? { take, ...this.#look(space, take, now) };
      held.set(key, window);
      const allowed = window.taken < requests;
      if (allowed) window.taken++;
      return { allowed, retryAfterSeconds: allowed ? 0 : Math.ceil((window.endsAt - now) / 1000) };
    });
    if (verdicts.every(({ allowed }) => allowed)) {
      for (const { take, endsAt, taken } of held.values())
        this.#run(
          'INSERT OR REPLACE INTO rate VALUES (?, ?, ?, ?, ?)',
          space,
          take.bucket,
          take.perSeconds,
          endsAt,
          taken,
        );
    }
    return verdicts;
  }

  #look(space: string, { bucket, perSeconds }: RateTake, now: number): { readonly endsAt: number; taken: number } {
    const windowMs = perSeconds * 1000;
    const endsAt = (Math.floor(now / windowMs) + 1) * windowMs;
    const row = this.#row('SELECT ends_at, taken FROM rate WHERE space = ? AND bucket = ? AND per_seconds = ?', [
      space,
      bucket,
      perSeconds,
    ]);
    return { endsAt, taken: row?.ends_at === endsAt ? (row.taken as number) : 0 };
  }

  #get(space: string, type: string, id: string): StoredRecord | null {
    const row = this.#row('SELECT revision, body FROM record WHERE space = ? AND type = ? AND id = ?', [
      space,
      type,
      id,
    ]);
    return row === undefined ? null : { type, id, revision: row.revision as number, body: row.body as Uint8Array };
  }

  #findByName(space: string, name: string): RecordKey | null {
    const row = this.#row(
      'SELECT type, id FROM name JOIN record ON record.number = name.record WHERE name.space = ? AND name = ?',
      [space, name],
    );
    return row === undefined ? null : { type: row.type as string, id: row.id as string };
  }

  #list({ space, type, tag, after, offset, order, limit }: ListQuery): RecordPage {
    const table = tag === undefined ? 'record' : 'tag JOIN record ON record.number = tag.record';
    const from = tag === undefined ? 'record' : 'tag';
    const narrow = tag === undefined ? '' : ' AND tag.tag = ?';
    const where = `${from}.space = ? AND ${from}.type = ?${narrow}`;
    const values = [space, type, ...(tag === undefined ? [] : [tag])];
    const total = this.#row(`SELECT COUNT(*) AS total FROM ${from} WHERE ${where}`, values);
    const descending = order === 'descending';
    const beyond = after === undefined ? '' : ` AND ${from}.id ${descending ? '<' : '>'} ?`;
    const rows = this.#statement(
      `SELECT record.id AS id, revision, body FROM ${table} WHERE ${where}${beyond}
       ORDER BY ${from}.id ${descending ? 'DESC' : 'ASC'} LIMIT ? OFFSET ?`,
    ).all(...values, ...(after === undefined ? [] : [after]), Math.max(limit, 0), offset ?? 0);
    return {
      records: rows.map((row) => ({
        type,
        id: row.id as string,
        revision: row.revision as number,
        body: row.body as Uint8Array,
      })),
      total: total?.total as number,
    };
  }

  #findByTags(space: string, tags: readonly string[], limit: number): RecordKey[] {
    const rows = this.#statement(
      `SELECT DISTINCT type, id FROM tag WHERE space = ? AND tag IN (SELECT value FROM json_each(?))
       ORDER BY type, id LIMIT ?`,
    ).all(space, JSON.stringify(tags), Math.max(limit, 0));
    return rows.map((row) => ({ type: row.type as string, id: row.id as string }));
  }

  #readAudit({ space, after, including, order, limit }: AuditQuery): StoredAuditEntry[] {
    const descending = order === 'descending';
    const beyond = after === undefined ? '' : ` AND number ${descending ? '<' : '>'}${including ? '=' : ''} ?`;
    const rows = this.#statement(
      `SELECT number, writer, sequence, hash, body FROM audit WHERE space = ?${beyond}
       ORDER BY number ${descending ? 'DESC' : 'ASC'} LIMIT ?`,
    ).all(space, ...(after === undefined ? [] : [Number(after)]), Math.max(limit, 0));
    return rows.map((row) => ({
      cursor: String(row.number),
      writer: row.writer as string,
      sequence: row.sequence as number,
      hash: row.hash as Uint8Array,
      body: row.body as Uint8Array,
    }));
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #row(sql: string, values: readonly (string | number)[]): Record<string, unknown> | undefined {
    return this.#statement(sql).get(...values);
  }

  #run(sql: string, ...values: (string | number | Uint8Array)[]): void {
    this.#statement(sql).run(...values);
  }
}

/** SQLite would create the file with the umask's mode, and gives its journal the mode of the file. */
function createPrivately(path: string): void {
  try {
    // `wx` never opens a file that is there: closing any descriptor of it would drop the lock that this process may
    // already hold on it (POSIX locks belong to the process).
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    chmodSync(path, 0o600);
  }
}

/** The takes of each request. */
function together(takes: readonly RateTake[]): RateTake[][] {
  const groups: RateTake[][] = [];
  for (const take of takes) {
    const last = groups.at(-1);
    if (take.withPrevious === true && last !== undefined) last.push(take);
    else groups.push([take]);
  }
  return groups;
}

function migrate(db: DatabaseSync): void {
  const version = db.prepare('PRAGMA user_version').get()?.user_version as number;
  const application = db.prepare('PRAGMA application_id').get()?.application_id as number;
  const objects = db.prepare('SELECT COUNT(*) AS count FROM sqlite_schema').get()?.count as number;
  if (application !== applicationId && (version !== 0 || objects !== 0)) {
    throw new Error('it is a database of another program');
  }
  if (version > migrations.length) throw new Error('it was written by a newer version of Alter Egress');
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue;
    db.exec(`BEGIN IMMEDIATE; ${migration}; PRAGMA user_version = ${index + 1};
      PRAGMA application_id = ${applicationId}; COMMIT`);
  }
}

const sqliteBusy = 5;

function describeOpenFailure(error: unknown, ownerFile: string): string {
  if ((error as { errcode?: number }).errcode !== sqliteBusy) return messageOf(error);
  const pid = findOwner(ownerFile);
  return `it is in use by ${pid === null ? 'another process' : `the process with pid ${pid}`}; only one process may own it`;
}

function findOwner(ownerFile: string): number | null {
  try {
    const pid = Number.parseInt(readFileSync(ownerFile, 'utf8'), 10);
    return pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

function unavailable(error: unknown): Refusal {
  return new Refusal({ kind: 'unavailable', message: messageOf(error) });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const writing: ReadonlySet<Question['kind']> = new Set(['commit', 'append', 'trimAudit', 'ping']);

function isWrite(question: Question): boolean {
  return writing.has(question.kind);
}

function countBytes(question: Question): number {
  if (question.kind === 'append') {
    return question.entries.reduce((sum, { hashBytes, bodyBytes }) => sum + hashBytes + bodyBytes, 0);
  }
  if (question.kind !== 'commit') return 0;
  return question.changes.reduce((sum, change) => sum + (change.kind === 'put' ? change.bodyBytes : 0), 0);
}

function serve(port: MessagePort, database: Database): void {
  port.on('message', (message: Batch) => {
    // Everything that came in while the last fsync was under way shares the next one.
    const batches = [message];
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      batches.push(next.message as Batch);
    }
    const answers: Answer[] = [];
    const writes: { number: number; question: Question; bytes: ByteReader }[] = [];
    let closing: number | null = null;
    for (const batch of batches) {
      const bytes = new ByteReader(batch.bytes);
      for (const [index, question] of batch.questions.entries()) {
        const number = batch.first + index;
        if (isWrite(question)) {
          // Cut off here, so that a write that fails half-way never shifts the bytes of the next.
          writes.push({ number, question, bytes: new ByteReader(bytes.take(countBytes(question))) });
        } else if (question.kind === 'close') {
          closing = number;
        } else {
          answers.push(answerRead(database, number, question));
        }
      }
    }
    // Reads don't wait for the fsync, and never see what might still fail to become durable.
    if (answers.length > 0) port.postMessage(answers);
    if (writes.length > 0) {
      const results = database.write(writes);
      port.postMessage(
        writes.map(({ number }, index): Answer => {
          const result = results[index];
          return result instanceof Refusal ? { number, failure: result.failure } : { number, value: result };
        }),
      );
    }
    if (closing !== null) {
      database.close();
      port.postMessage([{ number: closing, value: null }] satisfies Answer[]);
      port.close();
    }
  });
}

function answerRead(database: Database, number: number, question: Question): Answer {
  try {
    return { number, value: database.read(question) };
  } catch (error) {
    return { number, failure: { kind: 'unavailable', message: messageOf(error) } };
  }
}

function start(port: MessagePort): void {
  try {
    const database = new Database((workerData as { path: string }).path);
    serve(port, database);
    port.postMessage({ opened: true } satisfies Opened);
  } catch (error) {
    port.postMessage({ opened: false, message: messageOf(error) } satisfies Opened);
    port.close();
  }
}

if (parentPort !== null) start(parentPort);
