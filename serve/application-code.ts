import type { Config } from '../core/config.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { VerifiedUser } from '../core/user.ts';
import type { FetchHttps } from '../proxy/caller/fetch-https.ts';
import type { Log } from '../telemetry/log.ts';
import { ReadModel } from '../vault/read-model.ts';
import type { Vault } from '../vault/vault.ts';
import { openUsers, openUses } from './users.ts';

/** How the admin service knows application code: by the same keys and tokens, looked at in the same way as at the proxy. */
export interface ApplicationCode {
  findCaller(keyId: string): Promise<Caller | null>;
  /** Remembers that the key was used. */
  used(caller: Caller): void;
  verifyUser(token: string, appId: string, now: number): Promise<VerifiedUser>;
  close(): Promise<void>;
}

/** Few ask here, and seldom: the proxy has a memory of its own. */
const maxEntries = 5_000;

export function openApplicationCode(of: {
  readonly vault: Vault;
  readonly config: Config;
  readonly fetch: FetchHttps;
  readonly clock: () => number;
  readonly log: Log;
}): ApplicationCode {
  const { vault, config } = of;
  const model = new ReadModel({ vault, maxStalenessMs: config.maxStalenessMs, maxEntries });
  const users = openUsers({ ...of, model });
  const uses = openUses(of);
  return {
    findCaller: async (keyId) => {
      const caller = await model.findKey(keyId);
      if (caller !== null) model.requireFresh(caller.key.appId);
      return caller;
    },
    used: ({ key }) => uses.saw(key.appId, { key: key.id }),
    verifyUser: (token, appId, now) => users.verifier.verify(token, appId, now),
    close: async () => {
      await users.close();
      await uses.close();
      model.close();
    },
  };
}
