import type { Webhook } from '../core/webhook.ts';
import type { ChangeEvent } from './record-change.ts';

/** What the audit says of a webhook. */
export function webhookEvent(event: ChangeEvent['event'], { appId, id, name }: Webhook): ChangeEvent {
  return { event, app_id: appId, reason: `${id} ${name}` };
}
