import { type AccessToken, dashboardScopes } from '../core/access-token.ts';
import { AlterError } from '../core/errors.ts';
import { issueId } from '../core/id.ts';
import { type IssuedToken, issueToken } from '../core/token.ts';
import type { AuditLog } from '../vault/audit/audit-log.ts';
import type { Vault } from '../vault/vault.ts';
import { formatTime } from './schemas/representation.ts';

const defaultApp = 'default';

/**
 * The first start on an empty vault: the app `default`, and a PAT with every scope, whose plaintext is handed out this
 * once. Later starts find both and issue nothing. A start that died in between is carried on with. `audit` is told of
 * both before they are handed out.
 */
export async function bootstrap(of: {
  readonly vault: Vault;
  readonly clock: () => number;
  readonly audit?: Pick<AuditLog, 'record'>;
}): Promise<{ readonly appId: string; readonly accessToken?: IssuedToken }> {
  const { vault, clock } = of;
  const appId = await findOrCreateApp(of);
  if ((await vault.accessTokens.list({ limit: 1, offset: 0 })).total > 0) return { appId };
  const now = clock();
  const accessToken = issueToken('pat', now);
  const record: AccessToken = {
    id: accessToken.id,
    name: 'first start',
    scopes: dashboardScopes,
    appId: null,
    expiresAt: null,
    digest: accessToken.digest.toString('hex'),
    createdAt: now,
    revokedAt: null,
  };
  await of.audit?.record({
    id: issueId(now),
    time: formatTime(now),
    event: 'token.created',
    app_id: null,
    principal_type: 'service',
    reason: 'first start',
  });
  await vault.accessTokens.create(record);
  return { appId, accessToken };
}

async function findOrCreateApp(of: Parameters<typeof bootstrap>[0]): Promise<string> {
  const { items } = await of.vault.apps.list({ limit: 1, offset: 0 });
  const first = items[0]?.value.id;
  if (first !== undefined) return (await findApp(of.vault, defaultApp)) ?? first;
  let appId: string;
  try {
    appId = (await of.vault.apps.create({ name: defaultApp })).value.id;
  } catch (error) {
    // Another process on the same store was faster.
    if (!(error instanceof AlterError) || error.code !== 'conflict') throw error;
    return (await of.vault.apps.get(defaultApp)).value.id;
  }
  const now = of.clock();
  await of.audit?.record({
    id: issueId(now),
    time: formatTime(now),
    event: 'app.created',
    app_id: appId,
    principal_type: 'service',
    reason: 'first start',
  });
  return appId;
}

async function findApp(vault: Vault, name: string): Promise<string | null> {
  try {
    return (await vault.apps.get(name)).value.id;
  } catch (error) {
    if (error instanceof AlterError && error.code === 'not_found') return null;
    throw error;
  }
}
