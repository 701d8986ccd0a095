import type { AuditEvent, AuditSink } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';
import type { Passage, Permit } from '../core/evaluate.ts';
import { issueId } from '../core/id.ts';
import type { Origin } from '../core/origin.ts';
import type { RateDemand } from '../core/rate.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { UserProof } from '../core/user.ts';
import type { AuditLog } from '../vault/audit/audit-log.ts';
import type { RateVerdict } from '../vault/store/store.ts';
import type { Verdict } from './authorize.ts';
import type { UseMemory } from './caller/remember-uses.ts';
import type { Outcome } from './http/forward.ts';
import type { RequestTags } from './request.ts';

/** Where decisions become durable: the sealed log of the store, and, where it is configured, a file. */
export interface AuditTargets {
  readonly log: AuditLog;
  readonly file: AuditSink | null;
  /** Told of what was let through. */
  readonly uses: Pick<UseMemory, 'saw'> | null;
  readonly clock: () => number;
}

/** What an event says of its end. */
type Ending = Required<Pick<AuditEvent, 'status' | 'latency_ms' | 'decision' | 'code' | 'policy_error'>>;

const allowed: Ending = { status: null, latency_ms: null, decision: 'allow', code: null, policy_error: null };

/** What became known of one request or tunnel on its way, for its two records: the decision and the outcome. */
export class AuditTrail {
  #requestId: string | null = null;
  readonly #targets: AuditTargets;
  readonly #subject: 'request' | 'tunnel';
  readonly #startedMs = performance.now();
  readonly #clientAddress: string;
  #method: string | null = null;
  #host: string | null = null;
  #path: string | null = null;
  #tags: Pick<RequestTags, 'reason' | 'caller' | 'context'> = noTags;
  #appId: string | null = null;
  #keyId: string | null = null;
  #agentId: string | null = null;
  #userId: string | null = null;
  #verdict: Pick<Verdict, 'delegation' | 'grant' | 'secret'> = noVerdict;
  #principal: UsedRight = noRight;

  constructor(targets: AuditTargets, subject: 'request' | 'tunnel', clientAddress: string) {
    this.#targets = targets;
    this.#subject = subject;
    this.#clientAddress = clientAddress;
  }

  /** Made when it is asked for: nearly every tunnel is opened up, and then is in no record of its own. */
  get requestId(): string {
    this.#requestId ??= issueId(this.#targets.clock());
    return this.#requestId;
  }

  get appId(): string | null {
    return this.#appId;
  }

  /** `path` without the query. */
  sawRequest(method: string, origin: Origin, path: string, tags: RequestTags): void {
    this.#method = method;
    // Joined, which makes a flat string: one that `+` made is compared by a call into the runtime, and the writer of an
    // entry compares it.
    this.#host = origin.port === 443 ? origin.host : [origin.host, origin.port].join(':');
    this.#path = path;
    this.#tags = tags;
  }

  sawCaller(caller: Caller): void {
    this.#appId = caller.key.appId;
    this.#keyId = caller.key.id;
    this.#agentId = caller.key.agentId;
  }

  /** The id that the app has for the user, once it has seen them. */
  sawUser(proof: UserProof | null): void {
    if (proof?.kind === 'verified') this.#userId = proof.user.userId;
  }

  /**
   * Records the decision and takes its rates, in one step. Both are durable when what it returns resolves, or at once where
   * it returns null: there is nothing to wait for then. Throws `rate_limited` where a rate refuses, `audit_unavailable`
   * where the record could not be kept, or rejects with them: in either case nothing may leave.
   */
  decide(verdict: Verdict): Promise<unknown> | null {
    this.#verdict = verdict;
    this.#principal = usedRight(verdict);
    const leave = verdict.leave;
    if (leave === null) return null; // the refusal is the outcome, and is recorded as such
    const { log, file, uses } = this.#targets;
    if (this.#appId !== null) uses?.saw(this.#appId, { key: this.#keyId, grant: verdict.grant?.id });
    const event = this.#event('decided', allowed);
    const { rates } = leave;
    const kept = log.decide(event, rates);
    if (file === null)
      return kept === null || rates.length === 0 ? kept : kept.then((verdicts) => requireAllowed(verdicts, rates));
    return Promise.all([kept, file.record(event)]).then(([verdicts]) => requireAllowed(verdicts ?? [], rates));
  }

  /** Records how it ended. Waits for nothing; a failed write is the sink's to report. */
  complete(outcome: Outcome, leave: Permit | Passage): void {
    const { status, end } = outcome;
    const isRejected = isPermit(leave) && (status === 401 || status === 403);
    const code = end !== 'complete' ? end : isRejected ? 'credential_rejected' : null;
    const ending = { status, latency_ms: this.#latencyMs(), decision: 'allow', code, policy_error: null } as const;
    this.#note('completed', ending);
  }

  /** Records a refusal, as decision and outcome in one. Callers without an app are only counted: see {@link appId}. */
  refuse(error: AlterError): void {
    if (this.#appId === null) return;
    const { status, code, policyError = null } = error;
    this.#note('decided', {
      ...{ status, latency_ms: this.#latencyMs(), decision: 'deny', code, policy_error: policyError },
    });
  }

  #note(suffix: 'decided' | 'completed', ending: Ending): void {
    const event = this.#event(suffix, ending);
    this.#targets.log.note(event);
    this.#targets.file?.record(event).catch(reported);
  }

  /** One literal with every field, so that all events have one shape: a spread costs more than all the rest here. */
  #event(suffix: 'decided' | 'completed', ending: Ending): Required<AuditEvent> {
    const now = this.#targets.clock();
    const { delegation, grant, secret } = this.#verdict;
    return {
      id: issueId(now),
      time: isoTime(now),
      event: `${this.#subject}.${suffix}`,
      app_id: this.#appId ?? 'system',
      request_id: this.requestId,
      key_id: this.#keyId,
      principal_type: this.#principal.type,
      principal_id: this.#principal.id,
      agent_id: this.#agentId,
      user_id: delegation?.userId ?? this.#userId,
      grant_id: delegation?.id ?? grant?.id ?? null,
      managed_secret_id: secret?.id ?? null,
      managed_secret_slug: secret?.slug ?? null,
      secret_version: secret?.version ?? null,
      method: this.#method,
      host: this.#host,
      path: this.#path,
      status: ending.status,
      latency_ms: ending.latency_ms,
      decision: ending.decision,
      code: ending.code,
      policy_error: ending.policy_error,
      reason: this.#tags.reason,
      caller: this.#tags.caller,
      context: this.#tags.context,
      client_ip: this.#clientAddress,
    };
  }

  #latencyMs(): number {
    return Math.round((performance.now() - this.#startedMs) * 10) / 10;
  }
}

const noTags = { reason: null, caller: null, context: null };
const noVerdict = { delegation: null, grant: null, secret: null };

let isoSecond = Number.NaN;
let iso = '';

/** `new Date(now).toISOString()`. The events of one second share most of the text: to make it costs as much as an id. */
function isoTime(now: number): string {
  const second = Math.floor(now / 1_000);
  if (second !== isoSecond) {
    isoSecond = second;
    iso = new Date(second * 1_000).toISOString().slice(0, -4);
  }
  return [iso, thousandths[Math.trunc(now - second * 1_000)]].join(''); // flat: see above
}

const thousandths = Array.from({ length: 1_000 }, (_, index) => `${String(index).padStart(3, '0')}Z`);

/** Throws `rate_limited`, or `user_token_invalid` where the token was good for one request and had that. */
function requireAllowed(verdicts: readonly RateVerdict[], rates: readonly RateDemand[]): void {
  const at = verdicts.findIndex((verdict) => !verdict.allowed);
  const refused = verdicts[at];
  if (refused === undefined) return;
  if (rates[at]?.ofToken)
    throw new AlterError('user_token_invalid', {
      detail: 'It has been used: tokens of this identity provider are good for one request.',
      hint: 'Get a new token for each request, and for each time that one is tried again.',
    });
  throw new AlterError('rate_limited', { policyError: 'rate_limited', retryAfterSeconds: refused.retryAfterSeconds });
}

/** Whose right was used. Of a delegation that is the user who lends; the agent who borrows stands beside. */
interface UsedRight {
  readonly type: string | null;
  readonly id: string | null;
}
const noRight: UsedRight = { type: null, id: null };
const systemRight: UsedRight = { type: 'system', id: null };

function usedRight({ delegation, grant }: Verdict): UsedRight {
  if (delegation !== null) return { type: 'delegation', id: delegation.userId };
  const principal = grant?.principal ?? null;
  switch (principal?.type) {
    case undefined:
      return noRight;
    case 'system':
      return systemRight;
    case 'user':
      return { type: 'user', id: principal.appUserId };
    case 'group':
      return { type: 'group', id: principal.externalGroupId };
    case 'agent':
      return { type: 'agent', id: principal.agentId };
  }
}

/** The sinks count and log their own failures; what they refuse to keep after the fact changes nothing for the client. */
function reported(): void {}

/** Whether a request carries a credential of ours. */
export function isPermit(leave: Verdict['leave']): leave is Permit {
  return leave !== null && 'grant' in leave;
}
