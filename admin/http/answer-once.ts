import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AlterError } from '../../core/errors.ts';
import type { VerifiedUser } from '../../core/user.ts';
import type { Attempt, IdempotencyRepository } from '../../vault/records/idempotency-repository.ts';
import type { AdminContext } from '../state.ts';
import { findOnlyHeader } from './guard-request.ts';
import type { Answer, Route } from './route.ts';

const pollMs = 50;
/** A request may take 30 s, but nobody waits that long for the request of somebody else. */
const patienceMs = 3_000;

/** Whether a route makes something, so that a repeated request would make it twice. */
export function takesIdempotencyKey(route: Pick<Route, 'method' | 'status'>): boolean {
  return route.method === 'POST' && route.status === 201;
}

/** Null where the route makes nothing or the header is absent. Throws `request_malformed`. */
export function findIdempotencyKey(route: Route, ctx: AdminContext): string | null {
  if (!takesIdempotencyKey(route)) return null;
  const key = findOnlyHeader(ctx, 'idempotency-key');
  if (key === null || /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new AlterError('request_malformed', {
    detail: 'Idempotency-Key must be 1 to 255 visible ASCII characters.',
    hint: 'A UUID for each thing that is to be made will do.',
  });
}

/**
 * Makes the answer, or gives the one that the same request with the same key got before. A request that failed made nothing,
 * and may be repeated. Throws `idempotency_mismatch`, `idempotency_pending`, `rate_limited`.
 */
export async function answerOnce(
  of: {
    readonly key: string;
    readonly route: Route;
    readonly ctx: AdminContext;
    /** Whom the request is made for, where a runtime key brings their token: one key serves many users. */
    readonly user: VerifiedUser | null;
    readonly idempotency: IdempotencyRepository;
  },
  make: () => Promise<Answer>,
): Promise<Answer> {
  const { route, ctx, user, idempotency } = of;
  const { accessToken, caller, body } = ctx.state;
  const by = [caller === null ? 'token' : 'key', caller?.key.id ?? accessToken?.id, user?.idpId, user?.externalId];
  const subject = createHash('sha256')
    .update(JSON.stringify([of.key, ...by, route.operationId, ctx.path]))
    .digest('hex');
  const content = idempotency.contentOf(JSON.stringify([ctx.querystring, ctx.get('if-match'), body ?? null]));
  const { isFirst, attempt } = await idempotency.begin({ subject, content });
  if (!isFirst) {
    const known = await outcomeOf(attempt, content, idempotency);
    ctx.set('Idempotency-Replayed', 'true');
    return known;
  }
  let answer: Answer;
  try {
    answer = await make();
  } catch (error) {
    await idempotency.release(attempt.id).catch(() => undefined); // else it answers `idempotency_pending` for a day
    throw error;
  }
  // It was made, and the caller is told so whether or not it can be told again.
  await idempotency.finish(attempt.id, keptOf(route, answer)).catch(() => undefined);
  return answer;
}

function keptOf(route: Route, { body, revision = 0 }: Answer): NonNullable<Attempt['answer']> {
  const plaintexts = Object.fromEntries((route.shownOnce ?? []).map((field) => [field, null]));
  return { revision, body: JSON.stringify({ ...body, ...plaintexts }) };
}

async function outcomeOf(begun: Attempt, content: string, idempotency: IdempotencyRepository): Promise<Answer> {
  const until = performance.now() + patienceMs;
  for (let attempt: Attempt | null = begun; attempt !== null; attempt = await idempotency.find(begun.subject)) {
    if (attempt.content !== content) throw new AlterError('idempotency_mismatch');
    if (attempt.answer !== null) {
      const { body, revision } = attempt.answer;
      return { body: JSON.parse(body) as object, ...(revision === 0 ? {} : { revision }) };
    }
    if (performance.now() > until) break;
    await sleep(pollMs);
  }
  throw new AlterError('idempotency_pending', { retryAfterSeconds: 1 });
}
