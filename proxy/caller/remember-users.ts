import { createHash } from 'node:crypto';
import type { VerifiedUser } from '../../core/user.ts';
import { Lru } from '../../vault/lru.ts';
import type { DataPlaneVault } from '../../vault/vault.ts';
import type { OnVerified } from './verify-user.ts';

interface Seen {
  readonly at: number;
  /** Of what the token said. */
  readonly fingerprint: string;
}

/** Between two writes about a user of whom nothing changed, and of whom something did. */
const quietMs = 5 * 60_000;
const changedMs = 1_000;
const maxWaiting = 1_000;

/**
 * Writes down users and groups as they appear in verified tokens, one after the other and beside the requests. A client can
 * make it write about those whom its identity provider vouches for, and about each only every few minutes.
 */
export class UserMemory {
  readonly #seen = new Lru<Seen>(50_000);
  readonly #vault: DataPlaneVault;
  readonly #clock: () => number;
  readonly #onFailure: (error: unknown) => void;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(of: {
    readonly vault: DataPlaneVault;
    readonly clock: () => number;
    readonly onFailure: (error: unknown) => void;
  }) {
    this.#vault = of.vault;
    this.#clock = of.clock;
    this.#onFailure = of.onFailure;
  }

  readonly saw: OnVerified = (appId, user) => {
    const key = JSON.stringify([appId, user.idpId, user.externalId]);
    const now = this.#clock();
    const known = this.#seen.get(key);
    if (known !== undefined) {
      const passed = Math.abs(now - known.at);
      if (passed < changedMs || (passed < quietMs && known.fingerprint === fingerprint(user))) return;
    }
    if (this.#waiting >= maxWaiting) return; // seen again with the next request
    this.#seen.set(key, { at: now, fingerprint: fingerprint(user) });
    this.#waiting++;
    this.#last = this.#last
      .then(() => this.#write(appId, user))
      .catch((error: unknown) => {
        this.#seen.set(key, { at: now, fingerprint: '' }); // tried again with a later request, but not with each
        this.#onFailure(error);
      })
      .finally(() => {
        this.#waiting--;
      });
  };

  /** Resolves when what was seen so far is written, or failed to be. */
  settle(): Promise<void> {
    return this.#last;
  }

  async #write(appId: string, user: VerifiedUser): Promise<void> {
    const app = await this.#vault.app(appId);
    await app.groups.see(user.idpId, user.groups);
    await app.users.see(user);
  }
}

/** Without the time of issue: some applications have a new token made for each request. */
function fingerprint({ email, name, groups }: VerifiedUser): string {
  return createHash('sha256')
    .update(JSON.stringify([email, name, groups]))
    .digest('base64url');
}
