import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import { text, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';

/** That one process does a piece of work, and no other until the lease ends. */
interface Lease {
  readonly id: string;
  readonly holder: string;
  readonly until: number;
}

export const leaseKind: RecordKind<Lease> = {
  type: 'lease',
  shape: { id: text(64), holder: text(256), until: whole },
  idOf: (lease) => lease.id,
};

/** Leases of all processes on one store. They go by the clocks of the processes, which may differ by less than a lease lasts. */
export class LeaseRepository {
  readonly #records: SealedRecords<Lease>;
  readonly #keys: SpaceKeys;
  readonly #store: Store;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ ...of, kind: leaseKind });
    this.#keys = of.keys;
    this.#store = of.store;
    this.#clock = of.clock;
  }

  /** True where this holder has it for at least half of `forMs` from now: taken, renewed, or held already. */
  async take(id: string, of: { readonly holder: string; readonly forMs: number }): Promise<boolean> {
    const now = this.#clock();
    const found = await this.#records.find(id);
    if (found !== null && found.value.until > now) {
      if (found.value.holder !== of.holder) return false;
      if (found.value.until > now + of.forMs / 2) return true;
    }
    const lease = { id, holder: of.holder, until: now + of.forMs };
    return this.#put(lease, found?.revision ?? 0);
  }

  /** So that the next one need not wait. */
  async release(id: string, holder: string): Promise<void> {
    const found = await this.#records.find(id);
    if (found !== null && found.value.holder === holder) await this.#put({ id, holder, until: 0 }, found.revision);
  }

  async #put(lease: Lease, expectedRevision: number): Promise<boolean> {
    try {
      await asked(this.#store.commit(this.#keys.space, [sealRecord(leaseKind, this.#keys, lease, expectedRevision)]));
      return true;
    } catch (error) {
      if (error instanceof AlterError && error.code === 'revision_conflict') return false; // another one was faster
      throw error;
    }
  }
}
