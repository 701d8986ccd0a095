import type { AuditEvent, AuditSink } from '../core/audit-event.ts';
import { AlterError, toAlterError } from '../core/errors.ts';
import { issueId } from '../core/id.ts';
import type { AuditLog } from '../vault/audit/audit-log.ts';
import { formatTime } from './schemas/representation.ts';

/** Where changes become durable: the sealed log of the store and, where one is configured, a file as well. */
export interface ChangeAudit {
  readonly log: Pick<AuditLog, 'record'>;
  readonly file: AuditSink | null;
}

/** What changed; who did it, when and from where is added here. */
export type ChangeEvent = Pick<AuditEvent, 'event'> &
  Partial<
    Pick<
      AuditEvent,
      | 'key_id'
      | 'agent_id'
      | 'user_id'
      | 'grant_id'
      | 'managed_secret_id'
      | 'managed_secret_slug'
      | 'secret_version'
      | 'reason'
    >
  > & { readonly app_id: string | null };

interface ChangedBy {
  readonly requestId: string;
  /** The PAT or the runtime key of the request. */
  readonly actor: { readonly type: 'token' | 'key'; readonly id: string } | null;
  readonly clientAddress: string | null;
  readonly clock: () => number;
}

/**
 * The audit of administrative changes: none is acknowledged before its record is durable.
 *
 * What has an id already is recorded *before* it is changed: a change that cannot be recorded is not made. Where the
 * change then fails, a second event with `decision: deny` and the code says so; a process that dies between the two
 * leaves the record of a change that was not made, never a change without a record.
 *
 * What gets its id by being created is recorded before it is acknowledged. Where that fails it is taken back, and the
 * caller gets `audit_unavailable`. Only a new app stays: nothing can be reached through it.
 */
export class ChangeRecorder {
  readonly #audit: ChangeAudit;
  readonly #by: ChangedBy;

  constructor(audit: ChangeAudit, by: ChangedBy) {
    this.#audit = audit;
    this.#by = by;
  }

  /** Records, then changes. Rejects with `audit_unavailable` before anything is changed, or with what the change threw. */
  async before<T>(event: ChangeEvent, change: () => Promise<T>): Promise<T> {
    try {
      await this.#record(event, { decision: 'allow' });
    } catch (error) {
      throw unrecorded(error, 'nothing was changed');
    }
    try {
      return await change();
    } catch (error) {
      // The failure of the change is what the caller must hear of, also when this second record fails too.
      await this.#record(event, { decision: 'deny', code: toAlterError(error).code }).catch(() => undefined);
      throw error;
    }
  }

  /** Creates, records, and takes back what was created where the record fails. Rejects with `audit_unavailable`. */
  async after<T>(of: {
    create: () => Promise<T>;
    event: (created: T) => ChangeEvent;
    /** Absent where what was created stays. */
    takeBack?: (created: T) => Promise<unknown>;
  }): Promise<T> {
    const created = await of.create();
    try {
      await this.#record(of.event(created), { decision: 'allow' });
    } catch (error) {
      if (of.takeBack === undefined) throw unrecorded(error, 'the object was created all the same');
      const isGone = await of.takeBack(created).then(
        () => true,
        () => false,
      );
      throw unrecorded(
        error,
        isGone ? 'what was created was taken back' : 'what was created could not be taken back; list the objects',
      );
    }
    return created;
  }

  async #record(event: ChangeEvent, outcome: Pick<AuditEvent, 'decision' | 'code'>): Promise<void> {
    const now = this.#by.clock();
    const record = {
      id: issueId(now),
      time: formatTime(now),
      request_id: this.#by.requestId,
      principal_type: this.#by.actor?.type ?? null,
      principal_id: this.#by.actor?.id ?? null,
      client_ip: this.#by.clientAddress,
      ...event,
      ...outcome,
    };
    await this.#audit.log.record(record);
    await this.#audit.file?.record({ ...record, app_id: record.app_id ?? 'system' });
  }
}

/** The catalogue speaks of a request at the proxy; here the caller must learn what became of the change. */
function unrecorded(error: unknown, outcome: string): unknown {
  if (!(error instanceof AlterError) || error.code !== 'audit_unavailable') return error;
  return new AlterError('audit_unavailable', {
    detail: `The audit record could not be written: ${outcome}.`,
    cause: error.cause ?? error,
  });
}
