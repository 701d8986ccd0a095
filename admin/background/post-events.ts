import type { AuditEvent } from '../../core/audit-event.ts';
import { toAlterError } from '../../core/errors.ts';
import { issueId } from '../../core/id.ts';
import type { Webhook } from '../../core/webhook.ts';
import type { AppVault } from '../../vault/vault.ts';
import type { Services } from '../http/route.ts';
import { formatTime } from '../schemas/representation.ts';

export interface Attempted {
  /** What the endpoint answered; null where it gave no answer. */
  readonly status: number | null;
  /** Null where it took them: any 2xx. `status` for any other answer, otherwise the code of what went wrong. */
  readonly error: string | null;
}

/**
 * One delivery, signed as the libraries of receivers check it (standardwebhooks.com): HMAC-SHA256 over id, time and body. The
 * time is signed too, so that what was overheard can't be shown again later.
 */
export async function postEvents(
  webhook: Webhook,
  events: readonly AuditEvent[],
  of: { readonly app: AppVault; readonly now: number; readonly postHttps: Services['postHttps'] },
): Promise<Attempted> {
  const id = issueId(of.now);
  const seconds = Math.floor(of.now / 1_000);
  const type = events.length === 0 ? 'test' : 'audit';
  const body = JSON.stringify({
    type,
    timestamp: formatTime(of.now),
    webhook_id: webhook.id,
    app_id: webhook.appId,
    events,
  });
  try {
    const signature = await of.app.webhooks.sign(webhook.id, `${id}.${seconds}.${body}`);
    const { status } = await of.postHttps(webhook.url, {
      headers: {
        'user-agent': 'alter-egress-webhook',
        'webhook-id': id,
        'webhook-timestamp': String(seconds),
        'webhook-signature': `v1,${signature}`,
      },
      body,
    });
    return { status, error: status >= 200 && status < 300 ? null : 'status' };
  } catch (error) {
    return { status: null, error: toAlterError(error).code };
  }
}
