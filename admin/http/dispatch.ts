import Router from '@koa/router';
import type Koa from 'koa';
import { z } from 'zod';
import { type AccessToken, hasDashboardScope } from '../../core/access-token.ts';
import { unmapIpv4 } from '../../core/address.ts';
import { AlterError } from '../../core/errors.ts';
import { type Caller, hasRuntimeScope } from '../../core/runtime-key.ts';
import type { VerifiedUser } from '../../core/user.ts';
import type { AppVault, Vault } from '../../vault/vault.ts';
import { type ChangeAudit, ChangeRecorder } from '../record-change.ts';
import type { AdminContext, AdminMiddleware, AdminState } from '../state.ts';
import { answerOnce, findIdempotencyKey } from './answer-once.ts';
import { parseFields } from './check-fields.ts';
import { formatEtag, parseIfMatch } from './etag.ts';
import { findOnlyHeader } from './guard-request.ts';
import type { Call, Route, Services } from './route.ts';

/**
 * The table of routes as one middleware. The order is the same for each: scope (403), app (404), query and presence of a
 * body (422), then the route itself.
 */
export function dispatch(
  routes: readonly Route[],
  of: Services & { readonly audit: ChangeAudit; readonly clock: () => number },
): AdminMiddleware {
  const router = new Router<AdminState>({ sensitive: true, strict: true });
  for (const route of routes) {
    router.register(route.path.replaceAll(/\{(\w+)\}/g, ':$1'), [route.method], async (ctx) => {
      ctx.state.route = route.path;
      await answer(route, ctx, ctx.params, of);
    });
  }
  const middleware = router.routes() as unknown as Koa.Middleware<AdminState>;
  return async (ctx, next) => {
    let isFound = true;
    await middleware(ctx, async () => {
      isFound = false;
      await next();
    });
    if (isFound) return;
    const methods = routes.filter((route) => matchesPath(route.path, ctx.path)).map((route) => route.method);
    if (methods.length === 0) throw new AlterError('not_found');
    ctx.set('Allow', methods.join(', '));
    throw new AlterError('method_not_allowed');
  };
}

async function answer(
  route: Route,
  ctx: AdminContext,
  params: Readonly<Record<string, string>>,
  of: Services & { readonly audit: ChangeAudit; readonly clock: () => number },
): Promise<void> {
  const { accessToken, caller, requestId, body } = ctx.state;
  requireScope(route, { accessToken, caller });
  const app =
    caller !== null || params.app !== undefined ? await openApp(of.vault, params.app ?? null, ctx.state, route) : null;
  const call: Call<z.ZodRawShape, z.ZodRawShape> = {
    vault: of.vault,
    auditRetention: of.auditRetention,
    certificatePem: of.certificatePem,
    allowAddresses: of.allowAddresses,
    sidecarStore: of.sidecarStore,
    fetchHttps: of.fetchHttps,
    postHttps: of.postHttps,
    verifyUser: of.verifyUser,
    params,
    query: parseFields(route.query ?? z.strictObject({}), readQuery(ctx)),
    expectedRevision: route.conditional === true ? parseIfMatch(findOnlyHeader(ctx, 'if-match')) : undefined,
    changes: new ChangeRecorder(of.audit, {
      requestId,
      actor: actorOf(accessToken, caller),
      clientAddress: unmapIpv4(ctx.req.socket.remoteAddress ?? ''),
      clock: of.clock,
    }),
    now: of.clock(),
    get accessToken() {
      if (accessToken === null) throw new AlterError('unauthenticated');
      return accessToken;
    },
    readBody: (check) => parseFields(route.body ?? z.strictObject({}), body === undefined ? {} : body, check),
  };
  if (route.body === undefined) call.readBody();
  const asking = caller === null ? null : ofCaller(ctx, caller, of);
  const given = app === null ? call : withMore(call, asking === null ? { app } : { app, ...asking });
  const key = findIdempotencyKey(route, ctx);
  const make = () => route.answer(given);
  const once = async (named: string) => {
    const user = (await asking?.findUser()) ?? null;
    return answerOnce({ key: named, route, ctx, user, idempotency: (app ?? of.vault).idempotency }, make);
  };
  const { body: answered, revision } = key === null ? await make() : await once(key);
  ctx.status = route.status;
  if (revision !== undefined) ctx.set('ETag', formatEtag(revision));
  if (answered === null) ctx.body = null;
  else ctx.body = answered;
  ctx.status = route.status;
}

function withMore<Q extends z.ZodRawShape, B extends z.ZodRawShape, More extends object>(
  call: Call<Q, B>,
  more: More,
): Call<Q, B> & More {
  return Object.defineProperties(more as Call<Q, B> & More, Object.getOwnPropertyDescriptors(call));
}

/** What a route for application code is given besides. */
function ofCaller(
  ctx: AdminContext,
  caller: Caller,
  { verifyUser, clock }: Services & { readonly clock: () => number },
) {
  let found: Promise<VerifiedUser | null> | undefined; // asked once: a token may be good for one request only
  const find = async (): Promise<VerifiedUser | null> => {
    const token = findOnlyHeader(ctx, 'x-alter-user-token');
    return token === null ? null : verifyUser(token, caller.key.appId, clock());
  };
  const findUser = (): Promise<VerifiedUser | null> => {
    found ??= find();
    return found;
  };
  return { caller, findUser };
}

function actorOf(accessToken: AccessToken | null, caller: Caller | null) {
  if (caller !== null) return { type: 'key', id: caller.key.id } as const;
  return accessToken === null ? null : ({ type: 'token', id: accessToken.id } as const);
}

function requireScope(
  route: Route,
  { accessToken, caller }: { readonly accessToken: AccessToken | null; readonly caller: Caller | null },
): void {
  if (route.scope === 'public') return;
  if (typeof route.scope === 'object') {
    if (caller === null) throw new AlterError('unauthenticated');
    const { runtime } = route.scope;
    if (runtime === null || hasRuntimeScope(caller.key.scopes, runtime)) return;
    throw new AlterError('insufficient_scope', { detail: `The key lacks the scope ${runtime}.` });
  }
  if (accessToken === null) throw new AlterError('unauthenticated');
  if (route.scope === 'any-token' || hasDashboardScope(accessToken.scopes, route.scope)) return;
  throw new AlterError('insufficient_scope', { detail: `The token lacks the scope ${route.scope}.` });
}

/**
 * The app of the path, or that of the key. Throws `not_found`, also for an app that exists but that the token may not see,
 * and `conflict` for a change in an app that is archived.
 */
async function openApp(
  vault: Vault,
  idOrName: string | null,
  { accessToken, caller }: Pick<AdminState, 'accessToken' | 'caller'>,
  route: Route,
): Promise<AppVault> {
  const { value: app } = await vault.apps.get(caller?.key.appId ?? idOrName ?? '');
  const isSeen = caller !== null || (accessToken !== null && (accessToken.appId ?? app.id) === app.id);
  if (!isSeen) throw new AlterError('not_found');
  if (app.archivedAt !== null && route.method !== 'GET' && route.whileArchived !== true)
    throw new AlterError('conflict', {
      detail: 'The app is archived: its objects are read, revoked and deleted, and otherwise stay as they are.',
      hint: 'Take it back into use first, with `alter apps unarchive`.',
    });
  return vault.app(app.id);
}

/** Throws `validation_failed` where a parameter stands twice. */
function readQuery(ctx: AdminContext): Record<string, string> {
  const query: Record<string, string> = Object.create(null);
  for (const [name, value] of new URLSearchParams(ctx.querystring)) {
    if (Object.hasOwn(query, name)) {
      const problem = { field: name.replace(/[^\x20-\x7e]/g, '?').slice(0, 64), message: 'is given twice' };
      throw new AlterError('validation_failed', { detail: `${problem.field} ${problem.message}`, problems: [problem] });
    }
    query[name] = value;
  }
  return query;
}

function matchesPath(template: string, path: string): boolean {
  const wanted = template.split('/');
  const given = path.split('/');
  return (
    wanted.length === given.length &&
    wanted.every((part, i) => (part.startsWith('{') ? given[i] !== '' : part === given[i]))
  );
}
