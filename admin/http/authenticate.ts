import { type AccessToken, accessTokenStatus } from '../../core/access-token.ts';
import { unmapIpv4 } from '../../core/address.ts';
import { AlterError } from '../../core/errors.ts';
import { evaluateKeyAddress, evaluateKeyLife } from '../../core/evaluate.ts';
import type { Caller } from '../../core/runtime-key.ts';
import { digestsEqual, findToken, type Token } from '../../core/token.ts';
import type { AccessTokenRepository } from '../../vault/records/access-token-repository.ts';
import type { AdminContext, AdminMiddleware } from '../state.ts';
import type { FailureCounter } from './failure-counter.ts';
import { findOnlyHeader } from './guard-request.ts';
import { runtimePrefix } from './route.ts';

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
  accessTokensFor: (path: string) => Pick<AccessTokenRepository, 'find'>;
  findCaller: (keyId: string) => Promise<Caller | null>;
  used: (caller: Caller) => void;
  clock: () => number;
  failures: FailureCounter;
  isPublic: (path: string) => boolean;
}): AdminMiddleware {
  return async (ctx, next) => {
    ctx.state.caller = null;
    if (!of.isPublic(ctx.path)) {
      const header = findOnlyHeader(ctx, 'authorization');
      if (header === null) throw new AlterError('unauthenticated');
      const isRuntime = ctx.path.startsWith(runtimePrefix);
      const { clock } = of;
      const accessToken = isRuntime
        ? null
        : await findAccessToken(header, { accessTokens: of.accessTokensFor(ctx.path), clock });
      const caller = isRuntime ? await findLiveCaller(header, of) : null;
      if (accessToken === null && caller === null) {
        await of.failures.add(sourceOf(ctx));
        throw new AlterError('unauthenticated');
      }
      if (caller !== null) {
        requireAddress(caller, sourceOf(ctx));
        of.used(caller);
      }
      ctx.state.accessToken = accessToken;
      ctx.state.caller = caller;
    }
    await next();
  };
}

const noDigest = Buffer.alloc(32);

function findBearer(header: string): Token | null {
  const bearer = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(header);
  return bearer === null ? null : findToken(bearer[1]!);
}

/** A runtime, agent or derived key that lives: as at the proxy, a derived one with its parent, an agent's with the agent. */
async function findLiveCaller(
  header: string,
  of: { findCaller: (keyId: string) => Promise<Caller | null>; clock: () => number },
): Promise<Caller | null> {
  const token = findBearer(header);
  if (token === null || token.kind === 'pat') return null;
  const caller = await of.findCaller(token.id);
  const isSame = digestsEqual(token.digest, caller === null ? noDigest : Buffer.from(caller.key.digest, 'hex'));
  return caller !== null && isSame && evaluateKeyLife(caller, of.clock()) === null ? caller : null;
}

function requireAddress(caller: Caller, source: string): void {
  const denial = evaluateKeyAddress(caller, unmapIpv4(source) ?? '');
  if (denial !== null) throw new AlterError('policy_violation', { policyError: 'ip_not_allowed' });
}

async function findAccessToken(
  header: string,
  of: { accessTokens: Pick<AccessTokenRepository, 'find'>; clock: () => number },
): Promise<AccessToken | null> {
  const token = findBearer(header);
  if (token?.kind !== 'pat') return null;
  const found = await of.accessTokens.find(token.id);
  const isSame = digestsEqual(token.digest, found === null ? noDigest : Buffer.from(found.value.digest, 'hex'));
  if (found === null || !isSame) return null;
  return accessTokenStatus(found.value, of.clock()) === 'active' ? found.value : null;
}

function sourceOf(ctx: AdminContext): string {
  return ctx.req.socket.remoteAddress ?? 'unknown';
}
