import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AlterError } from '../../core/errors.ts';
import { isWanted, maxFailingMs, pauseAfter, type Webhook, type WebhookProgress } from '../../core/webhook.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AuditPage } from '../../vault/audit/audit-reader.ts';
import type { WebhookOwner } from '../../vault/records/webhook-repository.ts';
import type { AppVault, Vault } from '../../vault/vault.ts';
import type { Services } from '../http/route.ts';
import { type ChangeAudit, ChangeRecorder } from '../record-change.ts';
import { webhookEvent } from '../webhook-event.ts';
import { type Attempted, postEvents } from './post-events.ts';

const tickMs = 1_000;
const leaseMs = 30_000;
const leaseName = 'webhooks';
/** Of one delivery. An event is at most a few KiB. */
const maxEvents = 100;
/** Of one webhook in one turn: no endpoint keeps the others waiting for long. */
const maxPages = 50;
const maxAtOnce = 16;
const closeMs = 2_000;
const ownersPerPage = 500;

export interface DeliveryOptions {
  readonly vault: Vault;
  readonly audit: ChangeAudit;
  readonly postHttps: Services['postHttps'];
  readonly clock: () => number;
  readonly log: Log;
  readonly tickMs?: number;
}

/**
 * Brings audit events to the endpoints of webhooks, in the background of the admin service. One process does it at a time.
 * In order for each webhook, at least once, and with nothing lost: an endpoint that fails is told later, from where it was.
 * A failure is no event of the audit, or it would be the next thing to deliver.
 */
export class WebhookDelivery {
  readonly #of: DeliveryOptions;
  readonly #holder = randomUUID();
  readonly #running = new Map<string, Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #turn: Promise<void> | null = null;
  /** Until when no other process delivers, by what was last heard of the lease. */
  #heldUntil = 0;
  #closed = false;

  constructor(of: DeliveryOptions) {
    this.#of = of;
    this.#timer = setInterval(() => {
      this.#turn ??= this.#look()
        .catch((error: unknown) => of.log.warn('Webhooks could not be looked at.', { error }))
        .finally(() => {
          this.#turn = null;
        });
    }, of.tickMs ?? tickMs);
    this.#timer.unref();
  }

  /** Waits for what is under way, though not for long, and lets another process go on: what has no answer yet is sent again. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    const patience = new AbortController();
    const ended = Promise.all([this.#turn, ...this.#running.values()]);
    await Promise.race([ended, sleep(closeMs, undefined, { signal: patience.signal })]);
    patience.abort();
    await this.#of.vault.leases.release(leaseName, this.#holder).catch(() => undefined); // then it ends by itself
  }

  async #look(): Promise<void> {
    const { leases, webhookOwners } = this.#of.vault;
    const owners = await webhookOwners.list({ limit: ownersPerPage, offset: 0 });
    if (owners.total === 0) return;
    for (let offset = 0; ; offset += ownersPerPage) {
      const { items, total } = offset === 0 ? owners : await webhookOwners.list({ limit: ownersPerPage, offset });
      for (const { value } of items) {
        const now = this.#of.clock();
        if (this.#closed || !(await leases.take(leaseName, { holder: this.#holder, forMs: leaseMs }))) return;
        this.#heldUntil = now + leaseMs / 2;
        if (this.#running.size >= maxAtOnce) await Promise.race(this.#running.values());
        this.#begin(value);
      }
      if (offset + ownersPerPage >= total) return;
    }
  }

  #begin(owner: WebhookOwner): void {
    if (this.#running.has(owner.id)) return;
    const delivery = this.#deliver(owner)
      .catch((error: unknown) => {
        if (this.#closed) return;
        this.#of.log.warn('A webhook could not be looked at.', {
          error,
          app_id: owner.appId,
          record_type: 'webhook',
          record_id: owner.id,
        });
      })
      .finally(() => this.#running.delete(owner.id));
    this.#running.set(owner.id, delivery);
  }

  async #deliver({ id, appId }: WebhookOwner): Promise<void> {
    const app = await this.#of.vault.app(appId);
    for (let page = 0; page < maxPages && !this.#closed && this.#of.clock() < this.#heldUntil; page++) {
      const webhook = await findWebhook(app, id);
      if (webhook === null) return app.webhooks.forgetOwner(id);
      const progress = await app.webhooks.progressOf(id);
      if (!webhook.enabled || progress.nextAttemptAt > this.#of.clock()) return;
      const after = progress.cursor === null ? {} : { after: progress.cursor };
      const found = await app.audit.list({ ...after, order: 'ascending', limit: maxEvents });
      if (found.events.length === 0 || !(await this.#deliverPage(app, webhook, found))) return;
      if (found.next === null) return;
    }
  }

  /** False where the endpoint did not take them. */
  async #deliverPage(app: AppVault, webhook: Webhook, { events }: AuditPage): Promise<boolean> {
    const { clock, postHttps } = this.#of;
    const cursor = events.at(-1)!.cursor;
    const wanted = events
      .filter((event) => isWanted(webhook, event))
      .map((event) => {
        const { cursor: _, ...told } = event;
        return told;
      });
    if (wanted.length === 0) {
      await app.webhooks.advance(webhook.id, (progress) => ({ ...progress, cursor }));
      return true;
    }
    const now = clock();
    const attempted = await postEvents(webhook, wanted, { app, now, postHttps });
    const progress = await app.webhooks.advance(webhook.id, (before) =>
      attempted.error === null ? succeeded(before, attempted, now, cursor) : failed(before, attempted, now),
    );
    if (attempted.error === null) return true;
    const { log } = this.#of;
    log.warn('A webhook did not take its events.', {
      app_id: app.appId,
      record_type: 'webhook',
      record_id: webhook.id,
      code: attempted.error,
      status: attempted.status,
      count: progress.failures,
    });
    if (progress.failingSince !== null && now - progress.failingSince >= maxFailingMs)
      await this.#disable(app, webhook);
    return false;
  }

  /** This is worth an event: nobody is told of anything from now on. It is not delivered here, where nothing was taken. */
  async #disable(app: AppVault, webhook: Webhook): Promise<void> {
    const { audit, clock } = this.#of;
    const changes = new ChangeRecorder(audit, { requestId: randomUUID(), actor: null, clientAddress: null, clock });
    await changes.before(webhookEvent('webhook.disabled', webhook), () =>
      app.webhooks.update(webhook.id, (now) => ({ ...now, enabled: false })),
    );
  }
}

function succeeded(before: WebhookProgress, { status }: Attempted, now: number, cursor: string): WebhookProgress {
  return {
    ...before,
    cursor,
    failingSince: null,
    failures: 0,
    nextAttemptAt: 0,
    lastAttemptAt: now,
    lastDeliveredAt: now,
    lastStatus: status,
    lastError: null,
  };
}

function failed(before: WebhookProgress, { status, error }: Attempted, now: number): WebhookProgress {
  const failures = before.failures + 1;
  return {
    ...before,
    failingSince: before.failingSince ?? now,
    failures,
    nextAttemptAt: now + pauseAfter(failures, Math.random()),
    lastAttemptAt: now,
    lastStatus: status,
    lastError: error,
  };
}

async function findWebhook(app: AppVault, id: string): Promise<Webhook | null> {
  try {
    return (await app.webhooks.get(id)).value;
  } catch (error) {
    if (error instanceof AlterError && error.code === 'not_found') return null;
    throw error;
  }
}
