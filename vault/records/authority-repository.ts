import type { AuthorityMaterial, KeptAuthority, PreviousAuthority } from '../../core/authority.ts';
import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import { listOf, objectOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';

const only = 'current';
const pem = text(16_384);

/** The certificate authority as it is kept: sealed, in the system space. */
export const authorityKind: RecordKind<KeptAuthority> = {
  type: 'authority',
  shape: {
    certificatePem: pem,
    privateKeyPem: pem,
    activeAt: whole,
    previous: listOf(
      objectOf<PreviousAuthority>({ certificatePem: pem, privateKeyPem: orNull(pem), trustedUntil: whole }),
      8,
    ),
  },
  absent: { activeAt: 0, previous: [] },
  idOf: () => only,
};

export class AuthorityRepository {
  readonly #records: SealedRecords<KeptAuthority>;

  constructor(of: { store: Store; systemKeys: SpaceKeys }) {
    this.#records = new SealedRecords({ kind: authorityKind, keys: of.systemKeys, store: of.store });
  }

  async find(): Promise<KeptAuthority | null> {
    return (await this.#records.find(only))?.value ?? null;
  }

  /** Throws `not_found`. */
  async get(): Promise<KeptAuthority> {
    return (await this.#records.get(only)).value;
  }

  /** Keeps the first one: answers with what is stored, which is another process's authority where that was faster. */
  async create({ certificatePem, privateKeyPem }: AuthorityMaterial): Promise<KeptAuthority> {
    try {
      return (await this.#records.create({ certificatePem, privateKeyPem, activeAt: 0, previous: [] })).value;
    } catch (error) {
      if (!(error instanceof AlterError && error.code === 'revision_conflict')) throw error;
      return this.get();
    }
  }

  /** Throws `not_found`, and what `change` throws. */
  async update(change: (kept: KeptAuthority) => KeptAuthority): Promise<KeptAuthority> {
    return (await this.#records.update(only, change)).value;
  }
}
