import { type AuditEvent, type AuditEventName, auditEventNames } from './audit-event.ts';

/** `secret.*` and the like: every event about one kind of thing. */
const families = [...new Set(auditEventNames.map((name) => `${name.split('.')[0]!}.*` as const))];

/** What a webhook may ask for. */
export const webhookEvents: readonly string[] = [...auditEventNames, ...families];

/** Sends audit events of an app to an HTTPS endpoint of its operators. */
export interface Webhook {
  readonly id: string;
  readonly appId: string;
  readonly name: string;
  readonly url: string;
  /** Of {@link webhookEvents}. */
  readonly events: readonly string[];
  /** Only events with this decision; null: all. */
  readonly decision: 'allow' | 'deny' | null;
  readonly enabled: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** How far the delivery of a webhook has come. */
export interface WebhookProgress {
  readonly id: string;
  readonly appId: string;
  /** Of the last event that was delivered or not asked for; null: from the first one. */
  readonly cursor: string | null;
  /** Since when every attempt has failed, and how many did; null and 0 where the last one did not. */
  readonly failingSince: number | null;
  readonly failures: number;
  /** Not before. */
  readonly nextAttemptAt: number;
  readonly lastAttemptAt: number | null;
  readonly lastDeliveredAt: number | null;
  /** What the endpoint answered last; null where it gave no answer. */
  readonly lastStatus: number | null;
  /** Why the last attempt failed: one of our codes, or `status`. */
  readonly lastError: string | null;
}

export function isWanted(webhook: Pick<Webhook, 'events' | 'decision'>, event: AuditEvent): boolean {
  if (webhook.decision !== null && event.decision !== webhook.decision) return false;
  return webhook.events.includes(event.event) || webhook.events.includes(familyOf(event.event));
}

function familyOf(name: AuditEventName): string {
  return `${name.split('.')[0]!}.*`;
}

const firstPauseMs = 5_000;
const longestPauseMs = 15 * 60_000;
/** An endpoint that has failed for so long is nobody's any more. */
export const maxFailingMs = 3 * 24 * 3_600_000;

/** After this many failures in a row: twice as long each time, up to a quarter of an hour. `random` from 0 to 1 spreads it by a fifth. */
export function pauseAfter(failures: number, random: number): number {
  const pause = Math.min(firstPauseMs * 2 ** Math.min(failures - 1, 20), longestPauseMs);
  return Math.round(pause * (0.8 + 0.4 * random));
}
