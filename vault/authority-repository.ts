import { AlterError } from '../core/errors.ts';
import type { SpaceKeys } from './keyring.ts';
import { text } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';
import type { Store } from './store.ts';

/** The certificate authority as it is kept: sealed, in the system space. */
export interface StoredAuthority {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

const only = 'current';

export const authorityKind: RecordKind<StoredAuthority> = {
  type: 'authority',
  shape: { certificatePem: text(16_384), privateKeyPem: text(16_384) },
  idOf: () => only,
};

export class AuthorityRepository {
  readonly #records: SealedRecords<StoredAuthority>;

  constructor(of: { store: Store; systemKeys: SpaceKeys }) {
    this.#records = new SealedRecords({ kind: authorityKind, keys: of.systemKeys, store: of.store });
  }

  async find(): Promise<StoredAuthority | null> {
    return (await this.#records.find(only))?.value ?? null;
  }

  /** Keeps the first one: answers with what is stored, which is another process's authority where that was faster. */
  async create(authority: StoredAuthority): Promise<StoredAuthority> {
    try {
      return (await this.#records.create(authority)).value;
    } catch (error) {
      if (!(error instanceof AlterError && error.code === 'revision_conflict')) throw error;
      return (await this.#records.get(only)).value;
    }
  }
}
