import type { AuditEvent } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import type { RateDemand } from '../core/evaluate.ts';
import { isId } from '../core/id.ts';
import { AuditLane } from './audit-lane.ts';
import { type SpaceKeys, systemSpace } from './keyring.ts';
import type { RateVerdict } from './store.ts';
import type { DataPlaneVault } from './vault.ts';

export interface AuditLogOptions {
  readonly vault: DataPlaneVault;
  /** Names this process in the chain; a random part is added, so that a restart never continues another chain. */
  readonly writer: string;
  readonly mode: 'strict' | 'buffered';
  /** Told of every failed write; a request that waited for it was refused. */
  readonly onError?: (error: AlterError) => void;
  /** How many events may wait, over all apps, before more are refused. */
  readonly maxBacklog?: number;
  /** A store that hangs is as good as none. */
  readonly appendTimeoutMs?: number;
}

/**
 * What may be recorded: an event of no known app has a null `app_id`, and is kept in the system space, or with the only app
 * that this process can open.
 */
export type RecordableEvent = Omit<AuditEvent, 'app_id'> & { readonly app_id: string | null };

export class AuditLog {
  readonly #vault: DataPlaneVault;
  readonly #writer: string;
  readonly #mode: AuditLogOptions['mode'];
  readonly #onError: (error: AlterError) => void;
  readonly #maxBacklog: number;
  readonly #appendTimeoutMs: number;
  readonly #lanes = new Map<string, AuditLane>();
  readonly #admissions = new Set<Promise<unknown>>();
  #backlog = 0;
  #closed = false;

  constructor(options: AuditLogOptions) {
    this.#vault = options.vault;
    this.#writer = options.writer;
    this.#mode = options.mode;
    this.#onError = options.onError ?? (() => {});
    this.#maxBacklog = options.maxBacklog ?? 10_000;
    this.#appendTimeoutMs = options.appendTimeoutMs ?? 5_000;
  }

  /**
   * Takes the rates and makes the event durable in one step; the verdicts stand in the order of the rates. In `buffered`
   * mode it resolves at once where no rate is demanded. Rejects with `audit_unavailable`.
   */
  record(event: RecordableEvent, rates: readonly RateDemand[] = []): Promise<RateVerdict[]> {
    if (this.#closed || this.#backlog >= this.#maxBacklog) {
      const detail = this.#closed ? 'The audit log is closed.' : 'Too many audit records are waiting for the store.';
      return Promise.reject(new AlterError('audit_unavailable', { detail }));
    }
    this.#backlog++;
    const waits = this.#mode === 'strict' || rates.length > 0;
    const keys = this.#findKeys(event.app_id);
    if (!(keys instanceof Promise)) return this.#add({ keys, event, rates, waits });

    const admission = keys.then(
      (loaded) => this.#add({ keys: loaded, event, rates, waits }),
      (cause: unknown) => {
        this.#backlog--;
        const error = new AlterError('audit_unavailable', { cause });
        this.#onError(error);
        throw error;
      },
    );
    this.#admissions.add(admission);
    const settled = () => this.#admissions.delete(admission);
    admission.then(settled, settled);
    return admission;
  }

  /** Waits until everything recorded before is durable or has failed. Records after it are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    const closing = () => [...this.#lanes.values()].map((lane) => lane.close());
    await Promise.all(closing());
    await Promise.allSettled(this.#admissions);
    await Promise.all(closing());
  }

  #add(of: {
    readonly keys: SpaceKeys;
    readonly event: RecordableEvent;
    readonly rates: readonly RateDemand[];
    readonly waits: boolean;
  }): Promise<RateVerdict[]> {
    const { keys, rates, waits } = of;
    const event: AuditEvent = { ...of.event, app_id: keys.space };
    const lane = this.#laneOf(keys);
    if (!waits) {
      lane.add({ event, rates, settle: null });
      return Promise.resolve([]);
    }
    return new Promise((resolve, reject) => lane.add({ event, rates, settle: { resolve, reject } }));
  }

  #laneOf(keys: SpaceKeys): AuditLane {
    let lane = this.#lanes.get(keys.space);
    if (lane === undefined) {
      lane = new AuditLane({
        store: this.#vault.store,
        keys,
        writer: this.#writer,
        appendTimeoutMs: this.#appendTimeoutMs,
        onSettled: (count) => {
          this.#backlog -= count;
        },
        onError: this.#onError,
      });
      this.#lanes.set(keys.space, lane);
    }
    return lane;
  }

  /** The keys of the app, or of where events without a known app belong. */
  #findKeys(appId: string | null): SpaceKeys | Promise<SpaceKeys> {
    const { keyring, onlyAppId } = this.#vault;
    const home = onlyAppId ?? systemSpace;
    if (appId === null || !isId(appId)) return keyring.of(home);
    const keys = keyring.of(appId);
    if (!(keys instanceof Promise)) return keys;
    return keys.catch((error: unknown) => {
      if (error instanceof AlterError && error.code === 'not_found') return keyring.of(home);
      throw error;
    });
  }
}
