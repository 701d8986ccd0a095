import type { AuditEvent } from '../core/audit-event.ts';

export type ReadAuditEvent = AuditEvent & { readonly cursor: string };

export interface AuditPage {
  readonly events: readonly ReadAuditEvent[];
  /** The cursor to go on after; null at the end. */
  readonly next: string | null;
}

/** Reads and opens the audit of one space. */
export class AuditReader {
  /** `after`: a cursor of an earlier page, exclusive. Throws `state_invalid` where an entry was changed. */
  list(_query: {
    readonly after?: string;
    readonly order: 'ascending' | 'descending';
    readonly limit: number;
  }): Promise<AuditPage> {
    throw new Error('not built yet');
  }
}
