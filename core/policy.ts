import { type AddressRange, AddressSet, findAddressRange } from './address.ts';
import { AlterError, type PolicyError, type Problem } from './errors.ts';
import { dayBefore, isTimeZone, localTime, type Weekday, weekdays } from './local-time.ts';
import { findPathAmbiguity, findPathGlob, matchesPath, type PathGlob } from './path-glob.ts';
import type { RateDemand } from './rate.ts';
import type { Restatement } from './restatement.ts';

export const policyLevels = ['app', 'secret', 'agent', 'grant'] as const;
export type PolicyLevel = (typeof policyLevels)[number];

/** Rules that can only restrict. Null and false: there is no such rule. */
export interface Policy {
  readonly timeWindow: TimeWindow | null;
  /** Of the two rules below, and of a time window that names none. */
  readonly timezone: string;
  readonly businessHoursOnly: boolean;
  readonly weekdaysOnly: boolean;
  readonly addresses: AddressSet | null;
  readonly methods: readonly string[] | null;
  readonly paths: readonly PathGlob[] | null;
  readonly rateLimit: { readonly requests: number; readonly perSeconds: number } | null;
  readonly requireReason: boolean;
  readonly expiresAt: number | null;
  readonly maxTtlSeconds: number | null;
  readonly defaultTtlSeconds: number | null;
}

export interface TimeWindow {
  readonly timezone: string;
  /** Days on which the window starts. */
  readonly days: readonly Weekday[];
  /** Minutes since midnight on the zone's clock, 0 to 1440. A start is inside, an end is outside. An end before the start is on the next day. */
  readonly start: number;
  readonly end: number;
}

/** What a policy may look at. */
export interface PolicyRequest {
  readonly clientAddress: string;
  readonly method: string;
  /** As sent, without the query. */
  readonly path: string;
  /** X-Alter-Reason, or null. */
  readonly reason: string | null;
  readonly restated?: Restatement;
}

/** A policy at its place. A stored one that can't be read is null, and allows nothing. */
export interface AppliedPolicy {
  readonly level: PolicyLevel;
  /** Of the app, secret, agent or grant; names the bucket of the rate. */
  readonly id: string;
  readonly policy: Policy | null;
}

export interface PolicyRefusal {
  readonly kind: 'refuse';
  readonly code: 'policy_violation' | 'grant_expired';
  readonly policyError: PolicyError | null;
  /** For example `grant.policy.time_window`. */
  readonly rule: string;
  readonly detail: string;
}

export type PolicyVerdict = { readonly kind: 'pass'; readonly rates: readonly RateDemand[] } | PolicyRefusal;

type Refusal = Omit<PolicyRefusal, 'kind' | 'code' | 'rule'> & {
  readonly field: string;
  readonly code?: 'grant_expired';
};

type Check<Request> = (policy: Policy, request: Request, now: number) => Refusal | null;

const maxListLength = 256;
const maxPaths = 64;
const maxTtlSeconds = 1_825 * 86_400;
const workingDays: readonly Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri'];

/** What a CONNECT shows already. */
const tunnelChecks: readonly Check<Pick<PolicyRequest, 'clientAddress'>>[] = [
  checkAddress,
  checkExpiry,
  checkTimeWindow,
  checkWorkingTime,
];

/** In the order in which a request is looked at: what it is, where it comes from, when. */
const checks: readonly Check<PolicyRequest>[] = [checkMethod, checkPath, ...tunnelChecks, checkReason];

/** The rules that a policy may have, in the order in which they are shown. */
export const policyFields = [
  'time_window',
  'timezone',
  'business_hours_only',
  'weekdays_only',
  'ip_allowlist',
  'methods',
  'paths',
  'rate_limit',
  'require_reason',
  'expires_at',
  'max_ttl_seconds',
  'default_ttl_seconds',
] as const;

/**
 * Whether every policy lets this request pass; if so, the rates that are still to be taken. The first refusal counts, by
 * kind of rule before level, so that the answer does not depend on where a rule was written. Pure; `now` in milliseconds.
 */
export function evaluatePolicies(
  applied: readonly AppliedPolicy[],
  request: PolicyRequest,
  now: number,
): PolicyVerdict {
  const refusal = findUnreadable(applied) ?? findRefusal(checks, applied, request, now);
  if (refusal !== null) return refusal;
  let rates: RateDemand[] | null = null;
  for (const { level, id, policy } of applied) {
    if (policy === null || policy.rateLimit === null) continue;
    rates ??= [];
    rates.push({ bucket: `policy:${level}:${id}`, ...policy.rateLimit });
  }
  return rates === null ? passWithoutRates : { kind: 'pass', rates };
}

const passWithoutRates: PolicyVerdict = { kind: 'pass', rates: [] };

/**
 * The same for a tunnel that is asked for: by what is known before anything went through it. Methods, paths, reasons and
 * rates are left to the requests inside. Null: nothing against it.
 */
export function refuseTunnelByPolicy(
  applied: readonly AppliedPolicy[],
  request: Pick<PolicyRequest, 'clientAddress'>,
  now: number,
): PolicyRefusal | null {
  return findUnreadable(applied) ?? findRefusal(tunnelChecks, applied, request, now);
}

function findUnreadable(applied: readonly AppliedPolicy[]): PolicyRefusal | null {
  for (const { level, policy } of applied) {
    if (policy !== null) continue;
    return {
      kind: 'refuse',
      code: 'policy_violation',
      policyError: 'policy_unreadable',
      rule: `${level}.policy`,
      detail: `The policy of the ${level} cannot be read.`,
    };
  }
  return null;
}

function findRefusal<Request>(
  asked: readonly Check<Request>[],
  applied: readonly AppliedPolicy[],
  request: Request,
  now: number,
): PolicyRefusal | null {
  for (const check of asked) {
    for (const { level, policy } of applied) {
      const refusal = policy === null ? null : check(policy, request, now);
      if (refusal === null) continue;
      const { field, code = 'policy_violation', policyError, detail } = refusal;
      return { kind: 'refuse', code, policyError, rule: `${level}.policy.${field}`, detail };
    }
  }
  return null;
}

/** The same for one policy. */
export function evaluatePolicy(applied: AppliedPolicy, request: PolicyRequest, now: number): PolicyVerdict {
  return evaluatePolicies([applied], request, now);
}

function checkMethod(policy: Policy, { method, restated }: PolicyRequest): Refusal | null {
  const { methods } = policy;
  if (methods === null) return null;
  const isAllowed = methods.includes(method);
  if (isAllowed && (restated === undefined || restated.methods.length === 0)) return null;
  const other = restated?.methods.find((name) => !methods.includes(name));
  if (isAllowed && other === undefined) return null;
  return {
    field: 'methods',
    policyError: 'method_not_allowed',
    detail: `Only ${methods.join(', ')} may be used${other === undefined ? '' : ', and no header or parameter that asks for another'}.`,
  };
}

function checkPath(policy: Policy, { path, restated }: PolicyRequest): Refusal | null {
  const { paths } = policy;
  if (paths === null) return null;
  if (restated?.path === true)
    return refusePath('A policy looks at the path, and a header of the request names another.');
  const ambiguity = findPathAmbiguity(path);
  if (ambiguity !== null)
    return refusePath(`A policy looks at the path, and servers read this one in different ways: ${ambiguity}.`);
  for (const glob of paths) if (matchesPath(glob, path)) return null;
  return refusePath('This path is not among those allowed.');
}

function refusePath(detail: string): Refusal {
  return { field: 'paths', policyError: 'path_not_allowed', detail };
}

function checkAddress(policy: Policy, { clientAddress }: Pick<PolicyRequest, 'clientAddress'>): Refusal | null {
  if (policy.addresses?.has(clientAddress) !== false) return null;
  return {
    field: 'ip_allowlist',
    policyError: 'ip_not_allowed',
    detail: 'Requests from this address are not allowed.',
  };
}

function checkExpiry(policy: Policy, _request: unknown, now: number): Refusal | null {
  if (policy.expiresAt === null || now < policy.expiresAt) return null;
  return {
    field: 'expires_at',
    code: 'grant_expired',
    policyError: null,
    detail: 'The policy of the grant has expired.',
  };
}

function checkTimeWindow({ timeWindow }: Policy, _request: unknown, now: number): Refusal | null {
  return timeWindow === null ? null : checkWindow(timeWindow, 'time_window', now);
}

function checkWorkingTime(policy: Policy, _request: unknown, now: number): Refusal | null {
  const { timezone } = policy;
  if (policy.weekdaysOnly) {
    const refusal = checkWindow({ timezone, days: workingDays, start: 0, end: 1_440 }, 'weekdays_only', now);
    if (refusal !== null) return refusal;
  }
  if (!policy.businessHoursOnly) return null;
  return checkWindow({ timezone, days: weekdays, start: 9 * 60, end: 17 * 60 }, 'business_hours_only', now);
}

/** The part of a window after midnight belongs to the day on which the window started. */
function checkWindow({ timezone, days, start, end }: TimeWindow, field: string, now: number): Refusal | null {
  const { weekday, minute } = localTime(timezone, now);
  const crosses = end < start;
  const day = crosses && minute < end ? dayBefore(weekday) : weekday;
  if (!days.includes(day))
    return { field, policyError: 'time_wrong_weekday', detail: `It is the wrong day of the week in ${timezone}.` };
  const inside = crosses ? minute >= start || minute < end : minute >= start && minute < end;
  if (inside) return null;
  return { field, policyError: 'time_outside_window', detail: `It is outside the hours allowed in ${timezone}.` };
}

function checkReason(policy: Policy, { reason }: PolicyRequest): Refusal | null {
  if (!policy.requireReason || (reason !== null && reason.trim() !== '')) return null;
  return { field: 'require_reason', policyError: 'reason_required', detail: 'A reason is needed in X-Alter-Reason.' };
}

/**
 * When a grant with this policy ends: as wished, or after `default_ttl_seconds`, or with the policy. Null: never. Throws
 * `validation_failed` where the wish is beyond `max_ttl_seconds` or `expires_at`.
 */
export function grantExpiry(
  policy: Policy,
  of: { readonly wanted: number | null; readonly now: number },
): number | null {
  const { expiresAt, maxTtlSeconds: max, defaultTtlSeconds } = policy;
  const limits = [expiresAt, max === null ? null : of.now + max * 1_000].filter((limit) => limit !== null);
  const latest = limits.length === 0 ? null : Math.min(...limits);
  if (of.wanted !== null) {
    if (latest === null || of.wanted <= latest) return of.wanted;
    throw invalid([
      { field: 'expires_at', message: `must not be after ${new Date(latest).toISOString()}, by the policy` },
    ]);
  }
  if (defaultTtlSeconds === null) return latest;
  const byDefault = of.now + defaultTtlSeconds * 1_000;
  return latest === null ? byDefault : Math.min(byDefault, latest);
}

/**
 * Reads a policy document, which comes from JSON. `field` is what the user calls it, such as `grant_policy`; empty where
 * the document is the whole request. Throws `validation_failed` with every problem; an unknown field is one, since a rule
 * that is misspelt restricts nothing.
 */
export function parsePolicy(document: unknown, of: { readonly level: PolicyLevel; readonly field: string }): Policy {
  const reader = new PolicyReader(document, of.field);
  const timezone = reader.take('timezone', parseTimeZone) ?? 'UTC';
  const policy: Policy = {
    timeWindow: reader.take('time_window', (value, field) =>
      parseTimeWindow(value, { field, timezone, outer: reader }),
    ),
    timezone,
    businessHoursOnly: reader.take('business_hours_only', parseBoolean) ?? false,
    weekdaysOnly: reader.take('weekdays_only', parseBoolean) ?? false,
    addresses: reader.take('ip_allowlist', parseAddresses),
    methods: reader.take('methods', parseMethods),
    paths: reader.take('paths', parsePaths),
    rateLimit: reader.take('rate_limit', (value, field) => parseRateLimit(value, { field, outer: reader })),
    requireReason: reader.take('require_reason', parseBoolean) ?? false,
    ...parseLife(reader, of.level),
  };
  reader.refuseRest();
  if (reader.problems.length > 0) throw invalid(reader.problems);
  return policy;
}

/** A value, or what is wrong with it. */
type Outcome<T> = { readonly value: T } | { readonly problem: string };

/** Takes known fields out of an object one by one, and collects what is wrong; what is left at the end is unknown. */
class PolicyReader {
  readonly problems: Problem[];
  readonly #fields: Map<string, unknown>;
  readonly #field: string;

  constructor(document: unknown, field: string, problems: Problem[] = []) {
    this.problems = problems;
    this.#field = field;
    const isObject = typeof document === 'object' && document !== null && !Array.isArray(document);
    if (!isObject) problems.push({ field, message: 'must be an object' });
    this.#fields = new Map(isObject ? Object.entries(document) : []);
  }

  /** Null where the field is absent, null, or wrong. */
  take<T>(name: string, parse: (value: unknown, field: string) => Outcome<T>): T | null {
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    if (value === undefined || value === null) return null;
    const field = this.#nameOf(name);
    const outcome = parse(value, field);
    if ('value' in outcome) return outcome.value;
    if (outcome.problem !== '') this.problems.push({ field, message: outcome.problem });
    return null;
  }

  addProblem(name: string, message: string): void {
    this.problems.push({ field: this.#nameOf(name), message });
  }

  refuseRest(): void {
    for (const name of this.#fields.keys())
      this.problems.push({ field: this.#nameOf(name.slice(0, 60)), message: 'is not a rule of a policy' });
  }

  #nameOf(name: string): string {
    return this.#field === '' ? name : `${this.#field}.${name}`;
  }
}

/** Of an object whose own fields were reported already. */
const reported = { problem: '' } as const;

function parseTimeWindow(
  value: unknown,
  of: { readonly field: string; readonly timezone: string; readonly outer: PolicyReader },
): Outcome<TimeWindow> {
  const { outer } = of;
  const before = outer.problems.length;
  const reader = new PolicyReader(value, of.field, outer.problems);
  const timezone = reader.take('timezone', parseTimeZone) ?? of.timezone;
  const days = reader.take('days', parseDays) ?? weekdays;
  const start = reader.take('start', parseClock);
  const end = reader.take('end', parseClock);
  reader.refuseRest();
  if (outer.problems.length > before) return reported;
  if (start === null || end === null) return { problem: 'needs a start and an end, such as 09:00 and 17:00' };
  if (start === 1_440) return { problem: 'cannot start at 24:00: write 00:00 of the next day' };
  // Equal could mean the whole day or never.
  if (start === end) return { problem: 'has the same start and end: write 00:00 to 24:00 for whole days' };
  return { value: { timezone, days, start, end } };
}

function parseRateLimit(
  value: unknown,
  of: { readonly field: string; readonly outer: PolicyReader },
): Outcome<NonNullable<Policy['rateLimit']>> {
  const { outer } = of;
  const before = outer.problems.length;
  const reader = new PolicyReader(value, of.field, outer.problems);
  const requests = reader.take('requests', integer({ min: 1, max: 1_000_000 }));
  const perSeconds = reader.take('per_seconds', integer({ min: 1, max: 86_400 }));
  reader.refuseRest();
  if (outer.problems.length > before) return reported;
  if (requests === null || perSeconds === null) return { problem: 'needs both requests and per_seconds' };
  return { value: { requests, perSeconds } };
}

function parseLife(
  reader: PolicyReader,
  level: PolicyLevel,
): Pick<Policy, 'expiresAt' | 'maxTtlSeconds' | 'defaultTtlSeconds'> {
  const forGrants = <T>(parse: (value: unknown) => Outcome<T>) =>
    level === 'grant' ? parse : (): Outcome<T> => ({ problem: 'belongs to the policy of a grant only' });
  const seconds = integer({ min: 1, max: maxTtlSeconds });
  const life = {
    expiresAt: reader.take('expires_at', forGrants(parseTime)),
    maxTtlSeconds: reader.take('max_ttl_seconds', forGrants(seconds)),
    defaultTtlSeconds: reader.take('default_ttl_seconds', forGrants(seconds)),
  };
  if (life.maxTtlSeconds !== null && life.defaultTtlSeconds !== null && life.defaultTtlSeconds > life.maxTtlSeconds)
    reader.addProblem('default_ttl_seconds', 'is longer than max_ttl_seconds');
  return life;
}

function parseBoolean(value: unknown): Outcome<boolean> {
  return typeof value === 'boolean' ? { value } : { problem: 'must be true or false' };
}

function parseTimeZone(value: unknown): Outcome<string> {
  if (typeof value === 'string' && isTimeZone(value)) return { value };
  return { problem: 'must be the IANA name of a time zone, such as Europe/Berlin' };
}

function parseDays(value: unknown): Outcome<readonly Weekday[]> {
  return parseList(
    value,
    { max: 7, what: `days out of ${weekdays.join(', ')}` },
    (item) => weekdays.find((day) => day === item) ?? null,
  );
}

/** `09:00` to minutes; `24:00` is the end of a day. */
function parseClock(value: unknown): Outcome<number> {
  const match = typeof value === 'string' ? /^(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$/.exec(value) : null;
  if (match === null) return { problem: 'must be a time of day from 00:00 to 24:00' };
  return { value: match[1] === undefined ? 1_440 : Number(match[1]) * 60 + Number(match[2]) };
}

function parseAddresses(value: unknown): Outcome<AddressSet> {
  const ranges = parseList(
    value,
    { max: maxListLength, what: 'addresses or ranges such as 203.0.113.0/24' },
    (item): AddressRange | null => {
      const range = findAddressRange(item);
      return range === null || range.port !== null ? null : range;
    },
  );
  return 'value' in ranges ? { value: new AddressSet(ranges.value) } : ranges;
}

/** Methods are compared as they are written (RFC 9110, section 9.1), so `get` would allow nothing that anyone sends. */
function parseMethods(value: unknown): Outcome<readonly string[]> {
  return parseList(value, { max: 32, what: 'methods in capital letters, such as GET' }, (item) =>
    /^[A-Z][A-Z-]{0,31}$/.test(item) ? item : null,
  );
}

function parsePaths(value: unknown): Outcome<readonly PathGlob[]> {
  return parseList(
    value,
    { max: maxPaths, what: 'paths such as /v1/charges/**, without //, dot segments or encoded delimiters' },
    findPathGlob,
  );
}

function parseTime(value: unknown): Outcome<number> {
  const wanted = 'must be a time such as 2026-12-31T00:00:00Z';
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:\d\d)$/.test(value))
    return { problem: wanted };
  const time = Date.parse(value);
  // Date.parse moves 30 February into March.
  const day = new Date(`${value.slice(0, 10)}T00:00:00Z`);
  if (Number.isNaN(time) || Number.isNaN(day.getTime()) || !day.toISOString().startsWith(value.slice(0, 10)))
    return { problem: wanted };
  return { value: time };
}

function integer({ min, max }: { min: number; max: number }): (value: unknown) => Outcome<number> {
  return (value) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return { value };
    return { problem: `must be a whole number from ${min} to ${max}` };
  };
}

/** An empty list would refuse every request: whoever writes one means something else. */
function parseList<T>(
  value: unknown,
  of: { readonly max: number; readonly what: string },
  find: (item: string) => T | null,
): Outcome<readonly T[]> {
  if (!Array.isArray(value) || value.length === 0 || value.length > of.max)
    return { problem: `must be a list of 1 to ${of.max} ${of.what}` };
  const found: T[] = [];
  for (const [index, item] of value.entries()) {
    const one = typeof item === 'string' ? find(item) : null;
    if (one === null) return { problem: `holds at place ${index + 1} something else than ${of.what}` };
    found.push(one);
  }
  return { value: found };
}

function invalid(problems: readonly Problem[]): AlterError {
  return new AlterError('validation_failed', {
    detail: `The policy is not valid: ${problems.map((problem) => problem.field).join(', ')}.`,
    problems,
  });
}
