import { z } from 'zod';
import type { Ledger, Trim } from '../vault/audit/audit-checkpoints.ts';
import { describeLimits, type Retention, type RetentionLimits } from '../vault/audit/audit-retention.ts';
import type { Versioned } from '../vault/records/record.ts';
import { appRoute, type Route } from './http/route.ts';
import { formatTime } from './schemas/representation.ts';
import { time } from './schemas/schemas.ts';

const maxAgeSeconds = z
  .number()
  .int()
  .min(3_600)
  .max(3_153_600_000)
  .nullable()
  .meta({ description: 'Older events are removed; null: none for their age. At least an hour' });
const maxEvents = z
  .number()
  .int()
  .min(1)
  .max(1_000_000_000)
  .nullable()
  .meta({ description: 'About as many of the newest are kept; null: all' });
const requireExport = z
  .boolean()
  .meta({ description: 'What was not acknowledged as exported stays, however old it is' });

const request = z.strictObject({
  max_age_seconds: maxAgeSeconds.optional(),
  max_events: maxEvents.optional(),
  require_export: requireExport.optional(),
  inherit: z.literal(true).optional().meta({ description: 'Say nothing of its own: as the service is configured' }),
});
const response = z
  .strictObject({
    max_age_seconds: maxAgeSeconds,
    max_events: maxEvents,
    require_export: requireExport,
    inherited: z.boolean().meta({ description: 'The app says nothing of its own' }),
    exported: z
      .strictObject({ cursor: z.string(), acknowledged_at: time })
      .nullable()
      .meta({ description: 'How far the audit was exported, by the last who said so' }),
    trimmed: z
      .strictObject({ events: z.number().int(), up_to: time, trimmed_at: time })
      .nullable()
      .meta({ description: 'What was removed so far: how many, and when the newest of them happened' }),
  })
  .meta({ id: 'AuditRetention' });

export const trimmed = (trim: Trim | null) =>
  trim === null
    ? null
    : { events: trim.events, up_to: formatTime(trim.newestAt), trimmed_at: formatTime(trim.trimmedAt) };

export const auditRetentionRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: '/v1/apps/{app}/audit/retention',
    operationId: 'getAuditRetention',
    summary: 'How much of the audit is kept, how far it was exported, and what was removed',
    scope: 'dashboard_audit:read',
    status: 200,
    response,
    async answer({ app, auditRetention }) {
      return represent(await app.auditRetention.find(), auditRetention, await app.audit.findLedger());
    },
  }),
  appRoute({
    method: 'PUT',
    path: '/v1/apps/{app}/audit/retention',
    operationId: 'setAuditRetention',
    summary: 'Say how much of the audit is kept; what is left out is without a limit',
    scope: 'dashboard_audit:write',
    body: request,
    conditional: true,
    status: 200,
    response,
    async answer({ app, auditRetention, changes, readBody, expectedRevision }) {
      const body = readBody((valid) =>
        valid.inherit === true && Object.keys(valid).length > 1
          ? [{ field: 'inherit', message: 'stands alone: the limits are then those of the service' }]
          : [],
      );
      const limits: RetentionLimits | null =
        body.inherit === true
          ? null
          : {
              maxAgeSeconds: body.max_age_seconds ?? null,
              maxEvents: body.max_events ?? null,
              requireExport: body.require_export ?? false,
            };
      const reason = describeLimits(limits);
      const changed = await changes.before({ event: 'audit.retention_updated', app_id: app.appId, reason }, () =>
        app.auditRetention.change((before) => ({ ...before, limits }), expectedRevision),
      );
      return represent(changed, auditRetention, await app.audit.findLedger());
    },
  }),
  appRoute({
    method: 'POST',
    path: '/v1/apps/{app}/audit/exported',
    operationId: 'acknowledgeAuditExport',
    summary: 'Say how far the audit is safe somewhere else: where retention waits for that, it may remove so much',
    scope: 'dashboard_audit:write',
    body: z.strictObject({
      cursor: z.string().regex(/^[\d-]{1,40}\.\d{1,6}$/, 'must be the cursor of a page of the audit'),
    }),
    status: 200,
    response,
    whileArchived: true,
    async answer({ app, auditRetention, changes, readBody, now }) {
      const { cursor } = readBody();
      const reason = `up to ${cursor}`;
      await changes.before({ event: 'audit.exported', app_id: app.appId, reason }, () =>
        app.audit.acknowledge(cursor, now),
      );
      return represent(await app.auditRetention.find(), auditRetention, await app.audit.findLedger());
    },
  }),
];

function represent({ value, revision }: Versioned<Retention>, inherited: RetentionLimits, { trim, exported }: Ledger) {
  const limits = value.limits ?? inherited;
  return {
    body: {
      max_age_seconds: limits.maxAgeSeconds,
      max_events: limits.maxEvents,
      require_export: limits.requireExport,
      inherited: value.limits === null,
      exported:
        exported === null ? null : { cursor: exported.cursor, acknowledged_at: formatTime(exported.acknowledgedAt) },
      trimmed: trimmed(trim),
    },
    ...(revision === 0 ? {} : { revision }),
  };
}
