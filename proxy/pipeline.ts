import { type AlterError, toAlterError } from '../core/errors.ts';
import { findRestatement } from '../core/restatement.ts';
import { AuditTrail, isPermit } from './audit.ts';
import { authorize } from './authorize.ts';
import type { DataPlane } from './data-plane.ts';
import type { Exchange } from './exchange.ts';
import { answerHeaders } from './http/answer-headers.ts';
import { identify, proveKey } from './identify.ts';
import { inject, type Outbound, pass } from './inject.ts';
import { match } from './match.ts';
import { parseProxyRequest, parseTunnelRequest } from './request.ts';
import { refuse } from './respond.ts';

/** A store that hangs holds the record up for seconds: what was revoked meanwhile must not leave on the old verdict. */
const slowRecordMs = 200;

/**
 * The way of one request: who is calling, what for, may it, is that on record, then the credential goes in and the request
 * leaves. A stage that has doubts throws, and what it throws is the answer; nothing after it happens.
 *
 * What is in memory is there at once, and is not awaited: an `await` is a turn of the microtask queue, whatever it waits for.
 */
export async function handle(exchange: Exchange, plane: DataPlane): Promise<void> {
  const { tunnel, clientAddress } = exchange;
  const { model, users, clock } = plane;
  const trail = new AuditTrail(plane.audit, 'request', clientAddress);
  try {
    const request =
      tunnel === null
        ? parseProxyRequest(exchange.raw, plane.limits)
        : parseTunnelRequest(exchange.raw, tunnel.origin, plane.limits);
    const tags = exchange.effectiveTags(request.tags);
    exchange.frame(request);
    const path = pathOf(request.target);
    trail.sawRequest(request.method, request.origin, path, tags);

    const identity = tunnel?.identity ?? (await identify(request.proxyAuthorization, exchange, plane));
    const proving = proveKey(identity, model);
    const caller = proving instanceof Promise ? await proving : proving;
    trail.sawCaller(caller);

    // Only where a grant may be at stake: what leaves without a credential is nobody's in particular.
    const userToken = tags.grant === null && identity.choice.kind === 'header' ? null : tags.userToken;
    const appId = caller.key.appId;
    const asked = {
      caller,
      origin: request.origin,
      method: request.method,
      path,
      reason: tags.reason,
      restated: findRestatement(request.headers, request.target),
      clientAddress,
      user: userToken === null ? null : await users.prove(userToken, appId, clock()),
    };
    trail.sawUser(asked.user);
    const matching = match(tags.grant, identity.choice, asked, model, clock());
    const wish = matching instanceof Promise ? await matching : matching;
    const judging = authorize(wish, asked, plane, clock());
    const verdict = judging instanceof Promise ? await judging : judging;
    const judgeAgain = async (): Promise<AlterError | null> => {
      const now = clock();
      const user = await users.prove(userToken, appId, now);
      const again = { ...asked, caller: await proveKey(identity, model), user };
      return (await authorize(wish, again, plane, now)).refusal;
    };
    const decidedAt = performance.now();
    const recording = trail.decide(verdict);
    if (recording !== null) await recording;
    if (verdict.leave === null) throw verdict.refusal;
    exchange.holdTo(judgeAgain);
    if (performance.now() - decidedAt > slowRecordMs) {
      const refusal = await judgeAgain();
      if (refusal !== null) throw refusal;
    }

    const { leave } = verdict;
    let outbound: Outbound;
    if (isPermit(leave)) {
      const opening = model.openSecret(appId, leave.secret);
      const value = opening instanceof Promise ? await opening : opening;
      const injecting = inject(request, leave, value, { ...plane.signing, now: clock(), body: exchange });
      outbound = injecting instanceof Promise ? await injecting : injecting;
    } else outbound = pass(request, leave);
    const outcome = await plane.forwarder.forward(outbound, {
      request: exchange.request,
      response: exchange.response,
      upgrade: exchange.upgrade,
      askForBody: () => exchange.askForBody(),
      answerHeaders: (status) => answerHeaders(trail.requestId, leave, status),
    });
    trail.complete(outcome, leave);
    plane.reporter.completed(outcome, leave, performance.now() - exchange.startedMs);
  } catch (thrown) {
    const error = toAlterError(thrown);
    trail.refuse(error);
    plane.reporter.refused(error, trail);
    refuse(exchange, error, trail.requestId);
  }
}

function pathOf(target: string): string {
  const question = target.indexOf('?');
  return question === -1 ? target : target.slice(0, question);
}
