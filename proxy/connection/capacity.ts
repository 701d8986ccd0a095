import type { Config } from '../../core/config.ts';
import { AlterError } from '../../core/errors.ts';

/** How many connections are held, in all and by each key. */
export class Capacity {
  readonly #limits: Pick<Config['limits'], 'maxConnections' | 'maxConnectionsPerKey'>;
  readonly #ofKey = new Map<string, number>();
  #open = 0;

  constructor(limits: Pick<Config['limits'], 'maxConnections' | 'maxConnectionsPerKey'>) {
    this.#limits = limits;
  }

  get open(): number {
    return this.#open;
  }

  /** Counts one more connection, or gives the reason why there can be no more. */
  enter(): AlterError | null {
    if (this.#open >= this.#limits.maxConnections) {
      return new AlterError('overloaded', {
        detail: `The proxy holds ${this.#limits.maxConnections} connections, as many as ALTER_MAX_CONNECTIONS and its open files allow.`,
        retryAfterSeconds: 1,
      });
    }
    this.#open++;
    return null;
  }

  leave(): void {
    this.#open--;
  }

  /** Counts one more connection of a key. Throws `overloaded`. */
  hold(keyId: string): void {
    const held = this.#ofKey.get(keyId) ?? 0;
    if (held >= this.#limits.maxConnectionsPerKey) {
      throw new AlterError('overloaded', {
        detail: `This key holds ${held} connections, as many as ALTER_MAX_CONNECTIONS_PER_KEY allows.`,
        retryAfterSeconds: 1,
      });
    }
    this.#ofKey.set(keyId, held + 1);
  }

  release(keyId: string): void {
    const left = (this.#ofKey.get(keyId) ?? 0) - 1;
    if (left > 0) this.#ofKey.set(keyId, left);
    else this.#ofKey.delete(keyId);
  }
}
