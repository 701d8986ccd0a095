import type { User } from '../core/user.ts';
import { appRoute, type Route } from './http/route.ts';
import { getProvider } from './identity-providers.ts';
import { listMatching } from './list-matching.ts';
import { principalRequests, principalResponses } from './schemas/principal-schemas.ts';
import { representPage, representUser } from './schemas/representation.ts';

const collection = '/v1/apps/{app}/users';

export const userRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listUsers',
    summary: 'The end users of the app: seen in a token, or created',
    scope: 'dashboard_secrets:read',
    query: principalRequests.listUsers,
    status: 200,
    response: principalResponses.users,
    async answer({ app, query }) {
      const { limit, offset, idp, search } = query;
      const list = (page: { limit: number; offset: number }) => app.users.list({ ...page, idpId: idp });
      const { items, total } =
        search === undefined
          ? await list({ limit, offset })
          : await listMatching(list, (user) => isFoundBy(user, search.toLowerCase()), { limit, offset });
      const shown = items.map(({ value }) => representUser(value));
      return { body: representPage(shown, { total, limit, offset }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'createUser',
    summary: 'Create a user before the first token of theirs is seen, so that they can be granted something',
    scope: 'dashboard_identity_providers:write',
    body: principalRequests.createUser,
    status: 201,
    response: principalResponses.user,
    async answer({ app, changes, readBody }) {
      const body = readBody();
      const { value: provider } = await getProvider(app, body.idp_id);
      const { external_id: externalId, email = null, name = null } = body;
      const created = await changes.after({
        create: () => app.users.create({ idpId: provider.id, externalId, email, name }),
        event: ({ value }) => ({ event: 'user.created', app_id: value.appId, user_id: value.id }),
      });
      return { body: representUser(created.value), revision: created.revision };
    },
  }),
  appRoute({
    method: 'GET',
    path: `${collection}/{user}`,
    operationId: 'getUser',
    summary: 'One user',
    scope: 'dashboard_secrets:read',
    status: 200,
    response: principalResponses.user,
    async answer({ app, params }) {
      const { value, revision } = await app.users.get(params.user!);
      return { body: representUser(value), revision };
    },
  }),
];

function isFoundBy({ externalId, email, name }: User, words: string): boolean {
  return [externalId, email, name].some((text) => text?.toLowerCase().includes(words));
}
