import { AlterError } from '../../core/errors.ts';
import { issueId } from '../../core/id.ts';
import { tokenAlgorithms } from '../../core/identity-provider.ts';
import type { WorkloadIdentity } from '../../core/workload-identity.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { listOf, oneOf, orNull, text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';

export type WorkloadIdentityDraft = Omit<WorkloadIdentity, 'id' | 'appId' | 'createdAt'>;

/** The data plane keeps all of an app's in memory, to choose by issuer, namespace and account. */
export const maxWorkloadIdentities = 500;

export const workloadIdentityKind: RecordKind<WorkloadIdentity> = {
  type: 'workload-identity',
  shape: {
    id: text(64),
    appId: text(64),
    name: text(1_024),
    issuer: text(2_048),
    jwksUrl: text(2_048),
    algorithms: listOf(oneOf(tokenAlgorithms), tokenAlgorithms.length),
    namespace: text(253),
    serviceAccount: text(253),
    agentId: orNull(text(64)),
    cidr: listOf(text(64), 1_024),
    rateLimitRpm: orNull(whole),
    createdAt: whole,
  },
  idOf: (identity) => identity.id,
  spaceOf: (identity) => identity.appId,
  namesOf: ({ issuer, namespace, serviceAccount }, keys) => [
    keys.word('workload', JSON.stringify([issuer, namespace, serviceAccount])),
  ],
};

/** They are made and deleted, never changed: who a token stands for does not move under those who hold one. */
export class WorkloadIdentityRepository {
  readonly #records: SealedRecords<WorkloadIdentity>;
  readonly #keys: SpaceKeys;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: workloadIdentityKind, keys: of.keys, store: of.store });
    this.#keys = of.keys;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the account is mapped already, or where the app has as many as it may. */
  async create(draft: WorkloadIdentityDraft): Promise<Versioned<WorkloadIdentity>> {
    const { total } = await this.#records.list({ limit: 1, offset: 0 });
    if (total >= maxWorkloadIdentities)
      throw new AlterError('conflict', { detail: `An app has at most ${maxWorkloadIdentities} workload identities.` });
    const now = this.#clock();
    return this.#records.create({ ...draft, id: issueId(now), appId: this.#keys.space, createdAt: now });
  }

  /** Throws `not_found`. */
  get(id: string): Promise<Versioned<WorkloadIdentity>> {
    return this.#records.get(id);
  }

  /** From then on its tokens are refused, on open connections too. Throws `not_found`. */
  async delete(id: string, expectedRevision?: number): Promise<void> {
    await this.#records.delete(id, expectedRevision);
  }

  list(query: PageQuery): Promise<Page<WorkloadIdentity>> {
    return this.#records.list(query);
  }
}
