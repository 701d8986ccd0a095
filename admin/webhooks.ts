import { hasDashboardScope } from '../core/access-token.ts';
import type { AddressSet } from '../core/address.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import type { Webhook, WebhookProgress } from '../core/webhook.ts';
import type { AppVault } from '../vault/vault.ts';
import { postEvents } from './background/post-events.ts';
import { checkAllowedHosts } from './check-allowed-hosts.ts';
import { requireRevision } from './http/etag.ts';
import { type AppCall, appRoute, type Route } from './http/route.ts';
import { formatTime, representPage } from './schemas/representation.ts';
import { webhookRequests, webhookResponses } from './schemas/webhook-schemas.ts';
import { webhookEvent } from './webhook-event.ts';

const collection = '/v1/apps/{app}/webhooks';
const item = `${collection}/{webhook}`;

export const webhookRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listWebhooks',
    summary: 'Where audit events of the app are sent to, and how that goes',
    scope: 'dashboard_webhooks:read',
    query: webhookRequests.list,
    status: 200,
    response: webhookResponses.webhooks,
    async answer({ app, query }) {
      const { items, total } = await app.webhooks.list(query);
      const shown: object[] = [];
      for (const { value } of items) shown.push(await show(app, value));
      return { body: representPage(shown, { total, ...query }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'createWebhook',
    summary:
      'Send audit events of the app to an HTTPS endpoint from now on; the answer holds the signing secret, this once',
    scope: 'dashboard_webhooks:write',
    body: webhookRequests.create,
    status: 201,
    shownOnce: ['secret'],
    response: webhookResponses.created,
    async answer(call) {
      const { app, changes, readBody } = call;
      const body = readBody((valid) => checkUrl(valid.url, call.allowAddresses));
      requireAuditScope(call);
      const { name, url, events, decision = null } = body;
      const newest = await app.audit.list({ order: 'descending', limit: 1 });
      const draft = { name, url, events: [...new Set(events)], decision };
      const created = await changes.after({
        create: () => app.webhooks.create(draft, newest.events[0]?.cursor ?? null),
        event: ({ webhook }) => webhookEvent('webhook.created', webhook.value),
        takeBack: ({ webhook }) => app.webhooks.delete(webhook.value.id),
      });
      const { value, revision } = created.webhook;
      return { body: { ...(await show(app, value)), secret: created.secret }, revision };
    },
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getWebhook',
    summary: 'One webhook, without its secret',
    scope: 'dashboard_webhooks:read',
    status: 200,
    response: webhookResponses.webhook,
    async answer({ app, params }) {
      const { value, revision } = await app.webhooks.get(params.webhook!);
      return { body: await show(app, value), revision };
    },
  }),
  appRoute({
    method: 'PATCH',
    path: item,
    operationId: 'updateWebhook',
    summary: 'Change a webhook, or take it out of use and back; back in use it goes on where it was',
    scope: 'dashboard_webhooks:write',
    body: webhookRequests.update,
    conditional: true,
    status: 200,
    response: webhookResponses.webhook,
    async answer(call) {
      const { app, changes, params, expectedRevision, readBody } = call;
      const current = await app.webhooks.get(params.webhook!);
      const body = readBody((valid) => checkUrl(valid.url, call.allowAddresses));
      requireAuditScope(call);
      requireRevision(current, expectedRevision);
      const { id } = current.value;
      const updated = await changes.before(webhookEvent('webhook.updated', current.value), () =>
        app.webhooks.update(
          id,
          (webhook) => ({
            ...webhook,
            name: body.name ?? webhook.name,
            url: body.url ?? webhook.url,
            events: body.events === undefined ? webhook.events : [...new Set(body.events)],
            decision: body.decision === undefined ? webhook.decision : body.decision,
            enabled: body.enabled ?? webhook.enabled,
          }),
          expectedRevision,
        ),
      );
      // What was wrong may be mended: it is tried again at once.
      await app.webhooks.advance(id, (progress) => ({
        ...progress,
        failingSince: null,
        failures: 0,
        nextAttemptAt: 0,
      }));
      return { body: await show(app, updated.value), revision: updated.revision };
    },
  }),
  appRoute({
    method: 'DELETE',
    path: item,
    operationId: 'deleteWebhook',
    summary: 'Send nothing more to an endpoint; what it was not told of yet is not sent',
    scope: 'dashboard_webhooks:delete',
    conditional: true,
    whileArchived: true,
    status: 204,
    response: null,
    async answer({ app, changes, params, expectedRevision }) {
      const current = await app.webhooks.get(params.webhook!);
      requireRevision(current, expectedRevision);
      await changes.before(webhookEvent('webhook.deleted', current.value), () =>
        app.webhooks.delete(current.value.id, expectedRevision),
      );
      return { body: null };
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/test`,
    operationId: 'testWebhook',
    summary: 'Post a delivery without events to the endpoint now, and say what became of it',
    scope: 'dashboard_webhooks:write',
    status: 200,
    response: webhookResponses.test,
    async answer({ app, params, now, postHttps }) {
      const { value } = await app.webhooks.get(params.webhook!);
      const { status, error } = await postEvents(value, [], { app, now, postHttps });
      return { body: { delivered: error === null, status, error } };
    },
  }),
];

async function show(app: AppVault, webhook: Webhook) {
  return represent(webhook, await app.webhooks.progressOf(webhook.id));
}

function represent(webhook: Webhook, progress: WebhookProgress) {
  const isFailing = progress.failingSince !== null;
  return {
    id: webhook.id,
    name: webhook.name,
    url: webhook.url,
    events: webhook.events,
    decision: webhook.decision,
    enabled: webhook.enabled,
    status: webhook.enabled ? (isFailing ? 'failing' : 'active') : 'disabled',
    failing_since: formatTimeOrNull(progress.failingSince),
    next_attempt_at: webhook.enabled && isFailing ? formatTime(progress.nextAttemptAt) : null,
    last_attempt_at: formatTimeOrNull(progress.lastAttemptAt),
    last_delivered_at: formatTimeOrNull(progress.lastDeliveredAt),
    last_status: progress.lastStatus,
    last_error: progress.lastError,
    created_at: formatTime(webhook.createdAt),
    updated_at: formatTime(webhook.updatedAt),
  };
}

function formatTimeOrNull(at: number | null): string | null {
  return at === null ? null : formatTime(at);
}

/** The same judgement as of the hosts of a secret; the address is classified again on each connection. */
function checkUrl(url: string | undefined, allowAddresses: AddressSet): Problem[] {
  if (url === undefined) return [];
  const { host } = new URL(url);
  const { problems } = checkAllowedHosts([host], { field: 'url', allowAddresses });
  return problems.map(({ message }) => ({ field: 'url', message: `names a host that ${message}` }));
}

/** What is sent is the audit: whoever may not read it must not have it sent either. Throws `insufficient_scope`. */
function requireAuditScope({
  accessToken,
}: Pick<AppCall<Record<never, never>, Record<never, never>>, 'accessToken'>): void {
  if (hasDashboardScope(accessToken.scopes, 'dashboard_audit:read')) return;
  throw new AlterError('insufficient_scope', {
    detail: 'The token lacks the scope dashboard_audit:read, which choosing where the audit is sent needs.',
  });
}
