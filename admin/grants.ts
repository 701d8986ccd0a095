import { AlterError } from '../core/errors.ts';
import type { Grant } from '../core/grant.ts';
import type { Secret } from '../core/secret.ts';
import type { GrantDraft } from '../vault/records/grant-repository.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { SecretRepository } from '../vault/records/secret-repository.ts';
import type { AppVault } from '../vault/vault.ts';
import { refuse } from './http/check-fields.ts';
import { requireRevision } from './http/etag.ts';
import { type Answer, type AppCall, appRoute, type Route } from './http/route.ts';
import { showGrants } from './last-used.ts';
import { requireActive } from './mint-key.ts';
import { requirePolicyScope, takeGrantTerms } from './policy-intake.ts';
import { checkPrincipal, findPrincipal } from './principal-intake.ts';
import type { ChangeEvent, ChangeRecorder } from './record-change.ts';
import { formatTime, representGrant, representPage } from './schemas/representation.ts';
import { requests, responses } from './schemas/schemas.ts';

const ofSecret = '/v1/apps/{app}/managed-secrets/{secret}/grants';
const collection = '/v1/apps/{app}/grants';
const item = `${collection}/{grant}`;

export const grantRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: ofSecret,
    operationId: 'listGrantsOfSecret',
    summary: 'The grants of one managed secret',
    scope: 'dashboard_secrets:read',
    query: requests.page,
    status: 200,
    response: responses.grants,
    async answer({ app, params, query, now }) {
      const secret = await app.secrets.get(params.secret!);
      const { items, total } = await app.grants.list({ ...query, secretId: secret.value.id });
      const shown = await showGrants(
        app,
        items.map(({ value }) => ({ grant: value, secret: secret.value })),
        now,
      );
      return { body: representPage(shown, { total, ...query }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: ofSecret,
    operationId: 'createGrant',
    summary: 'Grant a managed secret to a principal',
    scope: 'dashboard_secrets:write',
    body: requests.createGrant,
    status: 201,
    response: responses.grant,
    async answer({ app, changes, params, now, readBody, accessToken }) {
      const { value: secret } = await app.secrets.get(params.secret!);
      const terms = (asked: Terms) => takeGrantTerms(asked, null, { field: 'grant_policy', now });
      const body = readBody((valid) => [...terms(valid).problems, ...checkPrincipal(valid)]);
      requirePolicyScope(accessToken, body.grant_policy);
      const principal = await findPrincipal(app, body);
      const { policy, expiresAt } = terms(body);
      const { label, description = null } = body;
      return createGrant({ principal, label, description, policy, expiresAt }, { app, changes, now, secret });
    },
  }),
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listGrants',
    summary: 'The grants of the app',
    scope: 'dashboard_secrets:read',
    query: requests.page,
    status: 200,
    response: responses.grants,
    async answer({ app, query, now }) {
      const page = await app.grants.list(query);
      return { body: representPage(await representGrants(app, page.items, now), { total: page.total, ...query }) };
    },
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getGrant',
    summary: 'One grant',
    scope: 'dashboard_secrets:read',
    status: 200,
    response: responses.grant,
    answer: async (call) => answerGrant(call, await call.app.grants.get(call.params.grant!)),
  }),
  appRoute({
    method: 'PATCH',
    path: item,
    operationId: 'updateGrant',
    summary: 'Change the label, the description, the policy or the end of a grant',
    scope: 'dashboard_secrets:write',
    body: requests.updateGrant,
    conditional: true,
    status: 200,
    response: responses.grant,
    async answer(call) {
      const { app, params, now, expectedRevision } = call;
      const current = await app.grants.get(params.grant!);
      const terms = (asked: Terms, grant: Grant) => takeGrantTerms(asked, grant, { field: 'grant_policy', now });
      const body = call.readBody((valid) => terms(valid, current.value).problems);
      requirePolicyScope(call.accessToken, body.grant_policy);
      requireRevision(current, expectedRevision);
      const updated = await changeGrant(call, (grant) => {
        const { policy, expiresAt, problems } = terms(body, grant);
        refuse(problems); // it may have got another policy since it was read
        return {
          ...grant,
          label: body.label ?? grant.label,
          description: body.description === undefined ? grant.description : body.description,
          policy,
          expiresAt,
        };
      });
      return answerGrant(call, updated);
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/revoke`,
    operationId: 'revokeGrant',
    summary: 'Revoke a grant for good; it stays listed',
    scope: 'dashboard_secrets:write',
    whileArchived: true,
    status: 200,
    response: responses.grant,
    async answer(call) {
      const { app, changes, params } = call;
      const current = await app.grants.get(params.grant!);
      const secret = await findSecret(app.secrets, current.value.secretId);
      const revoked = await changes.before(grantEvent('grant.revoked', current.value, secret), () =>
        app.grants.revoke(current.value.id),
      );
      return answerGrant(call, revoked);
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/clone`,
    operationId: 'cloneGrant',
    summary: 'Grant the same secret to the same principal under the same policy once more, with an end of its own',
    scope: 'dashboard_secrets:write',
    body: requests.cloneGrant,
    status: 201,
    response: responses.grant,
    async answer({ app, changes, params, now, readBody }) {
      const { value: source } = await app.grants.get(params.grant!);
      const terms = (asked: Clone) => takeCloneTerms(source, asked, now);
      const body = readBody((valid) => terms(valid).problems);
      requireUnrevoked(source);
      const { value: secret } = await app.secrets.get(source.secretId);
      const { principal } = source;
      if (principal.type === 'agent') requireActive((await app.agents.get(principal.agentId)).value);
      const { policy, expiresAt } = terms(body);
      const { label = source.label, description = source.description } = body;
      return createGrant({ principal, label, description, policy, expiresAt }, { app, changes, now, secret });
    },
  }),
];

type Clone = Partial<ReturnType<typeof requests.cloneGrant.parse>>;

/** The end is as asked, within the policy; without one it is that of the source, or an earlier one that the policy sets. */
function takeCloneTerms(source: Grant, asked: Clone, now: number) {
  const { ttl_seconds: ttl, expires_at: expiresAt } = asked;
  const field = ttl === undefined ? 'expires_at' : 'ttl_seconds';
  const none = { policy: null, expiresAt: null };
  if (ttl !== undefined && expiresAt !== undefined)
    return { ...none, problems: [{ field, message: 'and expires_at exclude each other' }] };
  const end = ttl === undefined ? expiresAt : formatTime(now + ttl * 1_000);
  const policy = source.policy;
  const terms = takeGrantTerms({ grant_policy: policy, expires_at: end }, null, { field: 'grant_policy', now });
  if (end === undefined && source.expiresAt !== null) {
    if (source.expiresAt <= now)
      return { ...none, problems: [{ field, message: 'is needed, since the grant itself has expired' }] };
    return { ...terms, expiresAt: Math.min(source.expiresAt, terms.expiresAt ?? source.expiresAt) };
  }
  const named = terms.problems.map((problem) => (problem.field === 'expires_at' ? { ...problem, field } : problem));
  return { ...terms, problems: named };
}

type Terms = Parameters<typeof takeGrantTerms>[0];

/** Records the change, then makes it. Throws `conflict` for a grant that is revoked. */
export async function changeGrant(
  call: Pick<AppCall<Record<never, never>, Record<never, never>>, 'app' | 'changes' | 'params' | 'expectedRevision'>,
  change: (grant: Grant) => Grant,
): Promise<Versioned<Grant>> {
  const { app, changes, params, expectedRevision } = call;
  const { value: grant } = await app.grants.get(params.grant!);
  requireUnrevoked(grant);
  const secret = await findSecret(app.secrets, grant.secretId);
  const changeLive = (live: Grant): Grant => {
    requireUnrevoked(live);
    return change(live);
  };
  return changes.before(grantEvent('grant.updated', grant, secret), () =>
    app.grants.update(grant.id, changeLive, expectedRevision),
  );
}

export async function createGrant(
  draft: Omit<GrantDraft, 'secretId'>,
  of: { readonly app: AppVault; readonly changes: ChangeRecorder; readonly now: number; readonly secret: Secret },
): Promise<Answer> {
  const { app, changes, secret } = of;
  const grant = await changes.after({
    create: () => app.grants.create({ ...draft, secretId: secret.id }),
    event: ({ value }) => grantEvent('grant.created', value, secret),
    takeBack: ({ value }) => app.grants.revoke(value.id),
  });
  return { body: representGrant(grant.value, { secret, lastUsedAt: null }, of.now), revision: grant.revision };
}

/** Each with its secret. */
export async function representGrants(app: AppVault, grants: readonly Versioned<Grant>[], now: number) {
  const ids = [...new Set(grants.map(({ value }) => value.secretId))];
  const found = await app.secrets.findAll(ids);
  const secrets = new Map(found.map((secret, index) => [ids[index], secret]));
  return showGrants(
    app,
    grants.map(({ value }) => ({ grant: value, secret: secrets.get(value.secretId) ?? null })),
    now,
  );
}

async function answerGrant(
  { app, now }: Pick<AppCall<Record<never, never>, Record<never, never>>, 'app' | 'now'>,
  { value, revision }: Versioned<Grant>,
): Promise<{ body: object; revision: number }> {
  const secret = await findSecret(app.secrets, value.secretId);
  const [shown] = await showGrants(app, [{ grant: value, secret }], now);
  return { body: shown!, revision };
}

/** Null where the secret was deleted; its grants outlive it, so that the audit keeps its meaning. */
export async function findSecret(secrets: SecretRepository, id: string): Promise<Secret | null> {
  try {
    return (await secrets.get(id)).value;
  } catch (error) {
    if (error instanceof AlterError && error.code === 'not_found') return null;
    throw error;
  }
}

function requireUnrevoked(grant: Grant): void {
  if (grant.revokedAt !== null)
    throw new AlterError('conflict', {
      detail: 'The grant is revoked, and a revoked grant never changes.',
      hint: 'Create a new grant.',
    });
}

function grantEvent(event: ChangeEvent['event'], grant: Grant, secret: Secret | null): ChangeEvent {
  return {
    event,
    app_id: grant.appId,
    grant_id: grant.id,
    ...(grant.principal.type === 'agent' ? { agent_id: grant.principal.agentId } : {}),
    ...(grant.principal.type === 'user' ? { user_id: grant.principal.appUserId } : {}),
    managed_secret_id: grant.secretId,
    managed_secret_slug: secret?.slug ?? null,
  };
}
