import type { RuntimeKey } from '../core/runtime-key.ts';
import type { Page, PageQuery, Versioned } from './record.ts';

export class KeyRepository {
  /** Also tells the system space which app the key belongs to. Throws `conflict` where the id exists. */
  create(_key: RuntimeKey): Promise<Versioned<RuntimeKey>> {
    throw new Error('not built yet');
  }

  /** Throws `not_found`. */
  get(_id: string): Promise<Versioned<RuntimeKey>> {
    throw new Error('not built yet');
  }

  /** As {@link SecretRepository.update}; id, type, digest and times can't change. */
  update(
    _id: string,
    _change: (key: RuntimeKey) => RuntimeKey,
    _expectedRevision?: number,
  ): Promise<Versioned<RuntimeKey>> {
    throw new Error('not built yet');
  }

  /** Idempotent: a revoked key keeps the time of its first revocation. Throws `not_found`. */
  revoke(_id: string): Promise<Versioned<RuntimeKey>> {
    throw new Error('not built yet');
  }

  list(_query: PageQuery): Promise<Page<RuntimeKey>> {
    throw new Error('not built yet');
  }
}
