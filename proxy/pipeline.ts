import { type AlterError, toAlterError } from '../core/errors.ts';
import { findRestatement } from '../core/restatement.ts';
import { AuditTrail, isPermit } from './audit.ts';
import { authorize } from './authorize.ts';
import type { DataPlane } from './data-plane.ts';
import type { Exchange } from './exchange.ts';
import { answerHeaders } from './http/answer-headers.ts';
import { identify, proveKey } from './identify.ts';
import { inject, pass } from './inject.ts';
import { match } from './match.ts';
import { parseProxyRequest, parseTunnelRequest } from './request.ts';
import { refuse } from './respond.ts';

/** A store that hangs holds the record up for seconds: what was revoked meanwhile must not leave on the old verdict. */
const slowRecordMs = 200;

/**
 * The way of one request: who is calling, what for, may it, is that on record, then the credential goes in and the request
 * leaves. A stage that has doubts throws, and what it throws is the answer; nothing after it happens.
 */
export async function handle(exchange: Exchange, plane: DataPlane): Promise<void> {
  const { tunnel, clientAddress } = exchange;
  const trail = new AuditTrail(plane.audit, 'request', clientAddress);
  try {
    const request =
      tunnel === null
        ? parseProxyRequest(exchange.raw, plane.limits)
        : parseTunnelRequest(exchange.raw, tunnel.origin, plane.limits);
    const tags = exchange.effectiveTags(request.tags);
    exchange.frame(request);
    trail.sawRequest(request.method, request.origin, request.target, tags);

    const identity = tunnel?.identity ?? (await identify(request.proxyAuthorization, exchange, plane));
    const caller = await proveKey(identity, plane.model);
    trail.sawCaller(caller);

    // Only where a grant may be at stake: what leaves without a credential is nobody's in particular.
    const userToken = tags.grant === null && identity.choice.kind === 'header' ? null : tags.userToken;
    const appId = caller.key.appId;
    const asked = {
      caller,
      origin: request.origin,
      method: request.method,
      path: pathOf(request.target),
      reason: tags.reason,
      restated: findRestatement(request.headers, request.target),
      clientAddress,
      user: userToken === null ? null : await plane.users.prove(userToken, appId, plane.clock()),
    };
    trail.sawUser(asked.user);
    const wish = await match(tags.grant, identity.choice, { ...asked, model: plane.model, now: plane.clock() });
    const verdict = await authorize(wish, asked, plane, plane.clock());
    const judgeAgain = async (): Promise<AlterError | null> => {
      const now = plane.clock();
      const user = await plane.users.prove(userToken, appId, now);
      const again = { ...asked, caller: await proveKey(identity, plane.model), user };
      return (await authorize(wish, again, plane, now)).refusal;
    };
    const decidedAt = performance.now();
    await trail.decide(verdict);
    if (verdict.leave === null) throw verdict.refusal;
    exchange.holdTo(judgeAgain);
    if (performance.now() - decidedAt > slowRecordMs) {
      const refusal = await judgeAgain();
      if (refusal !== null) throw refusal;
    }

    const { leave } = verdict;
    const outbound = isPermit(leave)
      ? await inject(request, leave, await plane.model.openSecret(caller.key.appId, leave.secret), {
          ...plane.signing,
          now: plane.clock(),
          body: exchange,
        })
      : pass(request, leave);
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
