import { extname, resolve as resolvePath } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AlterError } from '../../core/errors.ts';
import {
  type AuditEntry,
  type AuditQuery,
  type Change,
  type Delete,
  type ListQuery,
  NameTaken,
  type RateTake,
  type RateVerdict,
  type RecordKey,
  type RecordPage,
  RevisionConflict,
  type Store,
  type StoredAuditEntry,
  type StoredRecord,
  StoreUnavailable,
  type Watch,
  type Watcher,
} from './store.ts';
import type { Answer, AnswerOf, Batch, Failure, Opened, PutWithoutBody, Question } from './store-sqlite-worker.ts';
import { Watchers } from './watchers.ts';

/** A disk that hangs must not pile up requests: beyond this they are refused at once. */
const maxUnanswered = 10_000;

/** A request that waits longer than this for the disk is told that nothing is known about it. */
const answerWithinMs = 10_000;

const contactEveryMs = 250;

/** `.ts` from the source (Node strips the types), `.js` from `dist`. */
const workerUrl = new URL(`./store-sqlite-worker${extname(import.meta.url)}`, import.meta.url);

/**
 * Opens, or creates, the SQLite file at `path` and owns it until `close`. Throws {@link StoreUnavailable}, naming the path,
 * where that can't be done; where another process owns it, naming its pid.
 */
export async function openSqliteStore(options: { readonly path: string }): Promise<Store> {
  const path = resolvePath(options.path);
  // No environment: it may hold the root key, and this thread has no use for it.
  const worker = new Worker(workerUrl, { workerData: { path }, env: {}, name: 'sqlite' });
  const opened = await new Promise<Opened>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  }).catch((error: Error): Opened => ({ opened: false, message: error.message }));
  if (!opened.opened) {
    await worker.terminate();
    throw new StoreUnavailable(`cannot open ${path}: ${opened.message}`);
  }
  return new SqliteStore(path, worker);
}

interface Pending {
  readonly question: Question;
  readonly askedAt: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

class SqliteStore implements Store {
  readonly #path: string;
  readonly #worker: Worker;
  readonly #unanswered = new Map<number, Pending>();
  readonly #watchers = new Map<string, Watchers>();
  readonly #timer: NodeJS.Timeout;
  #outbox: { readonly question: Question; readonly bytes: readonly Uint8Array[] }[] = [];
  #next = 0;
  /** Why nothing can be asked any more. */
  #ended: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(path: string, worker: Worker) {
    this.#path = path;
    this.#worker = worker;
    worker.removeAllListeners('error');
    worker.on('message', (answers: readonly Answer[]) => this.#receive(answers));
    worker.on('error', (error: Error) => this.#end(`its thread failed: ${error.message}`));
    worker.on('exit', () => this.#end('its thread has ended'));
    this.#timer = setInterval(() => this.#tick(), contactEveryMs);
    this.#timer.unref();
  }

  async get(space: string, keys: readonly RecordKey[]): Promise<(StoredRecord | null)[]> {
    return this.#ask({ kind: 'get', space, keys: keys.map(({ type, id }) => ({ type, id })) });
  }

  async findByName(space: string, names: readonly string[]): Promise<(RecordKey | null)[]> {
    return this.#ask({ kind: 'findByName', space, names });
  }

  async list(query: ListQuery): Promise<RecordPage> {
    return this.#ask({ kind: 'list', query });
  }

  async findByTags(space: string, tags: readonly string[], limit: number): Promise<RecordKey[]> {
    return this.#ask({ kind: 'findByTags', space, tags, limit });
  }

  async commit(space: string, changes: readonly Change[]): Promise<void> {
    const bytes: Uint8Array[] = [];
    // Field by field, here and below: what else the caller's objects hold has no business in another thread.
    const bare = changes.map((change): PutWithoutBody | Delete => {
      const { kind, type, id, expectedRevision } = change;
      if (kind === 'delete') return { kind, type, id, expectedRevision };
      const { body, tags, names } = change;
      bytes.push(body);
      return { kind, type, id, expectedRevision, tags, names, bodyBytes: body.byteLength };
    });
    await this.#ask({ kind: 'commit', space, changes: bare }, bytes);
  }

  async append(space: string, entries: readonly AuditEntry[], takes: readonly RateTake[]): Promise<RateVerdict[]> {
    const bytes: Uint8Array[] = [];
    const bare = entries.map(({ writer, sequence, hash, body }) => {
      bytes.push(hash, body);
      return { writer, sequence, hashBytes: hash.byteLength, bodyBytes: body.byteLength };
    });
    const bareTakes = takes.map(({ bucket, requests, perSeconds, withPrevious = false }) => ({
      bucket,
      requests,
      perSeconds,
      withPrevious,
    }));
    return this.#ask({ kind: 'append', space, entries: bare, takes: bareTakes }, bytes);
  }

  async readAudit(query: AuditQuery): Promise<StoredAuditEntry[]> {
    if (query.after !== undefined) requireCursor(query.after);
    return this.#ask({ kind: 'readAudit', query });
  }

  async trimAudit(space: string, upTo: string): Promise<void> {
    requireCursor(upTo);
    await this.#ask({ kind: 'trimAudit', space, upTo });
  }

  /** The only owner learns of every change from its own commits, so the feed needs no table. */
  async watch(space: string, watcher: Watcher): Promise<Watch> {
    const watchers = this.#watchers.get(space) ?? new Watchers();
    watchers.add(watcher);
    this.#watchers.set(space, watchers);
    const stop = (): void => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(space) === watchers) this.#watchers.delete(space);
    };
    try {
      await this.#makeContact();
    } catch (error) {
      stop();
      throw error;
    }
    return { stop };
  }

  async ping(): Promise<void> {
    await this.#ask({ kind: 'ping' });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#ended !== null) return;
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    const flushed = this.#ask({ kind: 'close' });
    this.#ended = 'it is closed';
    clearInterval(this.#timer);
    await flushed.catch(() => this.#worker.terminate());
    await exited;
    this.#watchers.clear();
  }

  #ask<Kind extends keyof AnswerOf>(
    question: Extract<Question, { kind: Kind }>,
    bytes: readonly Uint8Array[] = [],
  ): Promise<AnswerOf[Kind]> {
    if (this.#ended !== null) return Promise.reject(this.#unavailable(this.#ended));
    if (this.#unanswered.size >= maxUnanswered) {
      return Promise.reject(this.#unavailable(`${maxUnanswered} requests are waiting for it`));
    }
    return new Promise((resolve, reject) => {
      const number = this.#next + this.#outbox.length;
      if (this.#outbox.length === 0) queueMicrotask(() => this.#flush());
      this.#outbox.push({ question, bytes });
      this.#unanswered.set(number, {
        question,
        askedAt: performance.now(),
        resolve: resolve as (value: unknown) => void,
        reject,
      });
    });
  }

  /** One message for everything that was asked in this tick. */
  #flush(): void {
    const outbox = this.#outbox;
    this.#outbox = [];
    let length = 0;
    for (const { bytes } of outbox) for (const piece of bytes) length += piece.byteLength;
    const packed = new Uint8Array(length);
    let at = 0;
    for (const { bytes } of outbox) {
      for (const piece of bytes) {
        packed.set(piece, at);
        at += piece.byteLength;
      }
    }
    const batch: Batch = { first: this.#next, questions: outbox.map(({ question }) => question), bytes: packed };
    this.#next += outbox.length;
    this.#worker.postMessage(batch, [packed.buffer]);
  }

  #receive(answers: readonly Answer[]): void {
    for (const { number, value, failure } of answers) {
      const pending = this.#unanswered.get(number);
      if (pending === undefined) continue;
      this.#unanswered.delete(number);
      if (failure !== undefined) {
        pending.reject(this.#toError(failure, pending.question));
        continue;
      }
      // Before the commit resolves: whoever made it must not be served from what it replaced.
      if (pending.question.kind === 'commit') this.#publish(pending.question);
      pending.resolve(value);
    }
  }

  #publish(commit: Extract<Question, { kind: 'commit' }>): void {
    const watchers = this.#watchers.get(commit.space);
    if (watchers === undefined) return;
    for (const { type, id } of commit.changes) watchers.tellChange({ type, id });
  }

  async #makeContact(): Promise<void> {
    const at = performance.now();
    await this.#ask({ kind: 'contact' });
    for (const watchers of this.#watchers.values()) watchers.tellContact(at);
  }

  #tick(): void {
    // No contact is no error here: that it stays away is what the watchers measure.
    if (this.#watchers.size > 0) this.#makeContact().catch(() => undefined);
    const now = performance.now();
    for (const pending of this.#unanswered.values()) {
      if (now - pending.askedAt < answerWithinMs) break;
      // Stays in the map, so that a commit that succeeds late is still published and the bound counts it.
      pending.reject(this.#unavailable(`no answer within ${answerWithinMs} ms`));
    }
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    clearInterval(this.#timer);
    const pending = [...this.#unanswered.values()];
    this.#unanswered.clear();
    for (const { reject } of pending) reject(this.#unavailable(reason));
  }

  #toError(failure: Failure, question: Question): Error {
    if (failure.kind === 'revision_conflict' && question.kind === 'commit') {
      const { type, id } = question.changes[failure.change]!;
      return new RevisionConflict({ type, id });
    }
    if (failure.kind === 'name_taken') return new NameTaken(failure.name);
    return this.#unavailable(failure.kind === 'unavailable' ? failure.message : failure.kind);
  }

  #unavailable(reason: string): StoreUnavailable {
    return new StoreUnavailable(`the store ${this.#path} is unavailable: ${reason}`);
  }
}

/** Throws `validation_failed`. */
function requireCursor(cursor: string): void {
  if (/^[0-9]{1,15}$/.test(cursor)) return;
  throw new AlterError('validation_failed', {
    problems: [{ field: 'after', message: 'is not a cursor of this audit log' }],
  });
}
