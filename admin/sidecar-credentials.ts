import { z } from 'zod';
import { formatAppKey } from '../core/app-key.ts';
import { appRoute, type Route } from './http/route.ts';

const request = z.strictObject({
  keep_old: z
    .boolean()
    .default(false)
    .meta({ description: 'Passwords of the store that were given out before go on working' }),
});

const response = z
  .strictObject({
    app_id: z.string(),
    app_key: z
      .string()
      .nullable()
      .meta({ description: 'For ALTER_APP_KEY; opens everything of this app, and nothing else. Shown this once' }),
    store_url: z
      .string()
      .nullable()
      .meta({ description: 'For ALTER_STORE_URL, with a password that is shown this once' }),
    store_user: z.string(),
    store_user_made: z.boolean().meta({ description: 'False: run `store_rule` at the server' }),
    store_rule: z.string().meta({ description: 'The Redis command that makes this user; it holds no secret' }),
    notes: z.array(z.string()),
  })
  .meta({ id: 'SidecarCredentials' });

export const sidecarCredentialRoutes: readonly Route[] = [
  appRoute({
    method: 'POST',
    path: '/v1/apps/{app}/sidecar-credentials',
    operationId: 'issueSidecarCredentials',
    summary: 'What a sidecar of this app needs: the key of the app, and a user of the store limited to it',
    scope: 'dashboard_apps:admin',
    body: request,
    status: 201,
    shownOnce: ['app_key', 'store_url'],
    response,
    async answer({ app, vault, changes, sidecarStore, readBody }) {
      const { keep_old: keepOld } = readBody();
      sidecarStore.requireShared();
      const { appId } = app;
      return changes.before({ event: 'sidecar_credentials.issued', app_id: appId }, async () => {
        const key = await vault.keyring.readAppKey(appId);
        const login = await sidecarStore.issueLogin({ appId, keepOld });
        return {
          body: {
            app_id: appId,
            app_key: formatAppKey({ appId, key }),
            store_url: login.url,
            store_user: login.user,
            store_user_made: login.isMade,
            store_rule: login.rule,
            notes: [...login.notes],
          },
        };
      });
    },
  }),
];
