import { AlterError } from '../../core/errors.ts';
import { appKeyType, systemSpace, wrappingContext } from '../keys/keyring.ts';
import { unwrapKey } from '../keys/wrapped-key.ts';
import { entryKind } from '../records/app-repository.ts';
import { keyOwnerKind } from '../records/key-repository.ts';
import { findRecordKind, isAboutAudit, isTransient, recordTypes } from '../records/record-kinds.ts';
import { openRecord } from '../records/sealed-records.ts';
import { webhookOwnerKind } from '../records/webhook-repository.ts';
import type { StoredRecord } from '../store/store.ts';
import { fromStoreFailure } from '../store/store-failure.ts';
import type { Vault } from '../vault.ts';
import { BackupSeal } from './backup-lines.ts';

const pageSize = 200;
const lineBytes = 64 * 1024;
const maxAttempts = 5;
/** What the system space says of an app. */
const typesOfApp: readonly string[] = [
  appKeyType,
  ...[entryKind, keyOwnerKind, webhookOwnerKind].map(({ type }) => type),
];

/**
 * Writes everything that the store has sealed, or what there is of one app, without the audit: line by line, each when it is
 * asked for.
 */
export class BackupWriter {
  readonly seal: BackupSeal;
  /** Records that are in the lines so far. */
  records = 0;
  readonly #vault: Vault;
  readonly #lines: AsyncGenerator<{ readonly line: string; readonly done: boolean }, void>;
  #next = 0;
  #last: { readonly index: number; readonly line: string; readonly done: boolean } | null = null;

  static async open(vault: Vault, now: number, appId: string | null = null): Promise<BackupWriter> {
    return new BackupWriter(vault, await BackupSeal.issue(vault.kms, now, appId));
  }

  private constructor(vault: Vault, seal: BackupSeal) {
    this.#vault = vault;
    this.seal = seal;
    this.#lines = this.#write();
  }

  /**
   * The line of this place: the next one, or again the one before. Rejects with `state_invalid` where a record can't be
   * opened, `state_rollback`, `conflict` where the state changes faster than it is read, and `not_found` for another place.
   */
  async line(index: number): Promise<{ readonly line: string; readonly done: boolean }> {
    if (this.#last?.index === index) return this.#last;
    if (index !== this.#next) throw new AlterError('not_found', { detail: 'The lines are given in their order.' });
    try {
      const { value } = await this.#lines.next();
      if (value === undefined) throw new AlterError('not_found', { detail: 'The backup has no more lines.' });
      this.#last = { index, ...value };
      this.#next++;
      return this.#last;
    } catch (error) {
      throw fromStoreFailure(error);
    }
  }

  async *#write(): AsyncGenerator<{ readonly line: string; readonly done: boolean }, void> {
    const spaces: { space: string; attempt: number; records: number }[] = [];
    let index = 0;
    const toRead = [systemSpace];
    for (let space = toRead.shift(); space !== undefined; space = toRead.shift()) {
      if (space !== systemSpace && (await this.#isGone(space))) continue;
      for (let attempt = 1; ; attempt++) {
        const before = await this.#positionOf(space);
        const apps: string[] = [];
        let count = 0;
        for await (const records of this.#read(space)) {
          for (const { type, id } of records) if (type === appKeyType && id !== systemSpace) apps.push(id);
          count += records.length;
          this.records += records.length;
          yield { line: this.seal.seal({ kind: 'records', space, attempt, records }, index++), done: false };
        }
        if ((await this.#positionOf(space)) === before) {
          spaces.push({ space, attempt, records: count });
          toRead.push(...apps);
          break;
        }
        this.records -= count;
        if (attempt >= maxAttempts)
          throw new AlterError('conflict', { detail: `The app ${space} changes faster than it can be read.` });
      }
    }
    yield { line: this.seal.seal({ kind: 'manifest', lines: index, spaces }, index), done: true };
  }

  async *#read(space: string): AsyncGenerator<StoredRecord[], void> {
    let line: StoredRecord[] = [];
    let bytes = 0;
    for (const type of recordTypes) {
      if (isTransient({ type }) || isAboutAudit({ type }) || !this.#mayHold(space, type)) continue;
      let after: string | undefined;
      for (;;) {
        const query = { space, type, limit: pageSize };
        const { records } = await this.#vault.store.list(after === undefined ? query : { ...query, after });
        for (const record of records) {
          if (!(await this.#holds(space, record))) continue;
          if (bytes > 0 && bytes + record.body.length > lineBytes) {
            yield line;
            line = [];
            bytes = 0;
          }
          line.push(record);
          bytes += record.body.length + record.id.length;
        }
        if (records.length < pageSize) break;
        after = records.at(-1)!.id;
      }
    }
    if (line.length > 0) yield line;
  }

  /** Of the system, one app needs its name, its key, what leads to it, and the key that these are sealed under. */
  #mayHold(space: string, type: string): boolean {
    return this.seal.header.appId === null || space !== systemSpace || typesOfApp.includes(type);
  }

  /** Rejects with `state_invalid` for what can't be opened: a backup that can't be restored is worse than none. */
  async #holds(space: string, record: StoredRecord): Promise<boolean> {
    const { type, id, revision, body } = record;
    const only = space === systemSpace ? this.seal.header.appId : null;
    if (type === appKeyType) {
      if (only !== null && id !== only && id !== systemSpace) return false;
      (await unwrapKey(this.#vault.kms, body, wrappingContext(id, revision))).fill(0);
      return true;
    }
    const { value } = openRecord(findRecordKind(type)!, await this.#vault.keyring.of(space), id, record);
    return only === null || (value as { readonly appId?: string }).appId === only;
  }

  async #positionOf(space: string): Promise<string> {
    await this.#vault.store.look(space);
    return this.#vault.store.positionOf(space);
  }

  /** An app can be deleted while others are read. */
  async #isGone(space: string): Promise<boolean> {
    try {
      await this.#vault.apps.get(space);
      return false;
    } catch (error) {
      if (error instanceof AlterError && error.code === 'not_found') return true;
      throw error;
    }
  }
}
