import type { SpaceKeys } from '../keys/keyring.ts';
import type { Versioned } from '../records/record.ts';
import { objectOf, orNull, truth, whole } from '../records/record-shape.ts';
import { type RecordKind, SealedRecords } from '../records/sealed-records.ts';
import type { Store } from '../store/store.ts';

/** How much of an audit is kept; null: without a limit. */
export interface RetentionLimits {
  readonly maxAgeSeconds: number | null;
  readonly maxEvents: number | null;
  /** What was not exported yet stays, however old it is. */
  readonly requireExport: boolean;
}

export interface Retention {
  /** Null: what the service is configured with. */
  readonly limits: RetentionLimits | null;
}

export const keepAll: RetentionLimits = { maxAgeSeconds: null, maxEvents: null, requireExport: false };

/** For the audit. */
export function describeLimits(limits: RetentionLimits | null): string {
  if (limits === null) return 'as the service is configured';
  const { maxAgeSeconds: age, maxEvents: count } = limits;
  const said = [age === null ? null : `${age} s`, count === null ? null : `${count} events`].filter(
    (one) => one !== null,
  );
  const kept = said.length === 0 ? 'keep all' : `keep ${said.join(', ')}`;
  return limits.requireExport ? `${kept}, after export` : kept;
}

const retentionId = 'audit';

export const retentionKind: RecordKind<Retention> = {
  type: 'audit-retention',
  shape: {
    limits: orNull(
      objectOf<RetentionLimits>({ maxAgeSeconds: orNull(whole), maxEvents: orNull(whole), requireExport: truth }),
    ),
  },
  idOf: () => retentionId,
};

const nothingSaid: Retention = { limits: null };

/** What an app says about the retention of its audit. */
export class AuditRetention {
  readonly #records: SealedRecords<Retention>;

  constructor(of: { readonly store: Store; readonly keys: SpaceKeys }) {
    this.#records = new SealedRecords({ ...of, kind: retentionKind });
  }

  async find(): Promise<Versioned<Retention>> {
    return (await this.#records.find(retentionId)) ?? { value: nothingSaid, revision: 0 };
  }

  /** Throws `revision_conflict`. */
  async change(change: (before: Retention) => Retention, expectedRevision?: number): Promise<Versioned<Retention>> {
    const { revision } = await this.find();
    if (revision === 0 && (expectedRevision ?? 0) === 0) return this.#records.create(change(nothingSaid));
    return this.#records.update(retentionId, change, expectedRevision);
  }
}
