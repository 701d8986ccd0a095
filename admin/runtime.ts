import { delegationEndsAt, delegationStatus, findChainBreak, findSourceBreak } from '../core/delegation.ts';
import { AlterError } from '../core/errors.ts';
import { type Grant, grantStatus } from '../core/grant.ts';
import type { Principal } from '../core/principal.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { Secret } from '../core/secret.ts';
import { groupsOf, type User, type VerifiedUser } from '../core/user.ts';
import type { Page, PageQuery } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { checkDerived, deriveKey, requireParent } from './derive-key.ts';
import { createGrant, findSecret } from './grants.ts';
import { type Route, type RuntimeCall, runtimeRoute } from './http/route.ts';
import { requireActive } from './mint-key.ts';
import { checkEnd, endOf } from './parse-time.ts';
import { checkPrincipal, findPrincipal } from './principal-intake.ts';
import { principalResponses } from './schemas/principal-schemas.ts';
import {
  formatTime,
  representAgent,
  representDelegation,
  representKey,
  representPage,
} from './schemas/representation.ts';
import { runtimeRequests, runtimeResponses } from './schemas/runtime-schemas.ts';
import { requests, responses } from './schemas/schemas.ts';

const pageSize = 500;
/** Of grants to one principal and of delegations to one agent: what one answer looks at. */
const maxLookedAt = 2_000;

type Bare = RuntimeCall<Record<never, never>, Record<never, never>>;

/** What application code may do for itself, with the key that it calls the proxy with. */
export const runtimeRoutes: readonly Route[] = [
  runtimeRoute({
    method: 'GET',
    path: '/v1/runtime/me',
    operationId: 'getRuntimeMe',
    summary: 'The key of this request, its agent, and the user of X-Alter-User-Token',
    scope: { runtime: null },
    status: 200,
    response: runtimeResponses.me,
    async answer({ app, caller, findUser, now }) {
      const user = await findUser();
      const { key, agent } = caller;
      return {
        body: {
          app_id: key.appId,
          key: representKey(key, (await app.lastUses.find('key', [key.id]))[0] ?? null, now),
          agent: agent === null ? null : representAgent(agent),
          user:
            user === null
              ? null
              : { id: user.userId, idp_id: user.idpId, external_id: user.externalId, groups: groupsOf(user) },
        },
      };
    },
  }),
  runtimeRoute({
    method: 'GET',
    path: '/v1/runtime/grants',
    operationId: 'listUsableGrants',
    summary: 'The grants and delegations that this key may use now, with those of the user of X-Alter-User-Token',
    scope: { runtime: 'grants:read' },
    query: requests.page,
    status: 200,
    response: runtimeResponses.usable,
    async answer({ vault, app, caller, findUser, now, query }) {
      const user = await findUser();
      const { archivedAt } = (await vault.apps.get(app.appId)).value;
      const found = archivedAt === null ? await listUsable(app, { caller, user }, now) : [];
      const items = found.slice(query.offset, query.offset + query.limit);
      return { body: representPage(items, { total: found.length, ...query }) };
    },
  }),
  runtimeRoute({
    method: 'POST',
    path: '/v1/runtime/grants',
    operationId: 'createManagedSecretGrant',
    summary: 'Grant a managed secret to a principal',
    scope: { runtime: 'grants:write' },
    body: runtimeRequests.createGrant,
    status: 201,
    response: responses.grant,
    async answer({ app, changes, now, readBody }) {
      const body = readBody((valid) => [
        ...checkEnd(endOf(valid.expires_at), { field: 'expires_at', now }),
        ...checkPrincipal(valid),
      ]);
      const { value: secret } = await app.secrets.get(body.managed_secret);
      const principal = await findPrincipal(app, body);
      const { label, description = null } = body;
      const draft = { principal, label, description, policy: null, expiresAt: endOf(body.expires_at) };
      return createGrant(draft, { app, changes, now, secret });
    },
  }),
  runtimeRoute({
    method: 'POST',
    path: '/v1/runtime/keys/derive',
    operationId: 'deriveKey',
    summary: 'Make a narrower key that lives shorter, an hour unless said; it ends with the key of this request',
    scope: { runtime: 'keys:derive' },
    body: runtimeRequests.deriveKey,
    shownOnce: ['key'],
    status: 201,
    response: responses.mintedKey,
    async answer({ app, caller, changes, now, readBody }) {
      requireParent(caller);
      const parent = caller.key;
      return deriveKey(
        readBody((valid) => checkDerived(valid, parent, now)),
        { app, changes, now, parent },
      );
    },
  }),
  runtimeRoute({
    method: 'GET',
    path: '/v1/runtime/delegations',
    operationId: 'listOwnDelegations',
    summary: 'What the user of X-Alter-User-Token lent; with an agent key and no token, what was lent to the agent',
    scope: { runtime: null },
    query: requests.page,
    status: 200,
    response: principalResponses.delegations,
    async answer({ app, caller, findUser, now, query }) {
      const user = await findUser();
      const agentId = caller.key.agentId;
      if (user === null && agentId === null) throw tokenNeeded();
      const about = user === null ? { agentId: agentId ?? '' } : { userId: user.userId ?? '' };
      const page = await app.delegations.list({ ...query, ...about });
      const shown: object[] = [];
      for (const { value } of page.items) shown.push(await represent(app, value, now));
      return { body: representPage(shown, { total: page.total, ...query }) };
    },
  }),
  runtimeRoute({
    method: 'POST',
    path: '/v1/runtime/delegations',
    operationId: 'createDelegation',
    summary: 'Lend an agent a grant of the user of X-Alter-User-Token, or of a group of theirs',
    scope: { runtime: 'delegations:create' },
    body: runtimeRequests.createDelegation,
    status: 201,
    response: principalResponses.delegation,
    answer: (call) =>
      lend(
        call,
        call.readBody((valid) => checkEnd(endOf(valid.expires_at), { field: 'expires_at', now: call.now })),
      ),
  }),
  runtimeRoute({
    method: 'POST',
    path: '/v1/runtime/delegations/{delegation}/revoke',
    operationId: 'revokeOwnDelegation',
    summary: 'Take back what the user of X-Alter-User-Token lent',
    scope: { runtime: 'delegations:create' },
    whileArchived: true,
    status: 200,
    response: principalResponses.delegation,
    async answer(call) {
      const { app, changes, now, params } = call;
      const user = await requireUser(call);
      const { value } = await app.delegations.get(params.delegation!);
      // As if there were none: whose it is, is nobody else's business.
      if (value.userId !== user.userId) throw notFound('There is no such delegation in this app.');
      const event = delegationEvent('delegation.revoked', value);
      const revoked = await changes.before(event, () => app.delegations.revoke(value.id));
      return { body: await represent(app, revoked.value, now), revision: revoked.revision };
    },
  }),
];

async function lend(
  call: Pick<Bare, 'app' | 'caller' | 'changes' | 'now' | 'findUser'>,
  body: ReturnType<typeof runtimeRequests.createDelegation.parse>,
) {
  const { app, caller, changes, now } = call;
  if (caller.key.keyType === 'agent')
    throw new AlterError('insufficient_scope', { detail: 'An agent can not lend to itself, nor on.' });
  const verified = await requireUser(call);
  // Written down at once: the chain is held to what stands there, on each request.
  const { value: user } = await app.users.see(verified);
  const { grant, secret } = await findOwnGrant(app, body.grant_id, user, now);
  const { value: agent } = await app.agents.get(body.agent_id);
  requireActive(agent);
  const latest = delegationEndsAt(
    { ...noDelegation, createdAt: now, expiresAt: grant.expiresAt ?? Number.POSITIVE_INFINITY },
    secret,
  );
  const expiresAt = endOf(body.expires_at) ?? latest;
  if (expiresAt > latest) {
    const message = `is later than the secret and the grant allow: ${formatTime(latest)}`;
    throw new AlterError('validation_failed', {
      detail: `expires_at ${message}`,
      problems: [{ field: 'expires_at', message }],
    });
  }
  const draft = { agentId: agent.id, sourceGrantId: grant.id, userId: user.id, expiresAt };
  const created = await changes.after({
    create: () => app.delegations.create(draft),
    event: ({ value }) => delegationEvent('delegation.created', value),
    takeBack: ({ value }) => app.delegations.revoke(value.id),
  });
  return { body: representDelegation(created.value, { secretId: secret.id, secret }, now), revision: created.revision };
}

const noDelegation = { id: '', appId: '', agentId: '', sourceGrantId: '', userId: '', revokedAt: null };

/** Throws `not_found` for a grant that is not there or not the user's, `principal_mismatch` where it may not be lent. */
async function findOwnGrant(
  app: AppVault,
  grantId: string,
  user: User,
  now: number,
): Promise<{ readonly grant: Grant; readonly secret: Secret }> {
  const { value: grant } = await app.grants.get(grantId);
  const secret = await findSecret(app.secrets, grant.secretId);
  const { principal } = grant;
  const isTheirs =
    principal.type === 'user'
      ? principal.appUserId === user.id
      : principal.type === 'group' &&
        principal.idpId === user.idpId &&
        groupsOf(user).includes(principal.externalGroupId);
  if (!isTheirs || secret === null || grantStatus(grant, now) !== 'active')
    throw notFound('The user has no such grant.');
  const refusal = findSourceBreak(grant, secret, user);
  if (refusal !== null)
    throw new AlterError(refusal.code, refusal.detail === undefined ? {} : { detail: refusal.detail });
  return { grant, secret };
}

async function requireUser({ findUser }: Pick<Bare, 'findUser'>): Promise<VerifiedUser> {
  const user = await findUser();
  if (user === null) throw tokenNeeded();
  return user;
}

function tokenNeeded(): AlterError {
  return new AlterError('user_token_invalid', { detail: 'This needs the token of a user in X-Alter-User-Token.' });
}

function notFound(detail: string): AlterError {
  return new AlterError('not_found', { detail });
}

function delegationEvent(
  event: 'delegation.created' | 'delegation.revoked',
  of: { readonly id: string; readonly appId: string; readonly agentId: string; readonly userId: string },
) {
  return { event, app_id: of.appId, grant_id: of.id, agent_id: of.agentId, user_id: of.userId };
}

async function represent(app: AppVault, delegation: Parameters<typeof representDelegation>[0], now: number) {
  const { value: grant } = await app.grants.get(delegation.sourceGrantId);
  const secret = await findSecret(app.secrets, grant.secretId);
  return representDelegation(delegation, { secretId: grant.secretId, secret }, now);
}

/** As the data plane would decide it, hosts and policies aside. */
async function listUsable(
  app: AppVault,
  { caller, user }: { readonly caller: Caller; readonly user: VerifiedUser | null },
  now: number,
): Promise<object[]> {
  const { keyType, agentId } = caller.key;
  const principals: Principal[] =
    keyType === 'agent' ? (agentId === null ? [] : [{ type: 'agent', agentId }]) : principalsOf(user);
  const usable: object[] = [];
  for (const principal of principals) {
    for (const grant of await all((page) => app.grants.list({ ...page, principal }))) {
      const secret = grantStatus(grant, now) === 'active' ? await findSecret(app.secrets, grant.secretId) : null;
      if (secret !== null) usable.push(asUsable(grant, secret, { id: grant.id, kind: 'grant', end: grant.expiresAt }));
    }
  }
  if (keyType !== 'agent' || agentId === null) return usable;
  for (const delegation of await all((page) => app.delegations.list({ ...page, agentId }))) {
    if (delegationStatus(delegation, now) !== 'active') continue;
    const { value: grant } = await app.grants.get(delegation.sourceGrantId);
    const secret = await findSecret(app.secrets, grant.secretId);
    const lender = await findLender(app, delegation.userId);
    if (secret === null) continue;
    if (findChainBreak({ delegation, user: lender }, { grant, secret, agentId }, now) !== null) continue;
    const end = Math.min(delegationEndsAt(delegation, secret), grant.expiresAt ?? Number.POSITIVE_INFINITY);
    usable.push(asUsable(grant, secret, { id: delegation.id, kind: 'delegation', end }));
  }
  return usable;
}

function principalsOf(user: VerifiedUser | null): Principal[] {
  if (user === null) return [{ type: 'system' }];
  const { userId, idpId } = user;
  return [
    { type: 'system' },
    ...(userId === null ? [] : [{ type: 'user', appUserId: userId } as const]),
    ...groupsOf(user).map((externalGroupId) => ({ type: 'group', idpId, externalGroupId }) as const),
  ];
}

/** Null where the user, or the identity provider that vouches for them, is gone. */
async function findLender(app: AppVault, userId: string): Promise<User | null> {
  try {
    const { value: user } = await app.users.get(userId);
    await app.identityProviders.get(user.idpId);
    return user;
  } catch (error) {
    if (error instanceof AlterError && error.code === 'not_found') return null;
    throw error;
  }
}

function asUsable(
  grant: Grant,
  secret: Secret,
  of: { readonly id: string; readonly kind: 'grant' | 'delegation'; readonly end: number | null },
): object {
  return {
    id: of.id,
    kind: of.kind,
    principal_type: grant.principal.type,
    label: grant.label,
    managed_secret_slug: secret.slug,
    managed_secret_name: secret.name,
    allowed_hosts: secret.allowedHosts,
    expires_at: of.end === null ? null : formatTime(of.end),
  };
}

async function all<T>(list: (query: PageQuery) => Promise<Page<T>>): Promise<T[]> {
  const found: T[] = [];
  for (let offset = 0; offset < maxLookedAt; offset += pageSize) {
    const page = await list({ limit: pageSize, offset });
    for (const { value } of page.items) found.push(value);
    if (found.length >= page.total || page.items.length === 0) break;
  }
  return found;
}
