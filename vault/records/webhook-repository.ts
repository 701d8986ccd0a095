import { createHmac, randomBytes } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import { isId, issueId } from '../../core/id.ts';
import { type Webhook, type WebhookProgress, webhookEvents } from '../../core/webhook.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Change, Store } from '../store/store.ts';
import { asked } from '../store/store-failure.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { listOf, oneOf, orNull, text, truth, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';

export type WebhookDraft = Pick<Webhook, 'name' | 'url' | 'events' | 'decision'>;

export const webhookKind: RecordKind<Webhook> = {
  type: 'webhook',
  shape: {
    id: text(64),
    appId: text(64),
    name: text(256),
    url: text(2_048),
    events: listOf(oneOf(webhookEvents), webhookEvents.length),
    decision: orNull(oneOf(['allow', 'deny'])),
    enabled: truth,
    createdAt: whole,
    updatedAt: whole,
  },
  idOf: (webhook) => webhook.id,
  spaceOf: (webhook) => webhook.appId,
};

export const webhookProgressKind: RecordKind<WebhookProgress> = {
  type: 'webhook-progress',
  shape: {
    id: text(64),
    appId: text(64),
    cursor: orNull(text(64)),
    failingSince: orNull(whole),
    failures: whole,
    nextAttemptAt: whole,
    lastAttemptAt: orNull(whole),
    lastDeliveredAt: orNull(whole),
    lastStatus: orNull(whole),
    lastError: orNull(text(64)),
  },
  idOf: (progress) => progress.id,
  spaceOf: (progress) => progress.appId,
};

interface SigningSecret {
  readonly id: string;
  readonly appId: string;
  /** Base64 of 32 random bytes. */
  readonly secret: string;
}

/** Apart from the webhook, so that nothing that shows one can show it. */
export const webhookSecretKind: RecordKind<SigningSecret> = {
  type: 'webhook-secret',
  shape: { id: text(64), appId: text(64), secret: text(64) },
  idOf: (secret) => secret.id,
  spaceOf: (secret) => secret.appId,
};

/** Says in the system space which apps have webhooks: whoever delivers looks at no other. */
export const webhookOwnerKind: RecordKind<WebhookOwner> = {
  type: 'webhook-owner',
  shape: { id: text(64), appId: text(64) },
  idOf: (owner) => owner.id,
};
export interface WebhookOwner {
  readonly id: string;
  readonly appId: string;
}

export const maxWebhooks = 20;

export class WebhookRepository {
  readonly #records: SealedRecords<Webhook>;
  readonly #progress: SealedRecords<WebhookProgress>;
  readonly #secrets: SealedRecords<SigningSecret>;
  readonly #owners: SealedRecords<WebhookOwner>;
  readonly #keys: SpaceKeys;
  readonly #store: Store;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; systemKeys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ ...of, kind: webhookKind });
    this.#progress = new SealedRecords({ ...of, kind: webhookProgressKind });
    this.#secrets = new SealedRecords({ ...of, kind: webhookSecretKind });
    this.#owners = new SealedRecords({ ...of, keys: of.systemKeys, kind: webhookOwnerKind });
    this.#keys = of.keys;
    this.#store = of.store;
    this.#clock = of.clock;
  }

  /**
   * `cursor` is of the newest event that it is not told of. The secret is given here, and never again. Throws `conflict`
   * where the app has as many as it may.
   */
  async create(
    draft: WebhookDraft,
    cursor: string | null,
  ): Promise<{ readonly webhook: Versioned<Webhook>; readonly secret: string }> {
    if ((await this.list({ limit: 1, offset: 0 })).total >= maxWebhooks)
      throw new AlterError('conflict', {
        detail: `The app has ${maxWebhooks} webhooks, which is as many as it may have.`,
      });
    const now = this.#clock();
    const { name, url, events, decision } = draft;
    const of = { id: issueId(now), appId: this.#keys.space };
    const webhook: Webhook = { ...of, name, url, events, decision, enabled: true, createdAt: now, updatedAt: now };
    const secret = randomBytes(32).toString('base64');
    // An owner without a webhook leads to nothing; a webhook without an owner would never be delivered to.
    await this.#owners.create(of);
    const changes: readonly Change[] = [
      sealRecord(webhookSecretKind, this.#keys, { ...of, secret }, 0),
      sealRecord(webhookProgressKind, this.#keys, { ...of, ...freshProgress, cursor }, 0),
    ];
    return { webhook: await this.#records.create(webhook, changes), secret: formatSecret(secret) };
  }

  /** Throws `not_found`. */
  async get(id: string): Promise<Versioned<Webhook>> {
    const found = isId(id) ? await this.#records.find(id) : null;
    if (found === null) throw new AlterError('not_found', { detail: 'There is no such webhook in this app.' });
    return found;
  }

  list(query: PageQuery): Promise<Page<Webhook>> {
    return this.#records.list(query);
  }

  /** Name, URL, events, decision and whether it is enabled can change. Throws `not_found`, `revision_conflict`. */
  update(id: string, change: (webhook: Webhook) => Webhook, expectedRevision?: number): Promise<Versioned<Webhook>> {
    return this.#records.update(
      id,
      (webhook) => {
        const { name, url, events, decision, enabled } = change(webhook);
        return { ...webhook, name, url, events, decision, enabled, updatedAt: this.#clock() };
      },
      expectedRevision,
    );
  }

  /** Throws `not_found`, `revision_conflict`. */
  async delete(id: string, expectedRevision?: number): Promise<void> {
    await this.#records.delete(id, expectedRevision);
    for (const records of [this.#secrets, this.#progress, this.#owners]) await forget(records, id);
  }

  /** Throws `not_found`. */
  async progressOf(id: string): Promise<WebhookProgress> {
    return (await this.#progress.get(id)).value;
  }

  /** Throws `not_found`. */
  async advance(id: string, change: (progress: WebhookProgress) => WebhookProgress): Promise<WebhookProgress> {
    return (await this.#progress.update(id, change)).value;
  }

  /** HMAC-SHA256 in base64, with the secret of the webhook. Throws `not_found`. */
  async sign(id: string, content: string): Promise<string> {
    const { value } = await this.#secrets.get(id);
    return createHmac('sha256', Buffer.from(value.secret, 'base64')).update(content).digest('base64');
  }

  /** Removes the owner of a webhook that is gone, or that was never made. */
  async forgetOwner(id: string): Promise<void> {
    const [webhook = null] = await asked(this.#store.get(this.#keys.space, [{ type: webhookKind.type, id }]));
    if (webhook === null) await forget(this.#owners, id);
  }
}

const freshProgress = {
  failingSince: null,
  failures: 0,
  nextAttemptAt: 0,
  lastAttemptAt: null,
  lastDeliveredAt: null,
  lastStatus: null,
  lastError: null,
} as const;

/** As the libraries of receivers take it (standardwebhooks.com). */
function formatSecret(secret: string): string {
  return `whsec_${secret}`;
}

async function forget(records: { delete(id: string): Promise<void> }, id: string): Promise<void> {
  try {
    await records.delete(id);
  } catch (error) {
    if (!(error instanceof AlterError && error.code === 'not_found')) throw error;
  }
}
