import type { AccessToken } from '../core/access-token.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import type { PageQuery } from '../vault/records/record.ts';
import type { Vault } from '../vault/vault.ts';
import { requireRevision } from './http/etag.ts';
import { appRoute, type Route, route } from './http/route.ts';
import { listMatching } from './list-matching.ts';
import { requirePolicyScope, takePolicy } from './policy-intake.ts';
import type { ChangeRecorder } from './record-change.ts';
import { representApp, representPage } from './schemas/representation.ts';
import { requests, responses } from './schemas/schemas.ts';

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
      const { name } = readBody(checkName);
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
    summary: 'Change the name or the policy of an app, or what its traffic without a grant gets',
    scope: 'dashboard_apps:write',
    body: requests.updateApp,
    conditional: true,
    status: 200,
    response: responses.app,
    async answer({ vault, app, changes, expectedRevision, readBody, accessToken }) {
      const current = await vault.apps.get(app.appId);
      const readPolicy = (of: { readonly policy?: unknown }) =>
        takePolicy(of.policy, { level: 'app', field: 'policy' });
      const body = readBody((valid) => [...checkName(valid), ...readPolicy(valid).problems]);
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
          body.name,
        ),
      );
      return { body: representApp(value), revision };
    },
  }),
  appRoute({
    method: 'POST',
    path: '/v1/apps/{app}/archive',
    operationId: 'archiveApp',
    summary: 'Take an app out of use: nothing of it works at the proxy, and its objects are only read',
    scope: 'dashboard_apps:admin',
    whileArchived: true,
    status: 200,
    response: responses.app,
    async answer({ vault, app, changes }) {
      const event = { event: 'app.archived', app_id: app.appId } as const;
      const { value, revision } = await changes.before(event, () => vault.apps.archive(app.appId));
      return { body: representApp(value), revision };
    },
  }),
  appRoute({
    method: 'POST',
    path: '/v1/apps/{app}/unarchive',
    operationId: 'unarchiveApp',
    summary: 'Take an app back into use, as it was when it was archived',
    scope: 'dashboard_apps:admin',
    whileArchived: true,
    status: 200,
    response: responses.app,
    async answer({ vault, app, changes }) {
      const event = { event: 'app.unarchived', app_id: app.appId } as const;
      const { value, revision } = await changes.before(event, () => vault.apps.unarchive(app.appId));
      return { body: representApp(value), revision };
    },
  }),
  appRoute({
    method: 'DELETE',
    path: '/v1/apps/{app}',
    operationId: 'deleteApp',
    summary: 'Delete an app for good, with everything in it and its audit: its key is destroyed',
    scope: 'dashboard_apps:delete',
    query: requests.deleteApp,
    conditional: true,
    whileArchived: true,
    status: 204,
    response: null,
    async answer({ vault, app, changes, query, expectedRevision }) {
      const current = await vault.apps.get(app.appId);
      const { id, name } = current.value;
      if (query.confirm !== name)
        throw new AlterError('conflict', {
          detail: 'What confirm says is not the name of the app.',
          hint: 'Give the name of the app as confirm: with the app, everything in it is gone for good.',
        });
      requireRevision(current, expectedRevision);
      await revokeTokensOf(id, vault, changes);
      // In the record of the system: that of the app can't be opened once its key is gone.
      await changes.before({ event: 'app.deleted', app_id: null, reason: `${id} ${name}` }, () =>
        vault.apps.delete(id, expectedRevision),
      );
      return { body: null };
    },
  }),
];

/** Tokens that may see this app alone: with it there is nothing left that they could be for. */
async function revokeTokensOf(appId: string, vault: Vault, changes: ChangeRecorder): Promise<void> {
  const isOfApp = (token: AccessToken) => token.appId === appId && token.revokedAt === null;
  const list = (page: PageQuery) => vault.accessTokens.list(page);
  const { items } = await listMatching(list, isOfApp, { limit: Infinity, offset: 0 });
  for (const { value: token } of items)
    await changes.before({ event: 'token.revoked', app_id: null, reason: `${token.id} with its app ${appId}` }, () =>
      vault.accessTokens.revoke(token.id),
    );
}

function checkName({ name }: { readonly name?: string | undefined }): Problem[] {
  if (name === undefined || !isId(name)) return [];
  return [{ field: 'name', message: 'has the form of an id, which would make paths ambiguous' }];
}
