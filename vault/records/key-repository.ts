import { AlterError } from '../../core/errors.ts';
import { keyStatus, type RuntimeKey, runtimeScopes } from '../../core/runtime-key.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { hexDigest, listOf, oneOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';

export const keyKind: RecordKind<RuntimeKey> = {
  type: 'key',
  shape: {
    id: text(64),
    appId: text(64),
    keyType: oneOf(['runtime', 'agent', 'derived']),
    agentId: orNull(text(64)),
    parentId: orNull(text(64)),
    rotatedFrom: orNull(text(64)),
    name: text(1_024),
    scopes: listOf(oneOf(runtimeScopes), runtimeScopes.length),
    cidr: listOf(text(64), 1_024),
    rateLimitRpm: orNull(whole),
    expiresAt: orNull(whole),
    digest: hexDigest,
    createdAt: whole,
    rotatedAt: orNull(whole),
    revokedAt: orNull(whole),
  },
  absent: { agentId: null, parentId: null, rotatedFrom: null, rotatedAt: null },
  idOf: (key) => key.id,
  spaceOf: (key) => key.appId,
  tagsOf: (key, keys) => [
    ...(key.agentId === null ? [] : [agentTag(keys, key.agentId)]),
    ...(key.parentId === null ? [] : [parentTag(keys, key.parentId)]),
  ],
};

function agentTag(keys: SpaceKeys, agentId: string): string {
  return keys.word('key-of-agent', agentId);
}

function parentTag(keys: SpaceKeys, keyId: string): string {
  return keys.word('key-from', keyId);
}

/** Says in the system space which app a key belongs to: all that the proxy knows of a caller is its key. */
export interface KeyOwner {
  readonly keyId: string;
  readonly appId: string;
}

export const keyOwnerKind: RecordKind<KeyOwner> = {
  type: 'key-owner',
  shape: { keyId: text(64), appId: text(64) },
  idOf: (owner) => owner.keyId,
};

/** Throws `conflict`. */
export function requireRotatable(key: RuntimeKey, now: number): void {
  if (key.keyType === 'derived')
    throw new AlterError('conflict', {
      detail: 'A derived key is not rotated: it ends by itself.',
      hint: 'Derive another one from its parent.',
    });
  const status = keyStatus(key, now);
  if (status === 'rotated_in_grace')
    throw new AlterError('conflict', {
      detail: 'The key has been rotated already.',
      hint: 'Rotate the key that took its place, whose rotated_from is the id of this one.',
    });
  if (status !== 'active')
    throw new AlterError('conflict', {
      detail: `The key is ${status}, and is not rotated.`,
      hint: 'Mint another key.',
    });
}

export class KeyRepository {
  readonly #records: SealedRecords<RuntimeKey>;
  readonly #owners: SealedRecords<KeyOwner>;
  readonly #keys: SpaceKeys;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; systemKeys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: keyKind, keys: of.keys, store: of.store });
    this.#owners = new SealedRecords({ kind: keyOwnerKind, keys: of.systemKeys, store: of.store });
    this.#keys = of.keys;
    this.#clock = of.clock;
  }

  /** Also tells the system space which app the key belongs to. Throws `revision_conflict` where the id exists: ids are random. */
  async create(key: RuntimeKey): Promise<Versioned<RuntimeKey>> {
    if (key.appId !== this.#keys.space) throw new AlterError('not_found', { detail: 'The key is for another app.' });
    // Two spaces can't change together. An owner without a key finds nothing; a key without an owner could never be used.
    await this.#owners.create({ keyId: key.id, appId: key.appId });
    return this.#records.create(key);
  }

  /** Throws `not_found`. */
  get(id: string): Promise<Versioned<RuntimeKey>> {
    return this.#records.get(id);
  }

  /** As for secrets: name, scopes, addresses, rate and expiry can change, and nothing else. */
  update(
    id: string,
    change: (key: RuntimeKey) => RuntimeKey,
    expectedRevision?: number,
  ): Promise<Versioned<RuntimeKey>> {
    return this.#records.update(
      id,
      (key) => {
        const changed = change(key);
        if (changed === key) return key;
        const { name, scopes, cidr, rateLimitRpm, expiresAt } = changed;
        return { ...key, name, scopes, cidr, rateLimitRpm, expiresAt };
      },
      expectedRevision,
    );
  }

  /**
   * Stores `next` in the place of the key `next.rotatedFrom`, which works on: both or none of it happen. Throws `not_found`,
   * and `conflict` where that key is no longer, or has been rotated already.
   */
  async rotate(next: RuntimeKey, expectedRevision?: number): Promise<Versioned<RuntimeKey>> {
    if (next.appId !== this.#keys.space || next.rotatedFrom === null)
      throw new AlterError('not_found', { detail: 'The key takes the place of none in this app.' });
    await this.#owners.create({ keyId: next.id, appId: next.appId });
    const rotate = (key: RuntimeKey): RuntimeKey => {
      requireRotatable(key, next.createdAt);
      return { ...key, rotatedAt: next.createdAt };
    };
    await this.#records.update(next.rotatedFrom, rotate, expectedRevision, () => [
      sealRecord(keyKind, this.#keys, next, 0),
    ]);
    return { value: next, revision: 1 };
  }

  /** Idempotent: a revoked key keeps the time of its first revocation. Throws `not_found`. */
  revoke(id: string): Promise<Versioned<RuntimeKey>> {
    return this.#records.update(id, (key) => (key.revokedAt === null ? { ...key, revokedAt: this.#clock() } : key));
  }

  /** With `agentId`: only that agent's. With `parentId`: only those that were derived from that key. */
  list(
    query: PageQuery & { readonly agentId?: string | undefined; readonly parentId?: string | undefined },
  ): Promise<Page<RuntimeKey>> {
    const { limit, offset, agentId, parentId } = query;
    if (agentId !== undefined) {
      const tag = agentTag(this.#keys, agentId);
      return this.#records.list({ limit, offset, tag, says: (key) => key.agentId === agentId });
    }
    if (parentId !== undefined) {
      const tag = parentTag(this.#keys, parentId);
      return this.#records.list({ limit, offset, tag, says: (key) => key.parentId === parentId });
    }
    return this.#records.list({ limit, offset });
  }
}
