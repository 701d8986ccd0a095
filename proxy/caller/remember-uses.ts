import { Lru } from '../../vault/lru.ts';
import type { Usable } from '../../vault/records/last-use-repository.ts';
import type { DataPlaneVault } from '../../vault/vault.ts';

interface Seen extends Usable {
  readonly appId: string;
  at: number;
}

/** Between two writes about one key or grant. */
const quietMs = 60_000;
const tickMs = 2_000;
const batch = 200;
/** Of either type. */
const maxWaiting = 10_000;

/**
 * Writes down when keys and grants were last used: beside the requests, many at a time, and about each at most once a minute.
 * What can't be written is tried again; no request waits for it or fails by it.
 */
export class UseMemory {
  /** By type and id: a name made of both would be made for every request. */
  readonly #waiting = { key: new Map<string, Seen>(), grant: new Map<string, Seen>() };
  /** By id: ids are given once in all apps. */
  readonly #writtenAt = new Lru<number>(50_000);
  readonly #vault: Pick<DataPlaneVault, 'app'>;
  readonly #clock: () => number;
  readonly #onFailure: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> = Promise.resolve();
  #isWriting = false;

  constructor(of: {
    readonly vault: Pick<DataPlaneVault, 'app'>;
    readonly clock: () => number;
    readonly onFailure: (error: unknown) => void;
    readonly tickMs?: number;
  }) {
    this.#vault = of.vault;
    this.#clock = of.clock;
    this.#onFailure = of.onFailure;
    this.#timer = setInterval(() => {
      if (!this.#isWriting) void this.#write(false); // a store that hangs is not asked again meanwhile
    }, of.tickMs ?? tickMs);
    this.#timer.unref();
  }

  /** Of an id that is null or absent there is nothing to remember. */
  saw(appId: string, used: { readonly [type in Usable['type']]?: string | null | undefined }): void {
    const at = this.#clock();
    if (used.key) this.#saw(appId, 'key', used.key, at);
    if (used.grant) this.#saw(appId, 'grant', used.grant, at);
  }

  #saw(appId: string, type: Usable['type'], id: string, at: number): void {
    const waiting = this.#waiting[type];
    const known = waiting.get(id);
    if (known !== undefined) known.at = at;
    else if (waiting.size < maxWaiting) waiting.set(id, { appId, type, id, at });
  }

  /** Resolves when what was seen so far is written, or failed to be. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#write(true);
  }

  #write(all: boolean): Promise<void> {
    this.#isWriting = true;
    this.#writing = this.#writing
      .then(() => this.#writeDue(all))
      .finally(() => {
        this.#isWriting = false;
      });
    return this.#writing;
  }

  async #writeDue(all: boolean): Promise<void> {
    const now = this.#clock();
    const due = new Map<string, Seen[]>();
    for (const waiting of Object.values(this.#waiting)) {
      for (const [id, seen] of waiting) {
        if (!all && now - (this.#writtenAt.get(id) ?? Number.NEGATIVE_INFINITY) < quietMs) continue;
        waiting.delete(id);
        this.#writtenAt.set(id, now);
        const ofApp = due.get(seen.appId);
        if (ofApp === undefined) due.set(seen.appId, [seen]);
        else ofApp.push(seen);
      }
    }
    for (const [appId, uses] of due) {
      try {
        const { lastUses } = await this.#vault.app(appId);
        for (let from = 0; from < uses.length; from += batch) await lastUses.note(uses.slice(from, from + batch));
      } catch (error) {
        this.#onFailure(error);
        // Again with the next minute, unless a newer use has come meanwhile.
        if (!all) for (const seen of uses) this.#putBack(seen);
      }
    }
  }

  #putBack(seen: Seen): void {
    const waiting = this.#waiting[seen.type];
    if (!waiting.has(seen.id) && waiting.size < maxWaiting) waiting.set(seen.id, seen);
  }
}
