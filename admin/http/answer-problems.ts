import { AlterError, problemDocument, toAlterError } from '../../core/errors.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AdminMiddleware } from '../state.ts';

/** The only place of the control plane that turns an error into an answer (RFC 9457). */
export function answerProblems(of: { log: Log }): AdminMiddleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      const error = plainNotFound(toAlterError(thrown));
      if (error.status >= 500) {
        const { requestId } = ctx.state;
        of.log.error('An admin request failed.', {
          request_id: requestId,
          code: error.code,
          error: error.cause ?? thrown,
        });
      }
      ctx.status = error.status;
      ctx.type = 'application/problem+json';
      if (error.status === 401) ctx.set('WWW-Authenticate', 'Bearer realm="alter"');
      if (error.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(error.retryAfterSeconds));
      ctx.body = JSON.stringify(problemDocument(error, ctx.state.requestId));
    }
  };
}

/** What does not exist and what belongs to another app answer with the same bytes, whatever detail the finder gave. */
function plainNotFound(error: AlterError): AlterError {
  return error.code === 'not_found' ? new AlterError('not_found') : error;
}
