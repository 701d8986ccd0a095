import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import { Lru } from '../lru.ts';
import { type Delete, type Put, RevisionConflict, type Store } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import type { KmsKeys } from './kms.ts';
import { encodeContext, encodeParts, openSealed, type SealContext, seal } from './seal.ts';
import { unwrapKey, wrapKey } from './wrapped-key.ts';

/** Where everything lives that belongs to no app. No app can have this id: theirs are UUIDs. */
export const systemSpace = 'system';

/** Gives the keys of the spaces that this process may open. */
export interface SpaceKeyring {
  /** Sync when the keys are in memory. Rejects with `not_found` for an app that does not exist, or that is not to be opened here. */
  of(space: string): SpaceKeys | Promise<SpaceKeys>;
}

/** The records of wrapped keys, in the system space; each has the id of the space that it opens. */
export const appKeyType = 'app-key';
const appKeyBytes = 32;

type Bound = Omit<SealContext, 'space'>;

/** The subkeys of one space. The app's key itself is let go of once they are derived. */
export class SpaceKeys {
  readonly space: string;
  readonly #seal: KeyObject;
  readonly #index: KeyObject;
  readonly #audit: KeyObject;

  constructor(space: string, appKey: Uint8Array) {
    const derive = (purpose: string) =>
      createSecretKey(
        Buffer.from(hkdfSync('sha256', appKey, '', encodeParts(['alter-egress', '1', purpose, space]), 32)),
      );
    this.space = space;
    this.#seal = derive('seal');
    this.#index = derive('index');
    this.#audit = derive('audit');
  }

  seal(bound: Bound, plaintext: Uint8Array): Buffer {
    return seal(this.#seal, { ...bound, space: this.space }, plaintext);
  }

  /** Throws `state_invalid`. */
  open(bound: Bound, sealed: Uint8Array): Buffer {
    return openSealed(this.#seal, { ...bound, space: this.space }, sealed);
  }

  sealAudit(bound: Bound, plaintext: Uint8Array): Buffer {
    return seal(this.#audit, { ...bound, space: this.space }, plaintext);
  }

  /** Throws `state_invalid`. */
  openAudit(bound: Bound, sealed: Uint8Array): Buffer {
    return openSealed(this.#audit, { ...bound, space: this.space }, sealed);
  }

  /** The opaque word that stands for `text` in the store, as a tag, a name or a bucket. Equal texts give equal words in one app. */
  word(kind: string, text: string): string {
    return createHmac('sha256', this.#index)
      .update(encodeParts([kind, text]))
      .digest('base64url')
      .slice(0, 22); // 128 bits: whoever finds a record by a word still compares what the opened record says
  }
}

/**
 * Root key → key of an app (32 random bytes, wrapped by the Kms, kept as a record of the system space) → subkeys.
 * Derived subkeys are kept in memory for a bounded number of apps.
 */
export class Keyring implements SpaceKeyring {
  readonly #store: Store;
  readonly #kms: KmsKeys;
  readonly #known: Lru<SpaceKeys>;
  readonly #loading = new Map<string, Promise<SpaceKeys>>();

  constructor(of: { readonly store: Store; readonly kms: KmsKeys; readonly maxSpaces?: number }) {
    this.#store = of.store;
    this.#kms = of.kms;
    this.#known = new Lru(of.maxSpaces ?? 4_096);
  }

  /** Sync when the keys are in memory. Rejects with `not_found` for an app that does not exist, `state_invalid`, `state_unavailable`. */
  of(space: string): SpaceKeys | Promise<SpaceKeys> {
    return this.#known.get(space) ?? this.#loadOnce(space);
  }

  /** The change in the system space that destroys the key of a space: what was sealed there opens no more. Null where there is none. */
  async destroy(space: string): Promise<Delete | null> {
    const [stored] = await asked(this.#store.get(systemSpace, [{ type: appKeyType, id: space }]));
    if (stored === null || stored === undefined) return null;
    return { kind: 'delete', type: appKeyType, id: space, expectedRevision: stored.revision };
  }

  /** Keeps in memory the keys of a space that is about to be made: what is written there first needs them. */
  remember(keys: SpaceKeys): void {
    this.#known.set(keys.space, keys);
  }

  /** Lets go of what is in memory of a space whose key was destroyed. */
  forget(space: string): void {
    this.#known.delete(space);
  }

  /** A new key for a space, and the change in the system space that keeps it. */
  async issue(space: string): Promise<{ readonly keys: SpaceKeys; readonly change: Put }> {
    const appKey = randomBytes(appKeyBytes);
    try {
      return await this.adopt(space, appKey);
    } finally {
      appKey.fill(0);
    }
  }

  /** As {@link issue}, for a key that comes from a backup. */
  async adopt(space: string, appKey: Uint8Array): Promise<{ readonly keys: SpaceKeys; readonly change: Put }> {
    const body = await wrapKey(this.#kms.current, appKey, wrappingContext(space, 1));
    return {
      keys: new SpaceKeys(space, appKey),
      change: { kind: 'put', type: appKeyType, id: space, expectedRevision: 0, body, tags: [], names: [] },
    };
  }

  /**
   * The key of an app itself, to be given to a process that may open this app alone. Never that of the system space. Throws
   * as {@link of} rejects.
   */
  async readAppKey(appId: string): Promise<Buffer> {
    const appKey = appId === systemSpace ? null : await this.#unwrap(appId);
    if (appKey === null) throw new AlterError('not_found', { detail: 'There is no such app.' });
    return Buffer.from(appKey.buffer, appKey.byteOffset, appKey.byteLength);
  }

  /** The keys of the system space; made where the store is empty. */
  async openSystem(): Promise<SpaceKeys> {
    const found = await this.#find(systemSpace);
    if (found !== null) return found;
    const { change } = await this.issue(systemSpace);
    try {
      await this.#store.commit(systemSpace, [change]);
    } catch (error) {
      // Another process on the same empty store was faster: its key is the one that counts.
      if (!(error instanceof RevisionConflict)) return asked(Promise.reject(error));
    }
    return this.of(systemSpace);
  }

  #loadOnce(space: string): Promise<SpaceKeys> {
    let loading = this.#loading.get(space);
    if (loading === undefined) {
      loading = this.#find(space)
        .then((keys) => {
          if (keys === null) throw new AlterError('not_found', { detail: 'There is no such app.' });
          return keys;
        })
        .finally(() => this.#loading.delete(space));
      this.#loading.set(space, loading);
    }
    return loading;
  }

  async #find(space: string): Promise<SpaceKeys | null> {
    const appKey = await this.#unwrap(space);
    if (appKey === null) return null;
    const keys = new SpaceKeys(space, appKey);
    appKey.fill(0);
    this.#known.set(space, keys);
    return keys;
  }

  /** Null where there is no such space. */
  async #unwrap(space: string): Promise<Uint8Array | null> {
    const [stored] = await asked(this.#store.get(systemSpace, [{ type: appKeyType, id: space }]));
    if (stored === null || stored === undefined) return null;
    const appKey = await unwrapKey(this.#kms, stored.body, wrappingContext(space, stored.revision));
    if (appKey.length !== appKeyBytes) throw new AlterError('state_invalid');
    return appKey;
  }
}

/** What a wrapped key is bound to: which space it opens, and the revision of its record. */
export function wrappingContext(space: string, revision: number): Buffer {
  return encodeContext({ type: appKeyType, space: systemSpace, id: space, revision });
}
