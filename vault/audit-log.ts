import type { AuditEvent } from '../core/audit-event.ts';
import type { AlterError } from '../core/errors.ts';
import type { RateDemand } from '../core/evaluate.ts';
import type { RateVerdict } from './store.ts';
import type { Vault } from './vault.ts';

export interface AuditLogOptions {
  readonly vault: Vault;
  /** Names this process in the chain; a random part is added, so that a restart never continues another chain. */
  readonly writer: string;
  readonly mode: 'strict' | 'buffered';
  /** Told of every failed write; a request that waited for it was refused. */
  readonly onError?: (error: AlterError) => void;
}

/** What may be recorded: an event of no known app has a null `app_id`, and is kept in the system space. */
export type RecordableEvent = Omit<AuditEvent, 'app_id'> & { readonly app_id: string | null };

export class AuditLog {
  constructor(_options: AuditLogOptions) {}

  /**
   * Takes the rates and makes the event durable in one step; the verdicts stand in the order of the rates. In `buffered`
   * mode it resolves at once where no rate is demanded. Rejects with `audit_unavailable`.
   */
  record(_event: RecordableEvent, _rates: readonly RateDemand[] = []): Promise<RateVerdict[]> {
    throw new Error('not built yet');
  }

  /** Waits until everything recorded before is durable or has failed. Records after it are refused. */
  close(): Promise<void> {
    throw new Error('not built yet');
  }
}
