import { randomUUID } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import {
  type AuditEntry,
  type AuditQuery,
  type Change,
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
import {
  isStoreMessage,
  monotonicOffsetMs,
  type News,
  type RemoteAnswerOf,
  type RemoteBatch,
  type RemoteFailure,
  type RemoteQuestion,
  type RemoteReceipt,
  type StoreChannel,
} from './store-messages.ts';
import { Watchers } from './watchers.ts';

/** An owner that hangs must not pile up requests: beyond this they are refused at once. */
const maxUnanswered = 10_000;
const answerWithinMs = 10_000;
const lookEveryMs = 250;

interface Pending {
  readonly askedAt: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Watched {
  readonly watchers: Watchers;
  readonly begun: Promise<unknown>;
}

/** The store of another process of this machine, which serves it with a {@link StoreOwner} on the other end of the channel. */
export function openRemoteStore(channel: StoreChannel): Store {
  return new RemoteStore(channel);
}

class RemoteStore implements Store {
  readonly #channel: StoreChannel;
  readonly #name = randomUUID();
  readonly #unanswered = new Map<number, Pending>();
  readonly #watched = new Map<string, Watched>();
  readonly #timer: NodeJS.Timeout;
  #outbox: RemoteQuestion[] = [];
  #next = 0;
  /** Why nothing can be asked any more. */
  #ended: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(channel: StoreChannel) {
    this.#channel = channel;
    channel.onMessage((message) => {
      if (!isStoreMessage(message) || message.store !== 'news' || message.remote !== this.#name) return;
      for (const one of message.news) this.#hear(one);
    });
    channel.onClose(() => this.#end('the process that owns it is gone'));
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
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
    // Field by field, here and below: what else the caller's objects hold has no business in another process.
    const bare = changes.map((change): Change => {
      const { kind, type, id, expectedRevision } = change;
      if (kind === 'delete') return { kind, type, id, expectedRevision };
      const { body, tags, names } = change;
      return { kind, type, id, expectedRevision, body, tags, names };
    });
    await this.#ask({ kind: 'commit', space, changes: bare });
  }

  async append(space: string, entries: readonly AuditEntry[], takes: readonly RateTake[]): Promise<RateVerdict[]> {
    return this.#ask({
      kind: 'append',
      space,
      entries: entries.map(({ writer, sequence, hash, body }) => ({ writer, sequence, hash, body })),
      takes: takes.map(({ bucket, requests, perSeconds, withPrevious = false }) => ({
        bucket,
        requests,
        perSeconds,
        withPrevious,
      })),
    });
  }

  async readAudit(query: AuditQuery): Promise<StoredAuditEntry[]> {
    return this.#ask({ kind: 'readAudit', query });
  }

  async trimAudit(space: string, upTo: string): Promise<void> {
    await this.#ask({ kind: 'trimAudit', space, upTo });
  }

  async watch(space: string, watcher: Watcher): Promise<Watch> {
    const watched = this.#watched.get(space) ?? {
      watchers: new Watchers(),
      begun: this.#ask({ kind: 'watch', space }),
    };
    this.#watched.set(space, watched);
    watched.watchers.add(watcher);
    const stop = (): void => {
      watched.watchers.delete(watcher);
      if (watched.watchers.size > 0 || this.#watched.get(space) !== watched) return;
      this.#watched.delete(space);
      this.#ask({ kind: 'unwatch', space }).catch(() => {}); // an owner that is gone watches nothing
    };
    try {
      await watched.begun;
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
    const last = [...this.#watched.keys()].map((space) => this.#ask({ kind: 'unwatch', space }));
    this.#watched.clear();
    const flushed = this.#ask({ kind: 'ping' }); // the owner answers in order of completion, not of asking
    this.#ended = 'it is closed';
    await Promise.allSettled([...last, flushed, ...this.#underWay()]);
    clearInterval(this.#timer);
  }

  #underWay(): Promise<void>[] {
    return [...this.#unanswered].map(
      ([number, pending]) =>
        new Promise<void>((resolve) => {
          const settled = (settle: (value: never) => void) => (value: never) => {
            settle(value);
            resolve();
          };
          this.#unanswered.set(number, {
            askedAt: pending.askedAt,
            resolve: settled(pending.resolve) as Pending['resolve'],
            reject: settled(pending.reject) as Pending['reject'],
          });
        }),
    );
  }

  #ask<Kind extends keyof RemoteAnswerOf>(
    question: Extract<RemoteQuestion, { kind: Kind }>,
  ): Promise<RemoteAnswerOf[Kind]> {
    if (this.#ended !== null) return Promise.reject(unavailable(this.#ended));
    if (this.#unanswered.size >= maxUnanswered)
      return Promise.reject(unavailable(`${maxUnanswered} requests are waiting for it`));
    return new Promise((resolve, reject) => {
      if (this.#outbox.length === 0) queueMicrotask(() => this.#flush());
      const number = this.#next + this.#outbox.length;
      this.#outbox.push(question);
      this.#unanswered.set(number, {
        askedAt: performance.now(),
        resolve: resolve as (value: unknown) => void,
        reject,
      });
    });
  }

  /** One message for everything that was asked in this tick. */
  #flush(): void {
    const questions = this.#outbox;
    this.#outbox = [];
    const batch: RemoteBatch = { store: 'questions', remote: this.#name, first: this.#next, questions };
    this.#next += questions.length;
    this.#channel.send(batch);
  }

  #hear(news: News): void {
    switch (news.kind) {
      case 'answer': {
        const pending = this.#unanswered.get(news.number);
        this.#unanswered.delete(news.number);
        if (news.failure === undefined) pending?.resolve(news.value);
        else pending?.reject(toError(news.failure));
        return;
      }
      case 'change':
        this.#watched.get(news.space)?.watchers.tellChange(news.key);
        return;
      case 'reset':
        this.#watched.get(news.space)?.watchers.tellReset();
        return;
      case 'contact':
        this.#watched.get(news.space)?.watchers.tellContact(news.at - monotonicOffsetMs);
        return;
      case 'receipt': {
        const receipt: RemoteReceipt = { store: 'receipt', remote: this.#name, number: news.number };
        this.#channel.send(receipt);
      }
    }
  }

  #look(): void {
    const now = performance.now();
    for (const [number, pending] of this.#unanswered) {
      if (now - pending.askedAt < answerWithinMs) break;
      this.#unanswered.delete(number);
      pending.reject(unavailable(`no answer within ${answerWithinMs} ms`));
    }
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    clearInterval(this.#timer);
    const pending = [...this.#unanswered.values()];
    this.#unanswered.clear();
    for (const { reject } of pending) reject(unavailable(reason));
  }
}

function toError(failure: RemoteFailure): Error {
  switch (failure.kind) {
    case 'revision_conflict':
      return new RevisionConflict(failure.key);
    case 'name_taken':
      return new NameTaken(failure.name);
    case 'validation_failed':
      return new AlterError('validation_failed', { problems: failure.problems });
    case 'unavailable':
      return new StoreUnavailable(failure.message);
  }
}

function unavailable(reason: string): StoreUnavailable {
  return new StoreUnavailable(`the store is unavailable: ${reason}`);
}
