import { AlterError, type ErrorCode } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import { type ClaimNames, defaultClaimNames, type IdentityProvider } from '../core/identity-provider.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { requireRevision } from './http/etag.ts';
import { appRoute, type Route, type Services } from './http/route.ts';
import type { ChangeEvent } from './record-change.ts';
import { principalRequests, principalResponses } from './schemas/principal-schemas.ts';
import { representPage, representProvider } from './schemas/representation.ts';
import { requests } from './schemas/schemas.ts';

const collection = '/v1/apps/{app}/identity-providers';
const item = `${collection}/{idp}`;

export const identityProviderRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listIdentityProviders',
    summary: 'Who vouches for the users of the app',
    scope: 'dashboard_identity_providers:read',
    query: requests.page,
    status: 200,
    response: principalResponses.providers,
    async answer({ app, query }) {
      const { items, total } = await app.identityProviders.list(query);
      const shown = items.map(({ value }) => representProvider(value));
      return { body: representPage(shown, { total, ...query }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'createIdentityProvider',
    summary: 'Trust the tokens of an issuer; without jwks_url, it is asked where its keys are',
    scope: 'dashboard_identity_providers:write',
    body: principalRequests.createProvider,
    status: 201,
    response: principalResponses.provider,
    async answer({ app, changes, fetchHttps, readBody }) {
      const body = readBody();
      const jwksUrl = body.jwks_url ?? (await discover(body.issuer, fetchHttps));
      const { name, issuer, audience } = body;
      const claims = mergeClaims(defaultClaimNames, body.claims);
      const algorithms = [...new Set(body.algorithms)];
      const created = await changes.after({
        create: () =>
          app.identityProviders.create({
            name,
            issuer,
            audience,
            jwksUrl,
            claims,
            algorithms,
            singleUse: body.single_use,
          }),
        event: ({ value }) => providerEvent('identity_provider.created', value),
        takeBack: ({ value }) => app.identityProviders.delete(value.id),
      });
      return answerProvider(created);
    },
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getIdentityProvider',
    summary: 'One identity provider',
    scope: 'dashboard_identity_providers:read',
    status: 200,
    response: principalResponses.provider,
    answer: async ({ app, params }) => answerProvider(await getProvider(app, params.idp!)),
  }),
  appRoute({
    method: 'PATCH',
    path: item,
    operationId: 'updateIdentityProvider',
    summary: 'Change an identity provider; issuer and claims stand fast once it has users',
    scope: 'dashboard_identity_providers:write',
    body: principalRequests.updateProvider,
    conditional: true,
    status: 200,
    response: principalResponses.provider,
    async answer({ app, changes, params, expectedRevision, readBody }) {
      const current = await getProvider(app, params.idp!);
      const body = readBody();
      requireRevision(current, expectedRevision);
      const { id } = current.value;
      const change = (provider: IdentityProvider): IdentityProvider => ({
        ...provider,
        name: body.name ?? provider.name,
        issuer: body.issuer ?? provider.issuer,
        audience: body.audience ?? provider.audience,
        jwksUrl: body.jwks_url ?? provider.jwksUrl,
        claims: mergeClaims(provider.claims, body.claims ?? {}),
        algorithms: body.algorithms === undefined ? provider.algorithms : [...new Set(body.algorithms)],
        singleUse: body.single_use ?? provider.singleUse,
      });
      if (isAnotherPerson(current.value, change(current.value))) await requireNoUsers(app, id);
      const updated = await changes.before(providerEvent('identity_provider.updated', current.value), () =>
        app.identityProviders.update(id, change, current.revision),
      );
      return answerProvider(updated);
    },
  }),
  appRoute({
    method: 'DELETE',
    path: item,
    operationId: 'deleteIdentityProvider',
    summary: 'Trust an identity provider no longer; what its users lent to agents ends, too',
    scope: 'dashboard_identity_providers:delete',
    conditional: true,
    whileArchived: true,
    status: 204,
    response: null,
    async answer({ app, changes, params, expectedRevision }) {
      const current = await getProvider(app, params.idp!);
      requireRevision(current, expectedRevision);
      await changes.before(providerEvent('identity_provider.deleted', current.value), () =>
        app.identityProviders.delete(current.value.id, expectedRevision),
      );
      return { body: null };
    },
  }),
];

/** Throws `not_found`. */
export async function getProvider(app: AppVault, id: string): Promise<Versioned<IdentityProvider>> {
  if (!isId(id)) throw new AlterError('not_found', { detail: 'There is no such identity provider in this app.' });
  return app.identityProviders.get(id);
}

function answerProvider({ value, revision }: Versioned<IdentityProvider>): { body: object; revision: number } {
  return { body: representProvider(value), revision };
}

function providerEvent(event: ChangeEvent['event'], provider: IdentityProvider): ChangeEvent {
  return { event, app_id: provider.appId, reason: provider.id };
}

function mergeClaims(
  claims: ClaimNames,
  change: { readonly [name in keyof ClaimNames]?: string | undefined },
): ClaimNames {
  return {
    user: change.user ?? claims.user,
    email: change.email ?? claims.email,
    name: change.name ?? claims.name,
    groups: change.groups ?? claims.groups,
  };
}

/** Whether the same token would then name somebody else, or other groups. */
function isAnotherPerson(before: IdentityProvider, after: IdentityProvider): boolean {
  return (
    before.issuer !== after.issuer ||
    before.claims.user !== after.claims.user ||
    before.claims.email !== after.claims.email ||
    before.claims.name !== after.claims.name ||
    before.claims.groups !== after.claims.groups
  );
}

async function requireNoUsers(app: AppVault, idpId: string): Promise<void> {
  const { total } = await app.users.list({ limit: 1, offset: 0, idpId });
  if (total === 0) return;
  throw new AlterError('conflict', {
    detail:
      'The issuer and the claims cannot change any more: users of this identity provider are known, and have grants.',
    hint: 'Create another identity provider.',
  });
}

const fetchFailures: readonly ErrorCode[] = [
  'upstream_dns',
  'upstream_refused',
  'upstream_tls',
  'upstream_protocol',
  'upstream_timeout',
  'address_forbidden',
];

/** OpenID Connect Discovery 1.0, section 4: the document must name the very issuer that it was asked of. */
export async function discover(issuer: string, fetchHttps: Services['fetchHttps']): Promise<string> {
  const problem = (message: string) =>
    new AlterError('validation_failed', {
      detail: `issuer ${message}`,
      problems: [{ field: 'issuer', message }],
      hint: 'Give jwks_url to do without discovery.',
    });
  if (!issuer.startsWith('https://')) throw problem('must be an https:// URL to be asked where its keys are');
  let document: unknown;
  try {
    const body = await fetchHttps(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
    document = JSON.parse(body.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw problem('does not answer with a discovery document');
    if (error instanceof AlterError && fetchFailures.includes(error.code))
      throw problem(`could not be asked where its keys are (${error.code})`);
    throw error;
  }
  const { issuer: named, jwks_uri: jwksUrl } = (document ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
  if (named !== issuer) throw problem('is called otherwise in its own discovery document');
  const url = principalRequests.updateProvider.shape.jwks_url.safeParse(jwksUrl);
  if (!url.success || url.data === undefined) throw problem('names no https:// URL for its keys');
  return url.data;
}
