import type { AccessToken } from '../core/access-token.ts';
import { AlterError } from '../core/errors.ts';
import { digestsEqual, findToken } from '../core/token.ts';
import type { AccessTokenRepository } from '../vault/access-token-repository.ts';
import type { FailureCounter } from './failure-counter.ts';
import { findOnlyHeader } from './guard-request.ts';
import type { AdminContext, AdminMiddleware } from './state.ts';

/** Before any hashing: a source that keeps failing gets 429 for the rest of its minute. */
export function limitFailures(of: { failures: FailureCounter; isPublic: (path: string) => boolean }): AdminMiddleware {
  return async (ctx, next) => {
    if (!of.isPublic(ctx.path)) await of.failures.requireFew(sourceOf(ctx));
    await next();
  };
}

/**
 * Bearer PAT only; there are no cookies. Every refusal is the same 401, whether the token is mistyped, unknown, revoked
 * or expired, and an unknown id costs the comparison that a known one costs.
 */
export function authenticate(of: {
  accessTokens: Pick<AccessTokenRepository, 'find'>;
  clock: () => number;
  failures: FailureCounter;
  isPublic: (path: string) => boolean;
}): AdminMiddleware {
  return async (ctx, next) => {
    if (!of.isPublic(ctx.path)) {
      const header = findOnlyHeader(ctx, 'authorization');
      if (header === null) throw new AlterError('unauthenticated');
      const accessToken = await findAccessToken(header, of);
      if (accessToken === null) {
        await of.failures.add(sourceOf(ctx));
        throw new AlterError('unauthenticated');
      }
      ctx.state.accessToken = accessToken;
    }
    await next();
  };
}

const noDigest = Buffer.alloc(32);

async function findAccessToken(
  header: string,
  of: { accessTokens: Pick<AccessTokenRepository, 'find'>; clock: () => number },
): Promise<AccessToken | null> {
  const bearer = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(header);
  const token = bearer === null ? null : findToken(bearer[1]!);
  if (token?.kind !== 'pat') return null;
  const found = await of.accessTokens.find(token.id);
  const isSame = digestsEqual(token.digest, found === null ? noDigest : Buffer.from(found.value.digest, 'hex'));
  if (found === null || !isSame) return null;
  const { revokedAt, expiresAt } = found.value;
  return revokedAt !== null || (expiresAt !== null && of.clock() >= expiresAt) ? null : found.value;
}

function sourceOf(ctx: AdminContext): string {
  return ctx.req.socket.remoteAddress ?? 'unknown';
}
