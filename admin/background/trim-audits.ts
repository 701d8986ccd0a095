import { AlterError } from '../../core/errors.ts';
import { issueId } from '../../core/id.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AuditLog } from '../../vault/audit/audit-log.ts';
import type { AuditReader } from '../../vault/audit/audit-reader.ts';
import { describeLimits, keepAll, type RetentionLimits } from '../../vault/audit/audit-retention.ts';
import { trimAudit } from '../../vault/audit/trim-audit.ts';
import { systemSpace } from '../../vault/keys/keyring.ts';
import type { Vault } from '../../vault/vault.ts';
import { formatTime } from '../schemas/representation.ts';

export interface AuditTrimming {
  readonly vault: Vault;
  readonly audit: Pick<AuditLog, 'record'>;
  /** Of apps that say nothing of their own, and of what belongs to no app. */
  readonly limits: RetentionLimits;
  readonly clock: () => number;
  readonly log: Log;
}

const firstAfterMs = 60_000;
const everyMs = 10 * 60_000;
const appsPerPage = 200;

/** Applies retention in the background, again and again, until it is closed. */
export function startAuditTrimming(of: AuditTrimming): { close(): Promise<void> } {
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;
  let isClosed = false;
  const next = (ms: number): void => {
    // Several admin services need not begin at the same moment.
    timer = setTimeout(
      () => {
        running = trimAudits(of, () => isClosed).finally(() => {
          if (!isClosed) next(everyMs);
        });
      },
      ms * (0.9 + Math.random() / 5),
    );
    timer.unref();
  };
  next(firstAfterMs);
  return {
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await running;
    },
  };
}

/** Once for every app. Rejects never: what fails is logged, and the others are done. */
export async function trimAudits(of: AuditTrimming, isClosed: () => boolean = () => false): Promise<void> {
  const { vault } = of;
  await logFailure(of, null, () => trimSpace(of, systemSpace, null, vault.audit));
  for (let offset = 0; ; offset += appsPerPage) {
    const apps = await vault.apps.list({ limit: appsPerPage, offset }).catch((error: unknown) => {
      of.log.warn('The retention of the audit could not be applied.', { error });
      return null;
    });
    if (apps === null) return;
    for (const { value } of apps.items) {
      if (isClosed()) return;
      await logFailure(of, value.id, async () => {
        const app = await vault.app(value.id);
        await trimSpace(of, value.id, (await app.auditRetention.find()).value.limits, app.audit);
      });
    }
    if (apps.items.length < appsPerPage) return;
  }
}

async function trimSpace(
  of: AuditTrimming,
  space: string,
  own: RetentionLimits | null,
  reader: AuditReader,
): Promise<void> {
  const { vault, audit, clock, log } = of;
  const limits = own ?? of.limits;
  if (limits.maxAgeSeconds === keepAll.maxAgeSeconds && limits.maxEvents === keepAll.maxEvents) return;
  const now = clock();
  const removed = await trimAudit({
    store: vault.store,
    keys: await vault.keyring.of(space),
    now,
    limits: {
      before: limits.maxAgeSeconds === null ? null : now - limits.maxAgeSeconds * 1000,
      maxEvents: limits.maxEvents,
      exported: limits.requireExport ? ((await reader.findLedger()).exported?.cursor ?? null) : undefined,
    },
    announce: async (why) => {
      await audit.record({
        id: issueId(now),
        time: formatTime(now),
        event: 'audit.trimmed',
        app_id: space === systemSpace ? null : space,
        principal_type: 'service',
        decision: 'allow',
        reason: `by ${why}: ${describeLimits(limits)}`,
      });
    },
  });
  if (removed > 0) log.info('Old audit events were removed by retention.', { app_id: space, count: removed });
}

async function logFailure(of: AuditTrimming, appId: string | null, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof AlterError && error.code === 'not_found') return; // deleted meanwhile
    of.log.warn('The retention of the audit could not be applied.', { app_id: appId, error });
  }
}
