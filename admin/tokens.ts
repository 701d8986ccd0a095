import { type AccessToken, accessTokenStatus, type DashboardScope, hasDashboardScope } from '../core/access-token.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import { issueToken } from '../core/token.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { Vault } from '../vault/vault.ts';
import { type Route, route } from './http/route.ts';
import { listMatching } from './list-matching.ts';
import { checkEnd, durationMs, endOf } from './parse-time.ts';
import type { ChangeEvent } from './record-change.ts';
import { representAccessToken, representPage } from './schemas/representation.ts';
import { requests, responses } from './schemas/schemas.ts';

const collection = '/v1/tokens';
const item = `${collection}/{token}`;

export const tokenRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: collection,
    operationId: 'listTokens',
    summary: 'The personal access tokens; to one that is limited to an app, those of that app',
    scope: 'dashboard_tokens:read',
    query: requests.listTokens,
    status: 200,
    response: responses.accessTokens,
    async answer({ vault, query, accessToken, now }) {
      const { limit, offset, status } = query;
      const isShown = (token: AccessToken) =>
        isWithin(accessToken, token) && (status === undefined || accessTokenStatus(token, now) === status);
      const { items, total } = await listMatching((page) => vault.accessTokens.list(page), isShown, { limit, offset });
      const shown = items.map(({ value }) => representAccessToken(value, now));
      return { body: representPage(shown, { total, limit, offset }) };
    },
  }),
  route({
    method: 'POST',
    path: collection,
    operationId: 'createToken',
    summary:
      'Create a personal access token that can do no more than that of the request; its plaintext is shown this once',
    scope: 'dashboard_tokens:write',
    body: requests.createToken,
    shownOnce: ['token'],
    status: 201,
    response: responses.createdAccessToken,
    async answer({ vault, changes, accessToken, now, readBody }) {
      const body = readBody((valid) => checkNewToken(valid, accessToken, now));
      requireHeld(body.scopes, accessToken);
      const appId = await findAppOf(body.app_id, accessToken, vault);
      const issued = issueToken('pat', now);
      const token: AccessToken = {
        id: issued.id,
        name: body.name,
        scopes: [...new Set(body.scopes)],
        appId,
        expiresAt: endOfToken(body, now) ?? accessToken.expiresAt,
        digest: issued.digest.toString('hex'),
        createdAt: now,
        revokedAt: null,
      };
      const created = await changes.before(tokenEvent('token.created', token), () => vault.accessTokens.create(token));
      return { body: { ...representAccessToken(created.value, now), token: issued.plaintext } };
    },
  }),
  route({
    method: 'GET',
    path: item,
    operationId: 'getToken',
    summary: 'One personal access token, without its plaintext',
    scope: 'dashboard_tokens:read',
    status: 200,
    response: responses.accessToken,
    async answer({ vault, params, accessToken, now }) {
      return { body: representAccessToken((await getToken(vault, params.token!, accessToken)).value, now) };
    },
  }),
  route({
    method: 'POST',
    path: `${item}/revoke`,
    operationId: 'revokeToken',
    summary: 'Revoke a personal access token for good',
    scope: 'dashboard_tokens:admin',
    body: requests.revokeToken,
    status: 200,
    response: responses.accessToken,
    async answer({ vault, changes, params, accessToken, now, readBody }) {
      const { value: token } = await getToken(vault, params.token!, accessToken);
      const { force } = readBody();
      // Whoever revokes another one still has a token that works: nobody is locked out by chance.
      if (token.id === accessToken.id && !force)
        throw new AlterError('conflict', {
          detail: 'This is the token of the request itself.',
          hint: 'Use another token, or force the revocation.',
        });
      const revoked = await changes.before(tokenEvent('token.revoked', token), () =>
        vault.accessTokens.revoke(token.id),
      );
      return { body: representAccessToken(revoked.value, now) };
    },
  }),
];

type NewToken = Partial<ReturnType<typeof requests.createToken.parse>>;

function isWithin(limited: AccessToken, token: AccessToken): boolean {
  return limited.appId === null || limited.appId === token.appId;
}

/** Throws `not_found`, also for one that exists but that the token of the request may not see. */
async function getToken(vault: Vault, idOrPrefix: string, by: AccessToken): Promise<Versioned<AccessToken>> {
  const found = await vault.accessTokens.get(idOrPrefix.replace(/^alter_pat_/, ''));
  if (!isWithin(by, found.value)) throw new AlterError('not_found');
  return found;
}

/** A token that could make one with more scopes, for more apps or for a longer time would have all of it itself. */
function requireHeld(scopes: readonly DashboardScope[], by: AccessToken): void {
  const lacking = scopes.filter((scope) => !hasDashboardScope(by.scopes, scope));
  if (lacking.length === 0) return;
  throw new AlterError('insufficient_scope', {
    detail: `The token can't grant what it lacks: ${lacking.join(', ')}.`,
    hint: 'Leave these scopes out, or use a token that holds them.',
  });
}

/** Throws `insufficient_scope`, and `not_found` for an app that the token of the request may not see. */
async function findAppOf(asked: string | null | undefined, by: AccessToken, vault: Vault): Promise<string | null> {
  if (asked === undefined) return by.appId;
  if (asked === null) {
    if (by.appId === null) return null;
    throw new AlterError('insufficient_scope', {
      detail: 'The token is limited to one app, and creates none for all.',
    });
  }
  const { value: app } = await vault.apps.get(asked);
  if (by.appId !== null && by.appId !== app.id) throw new AlterError('not_found');
  return app.id;
}

function endOfToken(body: Pick<NewToken, 'expires_in' | 'expires_at'>, now: number): number | null {
  return body.expires_in === undefined ? endOf(body.expires_at) : now + durationMs(body.expires_in);
}

function checkNewToken(body: NewToken, by: AccessToken, now: number): Problem[] {
  const { expires_in: expiresIn, expires_at: expiresAt } = body;
  if (expiresIn !== undefined && expiresAt !== undefined && expiresAt !== null)
    return [{ field: 'expires_in', message: 'and expires_at exclude each other' }];
  const field = expiresIn === undefined ? 'expires_at' : 'expires_in';
  const end = endOfToken(body, now);
  if (end !== null && by.expiresAt !== null && end > by.expiresAt)
    return [{ field, message: 'is after the end of the token that creates it' }];
  return checkEnd(end, { field, now });
}

function tokenEvent(event: ChangeEvent['event'], token: AccessToken): ChangeEvent {
  return { event, app_id: token.appId, reason: token.id };
}
