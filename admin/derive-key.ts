import { AlterError, type Problem } from '../core/errors.ts';
import { type Caller, hasRuntimeScope, type RuntimeKey } from '../core/runtime-key.ts';
import { issueToken } from '../core/token.ts';
import type { AppVault } from '../vault/vault.ts';
import type { Answer } from './http/route.ts';
import { checkNewKey, endOfKey, keyEvent, type NewKey } from './mint-key.ts';
import type { ChangeRecorder } from './record-change.ts';
import { representKey } from './schemas/representation.ts';

const hourMs = 3_600_000;
const defaultLifeMs = hourMs;
const maxLifeMs = 7 * 24 * hourMs;

/** Only runtime keys have children: what an agent's key could hand on would see the grants of the system. */
export function requireParent({ key }: Caller): void {
  if (key.keyType === 'runtime') return;
  throw new AlterError('insufficient_scope', { detail: 'Keys are derived from a runtime key only.' });
}

/** A derived key holds nothing that its parent does not, can't derive, and lives at most a week. */
export function checkDerived(body: Partial<NewKey>, parent: RuntimeKey, now: number): Problem[] {
  const problems = checkNewKey(body, now);
  (body.scopes ?? []).forEach((scope, index) => {
    const field = `scopes[${index}]`;
    if (scope === 'keys:derive') problems.push({ field, message: 'is not for derived keys' });
    else if (!hasRuntimeScope(parent.scopes, scope))
      problems.push({ field, message: 'is not a scope of the key that it is derived from' });
  });
  const end = endOfKey(body, now);
  const field = body.expires_in === undefined ? 'expires_at' : 'expires_in';
  if (end !== null && end > now + maxLifeMs) problems.push({ field, message: 'is more than 7 days ahead' });
  return problems;
}

export async function deriveKey(
  body: NewKey,
  of: { readonly app: AppVault; readonly changes: ChangeRecorder; readonly now: number; readonly parent: RuntimeKey },
): Promise<Answer> {
  const { app, changes, now, parent } = of;
  const wanted = endOfKey(body, now) ?? now + defaultLifeMs;
  const token = issueToken('derived', now);
  const key: RuntimeKey = {
    id: token.id,
    appId: app.appId,
    keyType: 'derived',
    agentId: null,
    parentId: parent.id,
    rotatedFrom: null,
    name: body.name,
    scopes: [...new Set(body.scopes)],
    cidr: [...new Set(body.cidr)],
    rateLimitRpm: body.rate_limit_rpm ?? null,
    expiresAt: parent.expiresAt === null ? wanted : Math.min(wanted, parent.expiresAt),
    digest: token.digest.toString('hex'),
    createdAt: now,
    rotatedAt: null,
    revokedAt: null,
  };
  const minted = await changes.before(keyEvent('key.minted', key), () => app.keys.create(key));
  // Revoked meanwhile: whoever looked for its children then may have missed this one.
  if ((await app.keys.get(parent.id)).value.revokedAt !== null) {
    await changes.before({ ...keyEvent('key.revoked', key), reason: `derived from ${parent.id}` }, () =>
      app.keys.revoke(key.id),
    );
    throw new AlterError('unauthenticated');
  }
  return { body: { ...representKey(minted.value, null, now), key: token.plaintext }, revision: minted.revision };
}
