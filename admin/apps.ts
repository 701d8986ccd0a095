import { AlterError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import { requireRevision } from './etag.ts';
import { requirePolicyScope, takePolicy } from './policy-intake.ts';
import { representApp, representPage } from './representation.ts';
import { appRoute, type Route, route } from './route.ts';
import { requests, responses } from './schemas.ts';

export const appRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/apps',
    operationId: 'listApps',
    summary: 'The apps that the token may see',
    scope: 'dashboard_apps:read',
    query: requests.page,
    status: 200,
    response: responses.apps,
    async answer({ vault, query, accessToken }) {
      if (accessToken.appId !== null) {
        const { value } = await vault.apps.get(accessToken.appId);
        const items = [representApp(value)].slice(query.offset, query.offset + query.limit);
        return { body: representPage(items, { total: 1, ...query }) };
      }
      const { items, total } = await vault.apps.list(query);
      return {
        body: representPage(
          items.map(({ value }) => representApp(value)),
          { total, ...query },
        ),
      };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/apps',
    operationId: 'createApp',
    summary: 'Create an app',
    scope: 'dashboard_apps:write',
    body: requests.createApp,
    status: 201,
    response: responses.app,
    async answer({ vault, changes, accessToken, readBody }) {
      if (accessToken.appId !== null)
        throw new AlterError('insufficient_scope', { detail: 'The token is limited to one app and creates none.' });
      const { name } = readBody((valid) =>
        valid.name !== undefined && isId(valid.name)
          ? [{ field: 'name', message: 'has the form of an id, which would make paths ambiguous' }]
          : [],
      );
      const app = await changes.after({
        create: () => vault.apps.create({ name }),
        event: ({ value }) => ({ event: 'app.created', app_id: value.id }),
      });
      return { body: representApp(app.value), revision: app.revision };
    },
  }),
  appRoute({
    method: 'GET',
    path: '/v1/apps/{app}',
    operationId: 'getApp',
    summary: 'One app',
    scope: 'dashboard_apps:read',
    status: 200,
    response: responses.app,
    async answer({ vault, app }) {
      const { value, revision } = await vault.apps.get(app.appId);
      return { body: representApp(value), revision };
    },
  }),
  appRoute({
    method: 'PATCH',
    path: '/v1/apps/{app}',
    operationId: 'updateApp',
    summary: 'Change the policy of an app, or what its traffic without a grant gets',
    scope: 'dashboard_apps:write',
    body: requests.updateApp,
    conditional: true,
    status: 200,
    response: responses.app,
    async answer({ vault, app, changes, expectedRevision, readBody, accessToken }) {
      const current = await vault.apps.get(app.appId);
      const readPolicy = (of: { readonly policy?: unknown }) =>
        takePolicy(of.policy, { level: 'app', field: 'policy' });
      const body = readBody((valid) => readPolicy(valid).problems);
      requirePolicyScope(accessToken, body.policy);
      requireRevision(current, expectedRevision);
      const { value, revision } = await changes.before({ event: 'app.updated', app_id: app.appId }, () =>
        vault.apps.update(
          app.appId,
          (before) => ({
            ...before,
            policy: body.policy === undefined ? before.policy : readPolicy(body).policy,
            egressMode: body.egress_mode === undefined ? before.egressMode : body.egress_mode,
          }),
          expectedRevision,
        ),
      );
      return { body: representApp(value), revision };
    },
  }),
];
