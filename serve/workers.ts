import cluster, { type Worker } from 'node:cluster';
import { type AddressInfo, createServer } from 'node:net';
import { extname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Config, ListenAddress } from '../core/config.ts';
import type { ServerTlsMaterial } from '../proxy/connection/server-tls.ts';
import type { RunningProxy } from '../proxy/main.ts';
import type { Log } from '../telemetry/log.ts';
import type { MetricsSnapshot } from '../telemetry/metrics.ts';
import type { StoreOwner } from '../vault/store/store-owner.ts';
import { type FromWorker, isWorkerMessage, type ToWorker } from './worker-messages.ts';

/** `.ts` from the source (Node strips the types), `.js` from `dist`. */
const workerFile = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url));
/** As the entry of the main process has it: before the worker, since what a file imports is loaded before it runs. */
const leanHttp = new URL(`../core/lean-http${extname(import.meta.url)}`, import.meta.url).href;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
/** A worker that ran so long before it died is not one that can't start. */
const steadyMs = 10_000;
const measureWithinMs = 1_000;
/** Beyond the time for draining, for the audit to be written out. */
const graceMs = 5_000;

interface Slot {
  worker: Worker | null;
  /** It takes connections. */
  started: boolean;
  startedAtMs: number;
  connections: number;
  problems: readonly string[];
  /** Deaths in a row. */
  failures: number;
}

export interface WorkersOptions {
  readonly config: Config;
  readonly count: number;
  readonly rootKey: Uint8Array | null;
  readonly log: Log;
  /** Serves the embedded store to the workers; null where each of them opens the store itself. */
  readonly owner: StoreOwner | null;
  readonly listeners: readonly ListenAddress[];
}

/** Starts the workers. Rejects where the first of them can't start, with an error that has its code. */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const workers = new Workers(options);
  try {
    await workers.start();
    return workers;
  } catch (error) {
    await workers.close();
    throw error;
  }
}

/** Processes that share the port of the proxy, each with a data plane of its own; seen from outside, one proxy. */
export class Workers implements RunningProxy {
  readonly #options: WorkersOptions;
  readonly #slots: Slot[];
  readonly #measured = new Map<number, (snapshot: MetricsSnapshot) => void>();
  #config: Config;
  #address: ListenAddress;
  #measurements = 0;
  #ending = false;
  #draining = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#address = options.config.proxyListen;
    this.#slots = Array.from({ length: options.count }, () => ({
      worker: null,
      started: false,
      startedAtMs: 0,
      connections: 0,
      problems: [],
      failures: 0,
    }));
    // Round robin, Node's default, hands each connection over in a message: measured, that costs more than it gives. With
    // one shared handle, whoever is free takes the next.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: workerFile,
      execArgv: [...process.execArgv, '--import', leanHttp],
      args: [],
      serialization: 'advanced',
    });
  }

  get address(): ListenAddress {
    return this.#address;
  }

  connections(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.connections, 0);
  }

  /** Why no traffic should come; empty where some worker takes it. */
  problems(): string[] {
    if (this.#draining) return ['draining'];
    const started = this.#slots.filter((slot) => slot.started);
    if (started.length === 0) return ['workers'];
    return started.some((slot) => slot.problems.length === 0)
      ? []
      : [...new Set(started.flatMap((slot) => slot.problems))];
  }

  async start(): Promise<void> {
    const { proxyListen } = this.#config;
    // Whoever comes after a death is to find the same port again.
    if (proxyListen.port === 0) this.#config = { ...this.#config, proxyListen: await findFreePort(proxyListen.host) };
    const [first, ...others] = this.#slots;
    const address = await this.#fork(first!);
    await Promise.all(others.map((slot) => this.#fork(slot)));
    this.#address = address;
  }

  replaceTls(material: ServerTlsMaterial): void {
    const { certificate, key, clientAuthorities } = material;
    this.#config = {
      ...this.#config,
      proxyTlsCert: certificate,
      proxyTlsKey: key,
      proxyTlsClientCa: clientAuthorities,
    };
    for (const { worker } of this.#slots) if (worker !== null) tell(worker, { worker: 'tls', material });
  }

  /** Of every worker that answers in time. */
  async measure(): Promise<MetricsSnapshot[]> {
    const asked = this.#slots.flatMap(({ worker, started }) => (worker === null || !started ? [] : [worker]));
    const snapshots = await Promise.all(
      asked.map((worker) => {
        const number = ++this.#measurements;
        const answer = new Promise<MetricsSnapshot>((resolve) => this.#measured.set(number, resolve));
        tell(worker, { worker: 'measure', number });
        const late = wait(measureWithinMs, null, { ref: false });
        return Promise.race([answer, late]).finally(() => this.#measured.delete(number));
      }),
    );
    return snapshots.filter((snapshot) => snapshot !== null);
  }

  async drain(): Promise<void> {
    this.#draining = true;
    this.#ending = true;
    const ended = this.#ended();
    for (const { worker, started } of this.#slots) {
      if (worker === null) continue;
      if (started) tell(worker, { worker: 'drain' });
      else worker.process.kill('SIGKILL');
    }
    const late = wait(this.#config.timeouts.drainMs + graceMs, undefined, { ref: false });
    await Promise.race([ended, late]);
    await this.close();
  }

  async close(): Promise<void> {
    this.#ending = true;
    const ended = this.#ended();
    for (const { worker } of this.#slots) worker?.process.kill('SIGKILL');
    await ended;
  }

  async #ended(): Promise<void> {
    await Promise.all(
      this.#slots.map(({ worker }) =>
        worker === null || worker.isDead()
          ? Promise.resolve()
          : new Promise<void>((resolve) => worker.once('exit', () => resolve())),
      ),
    );
  }

  /** Resolves with the bound address; rejects where the worker fails or dies before it has one. */
  #fork(slot: Slot): Promise<ListenAddress> {
    const worker = cluster.fork();
    slot.worker = worker;
    slot.startedAtMs = performance.now();
    worker.on('error', () => {}); // a message that could not be sent; `exit` follows
    this.#options.owner?.serve({
      send: (message) => send(worker, message),
      onMessage: (listener) => void worker.on('message', listener),
      onClose: (listener) => void worker.once('exit', listener),
    });
    return new Promise((resolve, reject) => {
      worker.on('message', (message: unknown) => {
        if (!isWorkerMessage<FromWorker>(message)) return;
        switch (message.worker) {
          case 'awake': {
            const { rootKey, listeners } = this.#options;
            tell(worker, { worker: 'start', config: { ...this.#config }, rootKey, listeners });
            return;
          }
          case 'started':
            slot.started = true;
            resolve(message.address);
            return;
          case 'failed': {
            reject(Object.assign(new Error(message.message), message.code === null ? {} : { code: message.code }));
            worker.process.kill('SIGKILL');
            return;
          }
          case 'pulse':
            slot.connections = message.connections;
            slot.problems = message.problems;
            return;
          case 'measured':
            this.#measured.get(message.number)?.(message.snapshot);
        }
      });
      worker.once('exit', (code: number | null, signal: string | null) => {
        reject(new Error(`A worker ended before it listened (${signal ?? code}).`));
        this.#onExit(slot, signal ?? String(code));
      });
    });
  }

  #onExit(slot: Slot, how: string): void {
    const neverStarted = !slot.started && slot.failures === 0 && !this.#slots.some((other) => other.started);
    slot.worker = null;
    slot.started = false;
    slot.connections = 0;
    slot.problems = [];
    if (this.#ending || neverStarted) return; // the latter: the service does not start at all, and says why
    slot.failures = performance.now() - slot.startedAtMs >= steadyMs ? 1 : slot.failures + 1;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (slot.failures - 1));
    this.#options.log.error(`A worker ended (${how}); another one takes its place in ${pauseMs} ms.`);
    setTimeout(() => {
      if (!this.#ending) this.#fork(slot).catch(() => {}); // its end was told of, and starts the next one
    }, pauseMs);
  }
}

function findFreePort(host: string): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port: 0, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve({ host, port }));
    });
  });
}

function tell(worker: Worker, message: ToWorker): void {
  send(worker, message);
}

function send(worker: Worker, message: object): void {
  if (worker.isConnected()) worker.send(message, () => {}); // where it can't be sent, `exit` is on its way
}
