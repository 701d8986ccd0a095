import { AlterError } from '../core/errors.ts';
import { type RuntimeKey, runtimeScopes } from '../core/runtime-key.ts';
import type { SpaceKeys } from './keyring.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { hexDigest, listOf, oneOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';
import type { Store } from './store.ts';

export const keyKind: RecordKind<RuntimeKey> = {
  type: 'key',
  shape: {
    id: text(64),
    appId: text(64),
    keyType: oneOf(['runtime', 'agent', 'derived']),
    agentId: orNull(text(64)),
    parentId: orNull(text(64)),
    name: text(1_024),
    scopes: listOf(oneOf(runtimeScopes), runtimeScopes.length),
    cidr: listOf(text(64), 1_024),
    rateLimitRpm: orNull(whole),
    expiresAt: orNull(whole),
    digest: hexDigest,
    createdAt: whole,
    revokedAt: orNull(whole),
  },
  absent: { agentId: null, parentId: null },
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
