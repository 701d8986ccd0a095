import { findAddressRange } from '../core/address.ts';
import type { Agent } from '../core/agent.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import type { RuntimeKey, RuntimeScope } from '../core/runtime-key.ts';
import { issueToken } from '../core/token.ts';
import type { AppVault } from '../vault/vault.ts';
import { requireRoom } from './count-keys.ts';
import type { Answer } from './http/route.ts';
import { checkEnd, durationMs, endOf } from './parse-time.ts';
import type { ChangeEvent, ChangeRecorder } from './record-change.ts';
import { representKey } from './schemas/representation.ts';

/** What is said of a new key, whoever mints it. */
export interface NewKey {
  readonly name: string;
  readonly scopes: readonly RuntimeScope[];
  readonly cidr: readonly string[];
  readonly rate_limit_rpm?: number | null | undefined;
  readonly expires_in?: string | undefined;
  readonly expires_at?: string | null | undefined;
}

/**
 * Mints a key of the app, or of the agent where there is one; the answer holds its plaintext, this once. Throws `conflict`
 * for an agent that gets no new keys.
 */
export async function mintKey(
  body: NewKey,
  of: { readonly app: AppVault; readonly changes: ChangeRecorder; readonly now: number; readonly agent: Agent | null },
): Promise<Answer> {
  const { app, changes, now, agent } = of;
  if (agent !== null) requireActive(agent);
  await requireRoom(app, now);
  const keyType = agent === null ? 'runtime' : 'agent';
  const token = issueToken(keyType, now);
  const key: RuntimeKey = {
    id: token.id,
    appId: app.appId,
    keyType,
    agentId: agent?.id ?? null,
    parentId: null,
    rotatedFrom: null,
    name: body.name,
    scopes: [...new Set(body.scopes)],
    cidr: [...new Set(body.cidr)],
    rateLimitRpm: body.rate_limit_rpm ?? null,
    expiresAt: endOfKey(body, now),
    digest: token.digest.toString('hex'),
    createdAt: now,
    rotatedAt: null,
    revokedAt: null,
  };
  const minted = await changes.before(keyEvent('key.minted', key), () => app.keys.create(key));
  return { body: { ...representKey(minted.value, null, now), key: token.plaintext }, revision: minted.revision };
}

export function endOfKey(body: Pick<NewKey, 'expires_in' | 'expires_at'>, now: number): number | null {
  return body.expires_in === undefined ? endOf(body.expires_at) : now + durationMs(body.expires_in);
}

/** Deprecated agents go on with what they have. Throws `conflict`. */
export function requireActive(agent: Agent): void {
  if (agent.status === 'active') return;
  throw new AlterError('conflict', {
    detail: `The agent ${agent.name} is ${agent.status}, and gets no new keys or grants.`,
    hint: 'Create another agent.',
  });
}

export function keyEvent(event: ChangeEvent['event'], key: RuntimeKey): ChangeEvent {
  return { event, app_id: key.appId, key_id: key.id, agent_id: key.agentId };
}

export function checkNewKey(body: Partial<NewKey>, now: number): Problem[] {
  const problems: Problem[] = [];
  (body.cidr ?? []).forEach((text, index) => {
    const range = findAddressRange(text);
    const field = `cidr[${index}]`;
    if (range === null || range.port !== null)
      problems.push({ field, message: 'is not a range of addresses, such as 203.0.113.0/24 or 2001:db8::/32' });
    else if (range.prefix === 0) problems.push({ field, message: 'holds every address; leave cidr out instead' });
  });
  const { expires_in: expiresIn, expires_at: expiresAt } = body;
  if (expiresIn !== undefined && expiresAt !== undefined && expiresAt !== null)
    problems.push({ field: 'expires_in', message: 'and expires_at exclude each other' });
  if (expiresIn !== undefined) problems.push(...checkEnd(now + durationMs(expiresIn), { field: 'expires_in', now }));
  return [...problems, ...checkEnd(endOf(expiresAt), { field: 'expires_at', now })];
}
