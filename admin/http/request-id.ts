import { issueId } from '../../core/id.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AdminMiddleware, AdminState } from '../state.ts';

/**
 * Gives every request an id of our own (a client's could be forged to point at somebody else's log lines) and writes one
 * log line when it is answered.
 */
export function identifyRequest(of: { clock: () => number; log: Log }): AdminMiddleware {
  return async (ctx, next) => {
    const startedAt = of.clock();
    ctx.state.requestId = issueId(startedAt);
    ctx.state.route = null;
    ctx.state.accessToken = null;
    ctx.set('X-Alter-Request-Id', ctx.state.requestId);
    ctx.set('Cache-Control', 'no-store');
    ctx.set('X-Content-Type-Options', 'nosniff');
    await next();
    of.log.info('Answered an admin request.', {
      request_id: ctx.state.requestId,
      method: ctx.method,
      route: ctx.state.route,
      status: ctx.status,
      token_id: tokenIdOf(ctx.state),
      latency_ms: of.clock() - startedAt,
    });
  };
}

function tokenIdOf({ accessToken }: AdminState): string | null {
  return accessToken?.id ?? null;
}
