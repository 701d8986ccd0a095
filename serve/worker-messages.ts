import type { Config, ListenAddress } from '../core/config.ts';
import type { ServerTlsMaterial } from '../proxy/connection/server-tls.ts';
import type { MetricsSnapshot } from '../telemetry/metrics.ts';

/** What the main process tells a worker. */
export type ToWorker =
  | {
      readonly worker: 'start';
      readonly config: Config;
      readonly rootKey: Uint8Array | null;
      /** Of the service, besides the proxy's: these must not be dialled. */
      readonly listeners: readonly ListenAddress[];
    }
  | { readonly worker: 'drain' }
  | { readonly worker: 'tls'; readonly material: ServerTlsMaterial }
  | { readonly worker: 'measure'; readonly number: number };

/** What a worker tells the main process. */
export type FromWorker =
  /** It listens to messages. */
  | { readonly worker: 'awake' }
  | { readonly worker: 'started'; readonly address: ListenAddress }
  /** `code` of the error, such as EADDRINUSE; null where it has none. */
  | { readonly worker: 'failed'; readonly code: string | null; readonly message: string }
  | { readonly worker: 'pulse'; readonly connections: number; readonly problems: readonly string[] }
  | { readonly worker: 'measured'; readonly number: number; readonly snapshot: MetricsSnapshot };

export function isWorkerMessage<M extends ToWorker | FromWorker>(message: unknown): message is M {
  return typeof message === 'object' && message !== null && 'worker' in message;
}
