/**
 * The entry of a worker: one data plane of several that share the port. It is started by `workers.ts`, is told everything
 * over the channel to it, and ends when that is gone.
 */
import { hideSecrets } from '../core/config.ts';
import type { RunningProxy } from '../proxy/main.ts';
import { createLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import type { Store } from '../vault/store/store.ts';
import { openRemoteStore } from '../vault/store/store-remote.ts';
import { startDataPlane } from './data-plane.ts';
import { endOnSurprise } from './last-words.ts';
import { openState, type State } from './state.ts';
import { openStoreOf } from './store.ts';
import { type FromWorker, isWorkerMessage, type ToWorker } from './worker-messages.ts';

const pulseMs = 250;

let running: { readonly proxy: RunningProxy; readonly state: State; readonly metrics: Metrics } | null = null;

// The main process decides when to stop: a terminal sends its signals to all of them.
process
  .on('SIGTERM', () => {})
  .on('SIGINT', () => {})
  .on('SIGHUP', () => {})
  .on('SIGUSR1', () => {}); // Node would open a debugger
process.once('disconnect', () => process.exit(1)); // without the main process there is no store, and nobody to restart it
process.on('message', (message: unknown) => {
  if (isWorkerMessage<ToWorker>(message)) void follow(message);
});
tell({ worker: 'awake' });

async function follow(message: ToWorker): Promise<void> {
  switch (message.worker) {
    case 'start':
      try {
        await start(message);
      } catch (error) {
        const { code, message: said } = error as NodeJS.ErrnoException;
        tell({ worker: 'failed', code: code ?? null, message: said });
      }
      return;
    case 'drain':
      await running?.proxy.drain();
      await running?.proxy.close();
      await running?.state.close();
      process.exit(0);
      return;
    case 'tls':
      running?.proxy.replaceTls(message.material);
      return;
    case 'measure':
      if (running !== null)
        tell({ worker: 'measured', number: message.number, snapshot: await running.metrics.snapshot() });
  }
}

async function start({ config: told, rootKey, listeners }: Extract<ToWorker, { worker: 'start' }>): Promise<void> {
  const config = hideSecrets(told);
  const log = createLog({ level: config.logLevel });
  endOnSurprise(log);
  const clock = Date.now;
  const store = config.store.kind === 'sqlite' ? openStoreOfMain() : await openStoreOf(config, null);
  const state = await openState({ store, config, rootKey, log, clock });
  const metrics = new Metrics({ processMetrics: true });
  const proxy = await startDataPlane({ config, state, metrics, log, clock, ownListeners: () => listeners });
  running = { proxy, state, metrics };
  setInterval(() => tell({ worker: 'pulse', connections: proxy.connections(), problems: proxy.problems() }), pulseMs);
  tell({ worker: 'started', address: proxy.address });
}

function openStoreOfMain(): Store {
  return openRemoteStore({
    send,
    onMessage: (listener) => void process.on('message', listener),
    onClose: (listener) => void process.once('disconnect', listener),
  });
}

function tell(message: FromWorker): void {
  send(message);
}

function send(message: object): void {
  // Where it can't be sent, `disconnect` is on its way.
  if (process.connected) process.send!(message, undefined, undefined, () => {});
}
