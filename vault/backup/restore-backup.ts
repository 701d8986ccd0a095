import { AlterError } from '../../core/errors.ts';
import { appKeyType, SpaceKeys, systemSpace, wrappingContext } from '../keys/keyring.ts';
import { unwrapKey } from '../keys/wrapped-key.ts';
import { entryKind } from '../records/app-repository.ts';
import { authorityKind } from '../records/authority-repository.ts';
import { findRecordKind } from '../records/record-kinds.ts';
import { openRecord, sealRecord } from '../records/sealed-records.ts';
import { type Change, NameTaken, type Put, RevisionConflict, type StoredRecord } from '../store/store.ts';
import { fromStoreFailure } from '../store/store-failure.ts';
import type { Vault } from '../vault.ts';
import { type BackupLine, type BackupManifest, BackupSeal, type RecordsLine } from './backup-lines.ts';

export interface RestoreCount {
  /** Made from the backup. */
  readonly restored: number;
  /** The store had them already, as they are or deleted: the backup does not change them. */
  readonly kept: number;
  /** Their name or their app is taken by something else. */
  readonly skipped: number;
}

/** The name of the app that a first start makes. */
const firstApp = 'default';
const batch = 50;

/**
 * Reads a backup twice: once to prove it, and only when all of it was proved, to restore it.
 *
 * What the store has stays as it is, what was deleted or revoked in it stays so: a backup adds what is missing. Records are
 * opened and sealed anew, since their revision begins again; values of secrets stay sealed all the way.
 */
export class BackupRestore {
  readonly seal: BackupSeal;
  phase: 'proving' | 'proved' | 'restoring' | 'read' = 'proving';
  readonly #vault: Vault;
  readonly #seen = new Map<string, number>();
  #manifest: BackupManifest | null = null;
  #index = 0;
  #isFresh = false;
  /** The keys of the system space that the backup was made in. */
  #systemKeys: SpaceKeys | null = null;
  /** What makes an app, until its entry comes. */
  readonly #appKeys = new Map<string, Change>();
  /** Apps that were deleted here, or whose name is taken: nothing of them comes back. */
  readonly #deadApps = new Map<string, 'kept' | 'skipped'>();
  readonly #touched = new Set<string>();
  #count = { restored: 0, kept: 0, skipped: 0 };

  /** From the first line. Throws `backup_invalid`. */
  static async open(vault: Vault, headerLine: string): Promise<BackupRestore> {
    return new BackupRestore(vault, await BackupSeal.open(vault.kms, headerLine));
  }

  private constructor(vault: Vault, seal: BackupSeal) {
    this.#vault = vault;
    this.seal = seal;
  }

  get count(): RestoreCount {
    return this.#count;
  }

  get records(): number {
    return (this.#manifest?.spaces ?? []).reduce((sum, { records }) => sum + records, 0);
  }

  get apps(): number {
    return (this.#manifest?.spaces ?? []).filter(({ space }) => space !== systemSpace).length;
  }

  /** The next line, in either reading. Throws `backup_invalid`, `conflict`. */
  async read(text: string): Promise<void> {
    if (this.phase !== 'proving' && this.phase !== 'restoring')
      throw new AlterError('conflict', { detail: 'The backup was read to its end.' });
    const line = this.seal.open(text, this.#index);
    this.#index++;
    if (this.phase === 'proving') this.#prove(line);
    else if (line.kind === 'manifest') this.phase = 'read';
    else await this.#restore(line).catch((error: unknown) => Promise.reject(fromStoreFailure(error)));
  }

  #prove(line: BackupLine): void {
    if (line.kind === 'records') {
      const key = `${line.attempt} ${line.space}`;
      this.#seen.set(key, (this.#seen.get(key) ?? 0) + line.records.length);
      return;
    }
    const isWhole =
      line.lines === this.#index - 1 &&
      line.spaces.every(({ space, attempt, records }) => (this.#seen.get(`${attempt} ${space}`) ?? 0) === records);
    if (!isWhole) throw new AlterError('backup_invalid', { detail: 'The backup is not complete.' });
    this.#manifest = line;
    this.phase = 'proved';
  }

  /**
   * Begins the second reading. Throws `conflict` where the backup was not proved, and where the store holds more than a
   * first start makes, or, of a backup of one app, holds that app, unless `intoExisting`.
   */
  async begin(of: { readonly intoExisting: boolean }): Promise<void> {
    if (this.phase !== 'proved')
      throw new AlterError('conflict', { detail: 'All lines of the backup have to be proved first.' });
    const found = await this.#findFirstApp();
    // One that the backup holds is none that a first start made here, and deleting it would keep it from coming back.
    const first = this.#manifest!.spaces.some(({ space }) => space === found?.appId) ? null : found;
    const { appId } = this.seal.header;
    if (appId !== null) await this.#requireRestorable(appId, of.intoExisting);
    else if (first === null && !of.intoExisting)
      throw new AlterError('conflict', {
        detail: 'The store is not empty.',
        hint: 'Restore into a new store, or add --into-existing: what the store has stays as it is, and what is missing is added.',
      });
    this.#isFresh = first !== null;
    if (first?.appId !== undefined) await this.#vault.apps.delete(first.appId);
    this.#index = 0;
    this.phase = 'restoring';
  }

  /**
   * Raises the state of every restored app above everything that was seen before. Resolves with false where some are left
   * after `budgetMs`. Throws `conflict` before the last line.
   */
  async finish(of: { readonly now: number; readonly budgetMs: number }): Promise<boolean> {
    if (this.phase !== 'read') throw new AlterError('conflict', { detail: 'The backup was not read to its end.' });
    const begunAt = performance.now();
    for (const space of this.#touched) {
      if (performance.now() - begunAt > of.budgetMs) return false;
      await this.#vault.store.reanchor(space, of.now);
      this.#touched.delete(space);
    }
    return true;
  }

  async #requireRestorable(appId: string, intoExisting: boolean): Promise<void> {
    const place = { type: appKeyType, id: appId };
    const { store } = this.#vault;
    const [[stored = null], [isGone]] = await Promise.all([
      store.get(systemSpace, [place]),
      store.areGone(systemSpace, [place]),
    ]);
    if (isGone === true)
      throw new AlterError('conflict', {
        detail: 'The app was deleted in this store.',
        hint: 'What was deleted in a store is not brought back there: restore the app into another one.',
      });
    if (stored !== null && !intoExisting)
      throw new AlterError('conflict', {
        detail: 'The store has this app.',
        hint: 'Add --into-existing: what the app has stays as it is, and what is missing is added.',
      });
  }

  /** Null where somebody has used the store. Without an app where there is none. */
  async #findFirstApp(): Promise<{ readonly appId?: string } | null> {
    const { items, total } = await this.#vault.apps.list({ limit: 1, offset: 0 });
    if (total === 0) return {};
    const { id, name } = items[0]!.value;
    if (total > 1 || name !== firstApp) return null;
    const app = await this.#vault.app(id);
    const one = { limit: 1, offset: 0 };
    const lists = await Promise.all([
      ...[app.secrets.list(one), app.keys.list(one), app.agents.list(one)],
      ...[app.identityProviders.list(one), app.users.list(one), app.groups.list(one)],
    ] as Promise<{ readonly total: number }>[]);
    return lists.every((list) => list.total === 0) ? { appId: id } : null;
  }

  async #restore({ space, attempt, records }: RecordsLine): Promise<void> {
    if (this.#manifest!.spaces.find((one) => one.space === space)?.attempt !== attempt) return;
    const dead = this.#deadApps.get(space);
    if (dead !== undefined) {
      this.#count[dead] += records.length;
      return;
    }
    this.#touched.add(space);
    const byType = Map.groupBy(records, ({ type }) => type);
    for (const [type, ofType] of byType) {
      if (type === appKeyType) for (const record of ofType) await this.#takeKey(record);
      else for (let at = 0; at < ofType.length; at += batch) await this.#add(space, ofType.slice(at, at + batch));
    }
  }

  async #takeKey({ id, revision, body }: StoredRecord): Promise<void> {
    const { kms, keyring, store } = this.#vault;
    const appKey = await unwrapKey(kms, body, wrappingContext(id, revision));
    try {
      if (id === systemSpace) {
        this.#systemKeys = new SpaceKeys(systemSpace, appKey);
        return;
      }
      const place = { type: appKeyType, id };
      const [[stored = null], [isGone]] = await Promise.all([
        store.get(systemSpace, [place]),
        store.areGone(systemSpace, [place]),
      ]);
      if (stored !== null) {
        const own = await keyring.readAppKey(id);
        const isSame = Buffer.compare(own, appKey) === 0;
        own.fill(0);
        if (!isSame) throw new AlterError('conflict', { detail: `The app ${id} has another key here.` });
      } else if (isGone === true) this.#deadApps.set(id, 'kept');
      else {
        const { keys, change } = await keyring.adopt(id, appKey);
        keyring.remember(keys);
        this.#appKeys.set(id, change);
      }
    } finally {
      appKey.fill(0);
    }
  }

  /** Adds those of these records, all of one type, that the store does not have. */
  async #add(space: string, records: readonly StoredRecord[]): Promise<void> {
    const { store, keyring } = this.#vault;
    const keys = await keyring.of(space);
    // Each kind opens with the keys that the backup was made under.
    const opening = space === systemSpace ? this.#systemKeys! : keys;
    const [there, gone] = await Promise.all([store.get(space, records), store.areGone(space, records)]);
    const changes: Change[][] = [];
    for (const [at, record] of records.entries()) {
      const kind = findRecordKind(record.type)!;
      const isDead = record.type === entryKind.type && this.#deadApps.has(record.id);
      const stored = there[at] ?? null;
      // Of a new store, the authority is one that nobody trusts yet.
      const isReplaced = this.#isFresh && stored !== null && record.type === authorityKind.type;
      if (isDead || gone[at] === true || (stored !== null && !isReplaced)) {
        this.#count.kept++;
        continue;
      }
      const put: Put = sealRecord(
        kind,
        keys,
        openRecord(kind, opening, record.id, record).value,
        stored?.revision ?? 0,
      );
      const key = record.type === entryKind.type ? this.#appKeys.get(record.id) : undefined;
      changes.push(key === undefined ? [put] : [put, key]);
    }
    await this.#commit(space, changes);
  }

  async #commit(space: string, changes: readonly Change[][]): Promise<void> {
    if (changes.length === 0) return;
    try {
      await this.#vault.store.commit(space, changes.flat());
      this.#count.restored += changes.length;
    } catch (error) {
      if (!(error instanceof RevisionConflict || error instanceof NameTaken)) throw error;
      if (changes.length === 1) this.#skip(changes[0]!);
      else for (const one of changes) await this.#commit(space, [one]);
    }
  }

  /** Of an app whose name is taken nothing else is restored either: nobody could reach it. */
  #skip([change]: readonly Change[]): void {
    this.#count.skipped++;
    if (change?.type !== entryKind.type) return;
    if (this.seal.header.appId === change.id)
      throw new AlterError('conflict', {
        detail: 'Another app of this store has the name of this one.',
        hint: 'Rename that app first, with `alter apps update`.',
      });
    this.#deadApps.set(change.id, 'skipped');
  }
}
