import { readFileSync, statSync } from 'node:fs';
import { AlterError } from '../../core/errors.ts';

const maxBytes = 16 * 1024;

/**
 * The token of the pod that this proxy is the sidecar of, for the connections of its workload, which then hold no key at all.
 * The kubelet replaces the file while we run, so it is looked at each time, and read when it is another.
 */
export class OwnToken {
  readonly #path: string;
  #known: { readonly text: string; readonly changedAt: number } | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** Throws `state_unavailable`. A stat of a file in memory takes some microseconds, once a connection. */
  read(): string {
    try {
      const { mtimeMs, size } = statSync(this.#path);
      if (this.#known?.changedAt === mtimeMs) return this.#known.text;
      if (size > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
      const text = readFileSync(this.#path, 'utf8').trim();
      this.#known = { text, changedAt: mtimeMs };
      return text;
    } catch (cause) {
      throw new AlterError('state_unavailable', {
        detail: 'The token of this pod (ALTER_WORKLOAD_TOKEN_FILE) can not be read.',
        hint: 'Mount a projected serviceAccountToken there; the log of the proxy says more.',
        cause,
      });
    }
  }
}
