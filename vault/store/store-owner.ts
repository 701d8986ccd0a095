import { toAlterError } from '../../core/errors.ts';
import {
  type AuditEntry,
  type AuditQuery,
  type Change,
  type ListQuery,
  NameTaken,
  type RateTake,
  RevisionConflict,
  type Store,
  type Watch,
  type Watcher,
} from './store.ts';
import {
  isStoreMessage,
  monotonicOffsetMs,
  type News,
  type OwnerNews,
  type RemoteBatch,
  type RemoteFailure,
  type RemoteQuestion,
  type StoreChannel,
} from './store-messages.ts';

/**
 * A commit waits at most so long for another process to hear of it. One that takes longer is stopped or dead; what it may
 * still serve from memory ends with ALTER_MAX_STALENESS.
 */
const heardWithinMs = 250;

/**
 * Lets other processes of this machine use a store that only one may open. It is itself the store for the process that owns
 * it: a commit, of whichever process, resolves when all of them were told, so that a revocation that was acknowledged
 * holds in every one.
 */
export class StoreOwner implements Store {
  readonly #store: Store;
  readonly #remotes = new Map<string, Remote>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Serves the other end of the channel, until it closes. */
  serve(channel: StoreChannel): void {
    const own = new Set<string>();
    channel.onMessage((message) => {
      if (!isStoreMessage(message) || message.store === 'news') return;
      let remote = this.#remotes.get(message.remote);
      if (remote === undefined) {
        own.add(message.remote);
        remote = new Remote(message.remote, this, this.#store, channel);
        this.#remotes.set(message.remote, remote);
      }
      if (message.store === 'questions') remote.answer(message);
      else remote.received(message.number);
    });
    channel.onClose(() => {
      for (const name of own) {
        this.#remotes.get(name)?.close();
        this.#remotes.delete(name);
      }
    });
  }

  async commit(space: string, changes: readonly Change[]): Promise<void> {
    await this.#store.commit(space, changes);
    const listening = [...this.#remotes.values()].filter((remote) => remote.watches(space));
    if (listening.length > 0) await Promise.all(listening.map((remote) => remote.hears()));
  }

  get(...of: Parameters<Store['get']>): ReturnType<Store['get']> {
    return this.#store.get(...of);
  }

  findByName(space: string, names: readonly string[]): ReturnType<Store['findByName']> {
    return this.#store.findByName(space, names);
  }

  list(query: ListQuery): ReturnType<Store['list']> {
    return this.#store.list(query);
  }

  findByTags(space: string, tags: readonly string[], limit: number): ReturnType<Store['findByTags']> {
    return this.#store.findByTags(space, tags, limit);
  }

  append(space: string, entries: readonly AuditEntry[], takes: readonly RateTake[]): ReturnType<Store['append']> {
    return this.#store.append(space, entries, takes);
  }

  readAudit(query: AuditQuery): ReturnType<Store['readAudit']> {
    return this.#store.readAudit(query);
  }

  trimAudit(space: string, upTo: string): Promise<void> {
    return this.#store.trimAudit(space, upTo);
  }

  watch(space: string, watcher: Watcher): Promise<Watch> {
    return this.#store.watch(space, watcher);
  }

  ping(): Promise<void> {
    return this.#store.ping();
  }

  async close(): Promise<void> {
    for (const remote of this.#remotes.values()) remote.close();
    this.#remotes.clear();
    await this.#store.close();
  }
}

/** One user of the store in another process. */
class Remote {
  readonly #name: string;
  readonly #owner: Store;
  readonly #store: Store;
  readonly #channel: StoreChannel;
  readonly #watches = new Map<string, Promise<Watch>>();
  readonly #receipts = new Map<number, () => void>();
  #outbox: News[] = [];
  #lastReceipt = 0;
  #closed = false;

  constructor(name: string, owner: Store, store: Store, channel: StoreChannel) {
    this.#name = name;
    this.#owner = owner;
    this.#store = store;
    this.#channel = channel;
  }

  answer({ first, questions }: RemoteBatch): void {
    questions.forEach((question, index) => {
      const number = first + index;
      this.#answerOne(question).then(
        (value) => this.#tell({ kind: 'answer', number, value }),
        (error: unknown) => this.#tell({ kind: 'answer', number, failure: toFailure(error) }),
      );
    });
  }

  watches(space: string): boolean {
    return this.#watches.has(space);
  }

  /** Resolves when the other process has taken note of everything that it was told, is gone, or takes too long. */
  hears(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const number = ++this.#lastReceipt;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.received(number), heardWithinMs);
      this.#receipts.set(number, () => {
        clearTimeout(timer);
        resolve();
      });
      this.#tell({ kind: 'receipt', number });
    });
  }

  received(number: number): void {
    this.#receipts.get(number)?.();
    this.#receipts.delete(number);
  }

  close(): void {
    this.#closed = true;
    for (const space of this.#watches.keys()) this.#unwatch(space);
    for (const number of [...this.#receipts.keys()]) this.received(number);
  }

  async #answerOne(question: RemoteQuestion): Promise<unknown> {
    const store = this.#owner;
    switch (question.kind) {
      case 'get':
        return store.get(question.space, question.keys);
      case 'findByName':
        return store.findByName(question.space, question.names);
      case 'list':
        return store.list(question.query);
      case 'findByTags':
        return store.findByTags(question.space, question.tags, question.limit);
      case 'commit':
        await store.commit(question.space, question.changes);
        return null;
      case 'append':
        return store.append(question.space, question.entries, question.takes);
      case 'readAudit':
        return store.readAudit(question.query);
      case 'trimAudit':
        await store.trimAudit(question.space, question.upTo);
        return null;
      case 'watch':
        await this.#watch(question.space);
        return null;
      case 'unwatch':
        this.#unwatch(question.space);
        return null;
      case 'ping':
        await store.ping();
        return null;
    }
  }

  #watch(space: string): Promise<Watch> {
    const found = this.#watches.get(space);
    if (found !== undefined) return found;
    const watch = this.#store.watch(space, {
      onChange: ({ type, id }) => this.#tell({ kind: 'change', space, key: { type, id } }),
      onReset: () => this.#tell({ kind: 'reset', space }),
      onContact: (at) => this.#tell({ kind: 'contact', space, at: at + monotonicOffsetMs }),
    });
    this.#watches.set(space, watch);
    watch.catch(() => this.#watches.delete(space)); // whoever asked is told
    return watch;
  }

  #unwatch(space: string): void {
    const watch = this.#watches.get(space);
    this.#watches.delete(space);
    watch?.then(
      (begun) => begun.stop(),
      () => {},
    );
  }

  /** One message for everything that came about in this tick. */
  #tell(news: News): void {
    if (this.#closed) return;
    if (this.#outbox.length === 0) queueMicrotask(() => this.#flush());
    this.#outbox.push(news);
  }

  #flush(): void {
    const news = this.#outbox;
    this.#outbox = [];
    const message: OwnerNews = { store: 'news', remote: this.#name, news };
    if (!this.#closed) this.#channel.send(message);
  }
}

function toFailure(error: unknown): RemoteFailure {
  if (error instanceof RevisionConflict) {
    const { type, id } = error.key;
    return { kind: 'revision_conflict', key: { type, id } };
  }
  if (error instanceof NameTaken) return { kind: 'name_taken', name: error.taken };
  const known = toAlterError(error);
  if (known.code === 'validation_failed') return { kind: 'validation_failed', problems: known.problems ?? [] };
  return { kind: 'unavailable', message: (error as Error).message };
}
