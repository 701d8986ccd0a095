import type { AuditEvent } from '../../core/audit-event.ts';
import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { SealContext } from '../keys/seal.ts';
import type { StoredAuditEntry } from '../store/store.ts';
import { readRows, toRows } from './audit-row.ts';

/** What an audit entry is bound to when it is sealed. */
export function auditContext(of: { readonly writer: string; readonly sequence: number }): Omit<SealContext, 'space'> {
  return { type: 'audit-entry', id: of.writer, revision: of.sequence };
}

/** `events` in their order, as one entry. */
export function sealEntry(
  keys: SpaceKeys,
  of: { readonly writer: string; readonly sequence: number },
  events: readonly Omit<AuditEvent, 'app_id'>[],
): Buffer {
  return keys.sealAudit(auditContext(of), Buffer.from(JSON.stringify(toRows(events))));
}

/** Throws `state_invalid` where the entry was changed. */
export function openEntry(keys: SpaceKeys, entry: StoredAuditEntry): readonly AuditEvent[] {
  const events = readRows(parseJson(keys.openAudit(auditContext(entry), entry.body)), keys.space);
  if (events === null) {
    throw new AlterError('state_invalid', {
      detail: `The stored audit entry ${entry.writer} ${entry.sequence} has not the form of this version.`,
    });
  }
  return events;
}

function parseJson(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString());
  } catch {
    return null;
  }
}
