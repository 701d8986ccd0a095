import type { AlterError } from '../core/errors.ts';
import type { Passage, Permit } from '../core/evaluate.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics, SecurityEvent } from '../telemetry/metrics.ts';
import { type AuditTrail, isPermit } from './audit.ts';
import type { Outcome } from './http/forward.ts';

const securityEventOf: Readonly<Record<string, SecurityEvent>> = {
  key_invalid: 'key_rejected',
  authority_mismatch: 'authority_mismatch',
  address_forbidden: 'address_forbidden',
  principal_mismatch: 'principal_mismatch',
  user_token_invalid: 'user_token_rejected',
  request_malformed: 'request_malformed',
};

/** Tells the operator of requests, in metrics and in the log. */
export class Reporter {
  readonly #log: Log;
  readonly #metrics: Metrics;

  constructor(of: { readonly log: Log; readonly metrics: Metrics }) {
    this.#log = of.log;
    this.#metrics = of.metrics;
  }

  refused(error: AlterError, trail: AuditTrail): void {
    const { code } = error;
    this.#metrics.countRequest('deny', code);
    if (code.startsWith('upstream_')) this.#metrics.countUpstreamError(code);
    const kind = securityEventOf[code];
    if (kind !== undefined) this.#metrics.countSecurityEvent(kind);
    const fields = { request_id: trail.requestId, app_id: trail.appId, code, error };
    if (code === 'internal_error')
      this.#log.error('A request failed inside the proxy.', { ...fields, error: error.cause });
    else if (code !== 'proxy_auth_required') this.#log.info('A request was refused.', fields);
  }

  completed(outcome: Outcome, leave: Permit | Passage, durationMs: number): void {
    this.#metrics.countRequest('allow', null);
    this.#metrics.observeRequest(durationMs);
    if (isPermit(leave) && (outcome.status === 401 || outcome.status === 403)) this.#metrics.countCredentialRejected();
  }

  /** A connection could not be accepted: as a rule, the process has run out of file descriptors. */
  acceptFailed(error: Error): void {
    this.#log.error('A connection could not be accepted.', { error });
  }

  get gauges(): Pick<Metrics, 'tunnelOpened' | 'tunnelClosed' | 'connectionOpened' | 'connectionClosed'> {
    return this.#metrics;
  }
}
