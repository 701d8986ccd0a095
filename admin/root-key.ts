import { z } from 'zod';
import type { AccessToken } from '../core/access-token.ts';
import { AlterError } from '../core/errors.ts';
import { systemSpace } from '../vault/keys/keyring.ts';
import { type Route, route } from './http/route.ts';

const count = z.number().int();
const status = z
  .strictObject({
    key_id: z.string().meta({ description: 'Of the key that wraps the keys of the apps; it reveals nothing of it' }),
    previous_key_ids: z.array(z.string()).meta({ description: 'Of keys that only unwrap' }),
    total: count.meta({ description: 'Keys of apps, and that of what belongs to none' }),
    current: count.meta({ description: 'Wrapped by key_id' }),
    others: z.array(z.strictObject({ key_id: z.string(), known: z.boolean(), count })),
    previous_needed: z.boolean().meta({ description: 'False: what wrapped before may be taken away' }),
  })
  .meta({ id: 'RootKeyStatus' });

const step = z
  .strictObject({
    examined: count,
    rewrapped: count,
    failed: z.array(z.strictObject({ app_id: z.string().nullable(), detail: z.string() })),
    next: z.string().nullable().meta({ description: 'To be given as `after`; null at the end' }),
  })
  .meta({ id: 'RewrapStep' });

export const rootKeyRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/root-key',
    operationId: 'getRootKey',
    summary: 'Which key wraps the keys of the apps, and how many of them are still wrapped by another',
    scope: 'dashboard_apps:read',
    status: 200,
    response: status,
    async answer({ vault, accessToken }) {
      requireAllApps(accessToken);
      const { current: keyId, previous } = vault.wrappedKeys.keyIds;
      const { total, current, others } = await vault.wrappedKeys.count();
      return {
        body: {
          key_id: keyId,
          previous_key_ids: [...previous],
          total,
          current,
          others: others.map((other) => ({ key_id: other.keyId, known: other.isKnown, count: other.count })),
          previous_needed: others.length > 0,
        },
      };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/root-key/rewrap',
    operationId: 'rewrapKeys',
    summary: 'Wrap the next keys of apps with the key that wraps now; repeat with `next` until it is null',
    scope: 'dashboard_apps:admin',
    body: z.strictObject({
      after: z.string().max(64).optional(),
      limit: z.number().int().min(1).max(500).default(100),
    }),
    status: 200,
    response: step,
    async answer({ vault, accessToken, changes, readBody }) {
      requireAllApps(accessToken);
      const { after, limit } = readBody();
      const { examined, rewrapped, failed, next } = await changes.before(
        { event: 'root_key.rewrapped', app_id: null, reason: vault.wrappedKeys.keyIds.current },
        () => vault.wrappedKeys.rewrap({ after, limit }),
      );
      return {
        body: {
          examined,
          rewrapped,
          failed: failed.map(({ space, detail }) => ({ app_id: space === systemSpace ? null : space, detail })),
          next,
        },
      };
    },
  }),
];

/** The root key is above all apps. Throws `insufficient_scope`. */
function requireAllApps({ appId }: AccessToken): void {
  if (appId === null) return;
  throw new AlterError('insufficient_scope', { detail: 'The token is limited to one app; this is about all of them.' });
}
