import type { Grant } from '../core/grant.ts';
import type { Origin } from '../core/origin.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { Secret } from '../core/secret.ts';
import type { SecretValue } from './secret-value.ts';
import type { Vault } from './vault.ts';

/** A record that was refused: changed outside the service, swapped, or rolled back. */
export interface InvalidRecord {
  readonly appId: string;
  readonly type: string;
  readonly id: string;
  readonly detail: string;
}

/**
 * `type` is `secret`, `grant`, `key`, …; `'*'` (with id `'*'`) says that anything of this app may have changed. `appId` is
 * `system` for what belongs to none.
 */
export type ChangeListener = (appId: string, type: string, id: string) => void;

export interface ReadModelOptions {
  readonly vault: Vault;
  readonly maxStalenessMs: number;
  /** Over all apps. */
  readonly maxEntries?: number;
  /** Called for a security event, at most once a minute per record. */
  readonly onInvalid?: (record: InvalidRecord) => void;
}

/**
 * What the data plane reads. An answer is sync when it is in memory, so that a warm request never leaves its tick.
 *
 * Every look-up rejects or throws `state_invalid` for a record that can't be trusted and `state_unavailable` where the
 * store has to be asked and can't be.
 */
export class ReadModel {
  constructor(_options: ReadModelOptions) {}

  findKey(_keyId: string): Caller | null | Promise<Caller | null> {
    throw new Error('not built yet');
  }

  findGrant(_appId: string, _grantId: string): Grant | null | Promise<Grant | null> {
    throw new Error('not built yet');
  }

  findSecret(_appId: string, _secretId: string): Secret | null | Promise<Secret | null> {
    throw new Error('not built yet');
  }

  /** The value of the version that `secret` names. Opens sealed bytes on every call: no plaintext is kept. */
  openSecret(_appId: string, _secret: Secret): SecretValue | Promise<SecretValue> {
    throw new Error('not built yet');
  }

  /** Is this an allowed host of some live secret of the app? */
  someSecretAllows(_appId: string, _origin: Origin): boolean | Promise<boolean> {
    throw new Error('not built yet');
  }

  /** For `auto`: the live system grants of the caller's app whose secret allows this origin. None for an agent key. */
  findGrantsFor(_caller: Caller, _origin: Origin): readonly Grant[] | Promise<readonly Grant[]> {
    throw new Error('not built yet');
  }

  /** Throws `state_unavailable` where the store was not heard of for longer than the bound. Ask after the look-ups. */
  requireFresh(_appId: string): void {
    throw new Error('not built yet');
  }

  /** Tells of every change, after the old state was forgotten. Returns the way to stop listening. */
  onChange(_listener: ChangeListener): () => void {
    throw new Error('not built yet');
  }

  close(): void {
    throw new Error('not built yet');
  }
}
