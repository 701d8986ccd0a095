import {
  type AuditEntry,
  type AuditQuery,
  type Change,
  type ListQuery,
  type RateTake,
  type RateVerdict,
  type RecordKey,
  type RecordPage,
  type Store,
  type StoredAuditEntry,
  type StoredRecord,
  StoreUnavailable,
  type Watch,
  type Watcher,
} from '../../vault/store/store.ts';

/** A real store in the hands of somebody else: it gives other records than were written, fails, or answers late. */
export class HostileStore implements Store {
  /** By {@link placeOf}: what `get` and `list` give instead. */
  readonly forged = new Map<string, StoredRecord | null>();
  /** What the indexes give instead. */
  forgedNames: (RecordKey | null)[] | null = null;
  forgedTags: RecordKey[] | null = null;
  down = false;
  /** Appends happen, but their answer is lost. */
  losesAnswers = false;
  /** The feed tells of nothing, as one that is late. */
  withholdsChanges = false;
  /** Awaited between reading and answering. */
  beforeAnswer: (() => Promise<void>) | null = null;
  readonly appended: { space: string; entries: readonly AuditEntry[] }[] = [];
  gets = 0;
  tagQueries = 0;
  readonly watchers = new Map<string, Watcher>();
  readonly #real: Store;

  constructor(real: Store) {
    this.#real = real;
  }

  async get(space: string, keys: readonly RecordKey[]): Promise<(StoredRecord | null)[]> {
    this.gets++;
    this.#requireUp();
    const records = await this.#real.get(space, keys);
    const given = records.map((record, index) => this.#forge(space, keys[index]!, record));
    await this.beforeAnswer?.();
    return given;
  }

  async findByName(space: string, names: readonly string[]): Promise<(RecordKey | null)[]> {
    this.#requireUp();
    return this.forgedNames ?? this.#real.findByName(space, names);
  }

  async list(query: ListQuery): Promise<RecordPage> {
    this.#requireUp();
    const page = await this.#real.list(query);
    const records = page.records.map((record) => this.#forge(query.space, record, record) ?? record);
    return { records, total: page.total };
  }

  async findByTags(space: string, tags: readonly string[], limit: number): Promise<RecordKey[]> {
    this.tagQueries++;
    this.#requireUp();
    return this.forgedTags ?? this.#real.findByTags(space, tags, limit);
  }

  async commit(space: string, changes: readonly Change[]): Promise<void> {
    this.#requireUp();
    await this.#real.commit(space, changes);
  }

  async append(space: string, entries: readonly AuditEntry[], takes: readonly RateTake[]): Promise<RateVerdict[]> {
    this.#requireUp();
    this.appended.push({ space, entries });
    const verdicts = await this.#real.append(space, entries, takes);
    await this.beforeAnswer?.();
    if (this.losesAnswers) throw new StoreUnavailable('the answer was lost');
    return verdicts;
  }

  async readAudit(query: AuditQuery): Promise<StoredAuditEntry[]> {
    this.#requireUp();
    return this.#real.readAudit(query);
  }

  async trimAudit(space: string, upTo: string): Promise<void> {
    this.#requireUp();
    await this.#real.trimAudit(space, upTo);
  }

  async watch(space: string, watcher: Watcher): Promise<Watch> {
    this.#requireUp();
    this.watchers.set(space, watcher);
    return this.#real.watch(space, {
      onChange: (key) => {
        if (!this.withholdsChanges) watcher.onChange(key);
      },
      onReset: () => watcher.onReset(),
      onContact: (at) => {
        if (!this.down) watcher.onContact(at);
      },
    });
  }

  async ping(): Promise<void> {
    this.#requireUp();
    await this.#real.ping();
  }

  close(): Promise<void> {
    return this.#real.close();
  }

  #requireUp(): void {
    if (this.down) throw new StoreUnavailable('down for the test');
  }

  #forge(space: string, key: RecordKey, record: StoredRecord | null): StoredRecord | null {
    const forged = this.forged.get(placeOf(space, key));
    return forged === undefined ? record : forged;
  }
}

export function placeOf(space: string, key: RecordKey): string {
  return `${space} ${key.type} ${key.id}`;
}
