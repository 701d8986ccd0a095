import type { RuntimeKey, RuntimeScope } from '../core/runtime-key.ts';
import { issueToken } from '../core/token.ts';
import { requireRotatable } from '../vault/records/key-repository.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { requireRoom } from './count-keys.ts';
import type { Answer } from './http/route.ts';
import { keyEvent, requireActive } from './mint-key.ts';
import type { ChangeRecorder } from './record-change.ts';
import { representKey } from './schemas/representation.ts';

/** A key in the place of another one, with its name, addresses, rate and end. The other works on. Throws `conflict`. */
export async function rotateKey(
  old: Versioned<RuntimeKey>,
  of: {
    readonly app: AppVault;
    readonly changes: ChangeRecorder;
    readonly now: number;
    /** Absent: those of the old key. */
    readonly scopes: readonly RuntimeScope[] | undefined;
    readonly expectedRevision: number | undefined;
  },
): Promise<Answer> {
  const { app, changes, now } = of;
  const { value } = old;
  requireRotatable(value, now);
  if (value.agentId !== null) requireActive((await app.agents.get(value.agentId)).value);
  await requireRoom(app, now);
  const token = issueToken(value.keyType, now);
  const next: RuntimeKey = {
    ...value,
    id: token.id,
    rotatedFrom: value.id,
    scopes: of.scopes === undefined ? value.scopes : [...new Set(of.scopes)],
    digest: token.digest.toString('hex'),
    createdAt: now,
  };
  const rotated = await changes.before({ ...keyEvent('key.rotated', value), reason: `to ${next.id}` }, () =>
    app.keys.rotate(next, of.expectedRevision),
  );
  return { body: { ...representKey(rotated.value, null, now), key: token.plaintext }, revision: rotated.revision };
}
