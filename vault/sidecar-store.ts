import { createHash, randomBytes } from 'node:crypto';
import { AlterError } from '../core/errors.ts';
import { checkpointKind, ledgerKind } from './audit/audit-checkpoints.ts';
import { epochKey } from './guard/epoch.ts';
import { floorsType } from './guard/floors.ts';
import { groupKind } from './records/group-repository.ts';
import { lastUseKind } from './records/last-use-repository.ts';
import { userKind, userSubjectKind } from './records/user-repository.ts';
import { redisAccessRules } from './store/store-redis-access.ts';
import type { RedisSettings } from './store/store-redis-users.ts';

/** How a sidecar reaches the store: as a user of the store who is limited to one app's keys. */
export interface SidecarLogin {
  /** With the user and a new password in it. */
  readonly url: string;
  readonly user: string;
  /** The command that makes this user, for every server that does not have it. It holds a digest of the password only. */
  readonly rule: string;
  /** False where an operator has to run the rule. */
  readonly isMade: boolean;
  /** What is still to be done, one sentence each. */
  readonly notes: readonly string[];
}

export interface SidecarStore {
  /** Throws `conflict` where no sidecar can use this store. Asked first, so that nothing is recorded in vain. */
  requireShared(): void;
  /** A new password for the user of this app. Without `keepOld` the ones before end, for new connections. */
  issueLogin(of: { readonly appId: string; readonly keepOld: boolean }): Promise<SidecarLogin>;
}

const prefix = 'alter';
/**
 * Who was seen with a verified token, what was used when, how far the audit came, and with them what guards a space against a
 * rollback.
 */
const writes = [
  ...[userKind, userSubjectKind, groupKind, lastUseKind, checkpointKind, ledgerKind],
  ...[epochKey, { type: floorsType }],
].map(({ type }) => type);

/** `url` as in ALTER_STORE_URL. */
export function openSidecarStore(url: string, access: RedisSettings = {}): SidecarStore {
  const [, scheme = '', servers = ''] = /^(rediss?(?:\+\w+)?:\/\/)(?:[^/?#]*@)?([^?#]*)$/i.exec(url) ?? [];
  const requireShared = (): void => {
    if (scheme !== '') return;
    throw new AlterError('conflict', {
      detail: 'The state is in an embedded store, which belongs to this service alone: no sidecar could reach it.',
      hint: 'Run the service on Redis (ALTER_STORE_URL); then the same command works.',
    });
  };
  return {
    requireShared,
    issueLogin: async ({ appId, keepOld }) => {
      requireShared();
      const user = `alter-sidecar-${appId}`;
      const password = randomBytes(32).toString('base64url');
      const digest = createHash('sha256').update(password).digest('hex');
      const rules = [
        'on',
        ...(keepOld ? [] : ['resetpass']),
        `#${digest}`,
        ...redisAccessRules({ prefix, space: appId, writes }),
      ];
      const { makeRedisUser } = await import('./store/store-redis-users.ts'); // with ioredis, of no use on SQLite
      const made = await makeRedisUser({ url, access, user, rules });
      return {
        url: `${scheme}${user}:${password}@${servers}`,
        user,
        rule: ['ACL', 'SETUSER', user, ...rules].join(' '),
        ...made,
      };
    },
  };
}
