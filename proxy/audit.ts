import type { AuditEvent, AuditEventName, AuditSink } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import type { Passage, Permit, RateDemand } from '../core/evaluate.ts';
import { issueId } from '../core/id.ts';
import type { Origin } from '../core/origin.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { UserProof } from '../core/user.ts';
import type { AuditLog } from '../vault/audit-log.ts';
import type { Verdict } from './authorize.ts';
import type { Outcome } from './forward.ts';
import type { RequestTags } from './request.ts';

/** Where decisions become durable: the sealed log of the store, and, where it is configured, a file. */
export interface AuditTargets {
  readonly log: AuditLog;
  readonly file: AuditSink | null;
  readonly clock: () => number;
}

type Facts = { -readonly [name in keyof Omit<AuditEvent, 'id' | 'time' | 'event' | 'app_id'>]?: AuditEvent[name] };

/** What became known of one request or tunnel on its way, for its two records: the decision and the outcome. */
export class AuditTrail {
  readonly requestId: string;
  readonly #targets: AuditTargets;
  readonly #subject: 'request' | 'tunnel';
  readonly #startedMs = performance.now();
  readonly #facts: Facts;
  #appId: string | null = null;

  constructor(targets: AuditTargets, subject: 'request' | 'tunnel', clientAddress: string) {
    this.requestId = issueId(targets.clock());
    this.#targets = targets;
    this.#subject = subject;
    this.#facts = { request_id: this.requestId, client_ip: clientAddress };
  }

  get appId(): string | null {
    return this.#appId;
  }

  sawRequest(method: string, origin: Origin, target: string, tags: RequestTags): void {
    const facts = this.#facts;
    const question = target.indexOf('?');
    facts.method = method;
    facts.host = origin.port === 443 ? origin.host : `${origin.host}:${origin.port}`;
    facts.path = question === -1 ? target : target.slice(0, question);
    facts.reason = tags.reason;
    facts.caller = tags.caller;
    facts.context = tags.context;
  }

  sawCaller(caller: Caller): void {
    this.#appId = caller.key.appId;
    this.#facts.key_id = caller.key.id;
    this.#facts.agent_id = caller.key.agentId;
  }

  /** The id that the app has for the user, once it has seen them. */
  sawUser(proof: UserProof | null): void {
    if (proof?.kind === 'verified') this.#facts.user_id = proof.user.userId;
  }

  /**
   * Records the decision and takes its rates, in one step. Resolves when both are durable. Throws `rate_limited` where a
   * rate refuses, `audit_unavailable` where the record could not be kept: in either case nothing may leave.
   */
  async decide(verdict: Verdict): Promise<void> {
    const facts = this.#facts;
    facts.grant_id = verdict.delegation?.id ?? verdict.grant?.id ?? null;
    Object.assign(facts, principalFacts(verdict));
    facts.managed_secret_id = verdict.secret?.id ?? null;
    facts.managed_secret_slug = verdict.secret?.slug ?? null;
    facts.secret_version = verdict.secret?.version ?? null;
    const leave = verdict.leave;
    if (leave === null) return; // the refusal is the outcome, and is recorded as such
    await this.#record('decided', { decision: 'allow' }, leave.rates);
  }

  /** Records how it ended. Waits for nothing; a failed write is the sink's to report. */
  complete(outcome: Outcome, leave: Permit | Passage): void {
    const rejected = isPermit(leave) && (outcome.status === 401 || outcome.status === 403);
    const code = outcome.end !== 'complete' ? outcome.end : rejected ? 'credential_rejected' : null;
    this.#record(
      'completed',
      { decision: 'allow', status: outcome.status, code, latency_ms: this.#latencyMs() },
      [],
    ).catch(reported);
  }

  /** Records a refusal, as decision and outcome in one. Callers without an app are only counted: see {@link appId}. */
  refuse(error: AlterError): void {
    if (this.#appId === null) return;
    const facts = {
      decision: 'deny',
      status: error.status,
      code: error.code,
      policy_error: error.policyError ?? null,
      latency_ms: this.#latencyMs(),
    } as const;
    this.#record('decided', facts, []).catch(reported);
  }

  async #record(suffix: 'decided' | 'completed', facts: Facts, rates: readonly RateDemand[]): Promise<void> {
    const now = this.#targets.clock();
    const event = {
      id: issueId(now),
      time: new Date(now).toISOString(),
      event: `${this.#subject}.${suffix}` as AuditEventName,
      app_id: this.#appId ?? 'system',
      ...this.#facts,
      ...facts,
    };
    const [verdicts] = await Promise.all([this.#targets.log.record(event, rates), this.#targets.file?.record(event)]);
    const refused = verdicts.find((verdict) => !verdict.allowed);
    if (refused !== undefined)
      throw new AlterError('rate_limited', {
        policyError: 'rate_limited',
        retryAfterSeconds: refused.retryAfterSeconds,
      });
  }

  #latencyMs(): number {
    return Math.round((performance.now() - this.#startedMs) * 10) / 10;
  }
}

/** Whose right was used. Of a delegation that is the user who lends; the agent who borrows stands beside. */
function principalFacts({ delegation, grant }: Verdict): Pick<Facts, 'principal_type' | 'principal_id' | 'user_id'> {
  if (delegation !== null)
    return { principal_type: 'delegation', principal_id: delegation.userId, user_id: delegation.userId };
  const principal = grant?.principal ?? null;
  switch (principal?.type) {
    case undefined:
      return { principal_type: null };
    case 'system':
      return { principal_type: 'system' };
    case 'user':
      return { principal_type: 'user', principal_id: principal.appUserId };
    case 'group':
      return { principal_type: 'group', principal_id: principal.externalGroupId };
    case 'agent':
      return { principal_type: 'agent', principal_id: principal.agentId };
  }
}

/** The sinks count and log their own failures; what they refuse to keep after the fact changes nothing for the client. */
function reported(): void {}

/** Whether a request carries a credential of ours. */
export function isPermit(leave: Verdict['leave']): leave is Permit {
  return leave !== null && 'grant' in leave;
}
