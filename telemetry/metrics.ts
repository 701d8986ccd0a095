import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';
import { type ErrorCode, errorTable } from '../core/errors.ts';
import { Durations } from './durations.ts';

export const tunnelKinds = ['intercepted', 'blind'] as const;
export type TunnelKind = (typeof tunnelKinds)[number];

export const securityEvents = [
  'record_rejected',
  'state_rollback',
  'key_rejected',
  'authority_mismatch',
  'address_forbidden',
  'principal_mismatch',
  'user_token_rejected',
  'request_malformed',
] as const;
export type SecurityEvent = (typeof securityEvents)[number];

const errorCodes = Object.keys(errorTable) as ErrorCode[];
/** The code of a request that was not refused. */
const noCode = 'none';

const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const appendBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** Every metric of one process, as plain data that can be sent to another one. */
export type MetricsSnapshot = readonly MetricObjectWithValues<MetricValue<string>>[];

/**
 * Every label has a closed set of values, all of them ours: nothing that a client, an upstream or a record says becomes
 * a label, so that neither the number of series nor their text can be driven from outside.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: 'alter_requests_total',
    help: 'Requests by decision and by the code they were refused with.',
    labelNames: ['decision', 'code'],
    registers: [this.#registry],
    collect: () => this.#handOver(),
  });
  /** Since they were asked for: to count one in the package hashes its labels, on the way of every request. */
  #allowed = 0;
  readonly #upstreamErrors = this.#counter('alter_upstream_errors_total', 'Requests that failed at the upstream.', [
    'code',
  ]);
  readonly #tunnels = new Counter({
    name: 'alter_tunnels_total',
    help: 'Tunnels that were opened, by kind.',
    labelNames: ['kind'],
    registers: [this.#registry],
    collect: () => this.#handOverTunnels(),
  });
  /** Since they were asked for. */
  readonly #opened: Record<TunnelKind, number> = { intercepted: 0, blind: 0 };
  readonly #securityEvents = this.#counter('alter_security_events_total', 'What should not happen, by kind.', ['kind']);
  readonly #credentialsRejected = this.#counter(
    'alter_credentials_rejected_total',
    'Injected requests that the upstream answered with 401 or 403.',
    [],
  );
  readonly #requestSeconds = this.#histogram(
    'alter_request_duration_seconds',
    'From the head of a request to the end of its response.',
    latencyBuckets,
  );
  readonly #auditSeconds = this.#histogram(
    'alter_audit_append_seconds',
    'Until an audit record is durable.',
    appendBuckets,
  );
  #tunnelsOpen = 0;
  #connectionsOpen = 0;

  /** `processMetrics` adds CPU, memory, event loop and garbage collection of this process. */
  constructor(options: { readonly processMetrics: boolean }) {
    this.#gauge('alter_tunnels_open', 'Tunnels that are open now.', () => this.#tunnelsOpen);
    this.#gauge('alter_connections_open', 'Client connections that are open now.', () => this.#connectionsOpen);
    if (options.processMetrics) collectDefaultMetrics({ register: this.#registry });
    // Series that exist from the start at 0 can be alerted on: rate() does not see the first step of a new one.
    for (const kind of tunnelKinds) this.#tunnels.inc({ kind }, 0);
    for (const kind of securityEvents) this.#securityEvents.inc({ kind }, 0);
    for (const code of errorCodes) if (code.startsWith('upstream_')) this.#upstreamErrors.inc({ code }, 0);
    this.#requests.inc({ decision: 'allow', code: noCode }, 0);
  }

  /** `code` is null for what was not refused. */
  countRequest(decision: 'allow' | 'deny', code: ErrorCode | null): void {
    if (decision === 'allow' && code === null) this.#allowed++;
    else this.#requests.inc({ decision, code: code ?? noCode });
  }

  #handOver(): void {
    this.#requests.inc({ decision: 'allow', code: noCode }, this.#allowed);
    this.#allowed = 0;
  }

  countUpstreamError(code: ErrorCode): void {
    this.#upstreamErrors.inc({ code });
  }

  countSecurityEvent(kind: SecurityEvent): void {
    this.#securityEvents.inc({ kind });
  }

  countCredentialRejected(): void {
    this.#credentialsRejected.inc();
  }

  observeRequest(durationMs: number): void {
    this.#requestSeconds.add(durationMs / 1000);
  }

  observeAuditAppend(durationMs: number): void {
    this.#auditSeconds.add(durationMs / 1000);
  }

  tunnelOpened(kind: TunnelKind): void {
    this.#opened[kind]++;
    this.#tunnelsOpen++;
  }

  #handOverTunnels(): void {
    for (const kind of tunnelKinds) {
      this.#tunnels.inc({ kind }, this.#opened[kind]);
      this.#opened[kind] = 0;
    }
  }

  tunnelClosed(): void {
    this.#tunnelsOpen--;
  }

  connectionOpened(): void {
    this.#connectionsOpen++;
  }

  connectionClosed(): void {
    this.#connectionsOpen--;
  }

  /** In the text format of Prometheus; its media type is {@link contentType}. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  snapshot(): Promise<MetricsSnapshot> {
    return this.#registry.getMetricsAsJSON();
  }

  /** As {@link render}, of this process and of others together: counters and gauges are sums. */
  async renderWith(others: readonly MetricsSnapshot[]): Promise<string> {
    return AggregatorRegistry.aggregate([await this.snapshot(), ...others].map((one) => [...one])).metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  /** Read when it is asked for: what it counts changes with every connection. */
  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      ...{ name, help, registers: [this.#registry] },
      collect() {
        this.set(read());
      },
    });
  }

  #histogram(name: string, help: string, bounds: readonly number[]): Durations {
    return new Durations({ name, help, bounds, registry: this.#registry });
  }
}
