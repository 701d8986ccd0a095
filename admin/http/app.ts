import Koa from 'koa';
import type { AddressSet } from '../../core/address.ts';
import type { AuditSink } from '../../core/audit-event.ts';
import { AlterError } from '../../core/errors.ts';
import type { Caller } from '../../core/runtime-key.ts';
import type { VerifiedUser } from '../../core/user.ts';
import type { Log } from '../../telemetry/log.ts';
import type { AuditLog } from '../../vault/audit/audit-log.ts';
import { keepAll, type RetentionLimits } from '../../vault/audit/audit-retention.ts';
import { isRolledBack } from '../../vault/guard/guarded-store.ts';
import type { AccessTokenRepository } from '../../vault/records/access-token-repository.ts';
import type { SidecarStore } from '../../vault/sidecar-store.ts';
import type { Vault } from '../../vault/vault.ts';
import { routes } from '../routes.ts';
import type { AdminMiddleware, AdminState } from '../state.ts';
import { statePath } from '../state-routes.ts';
import { answerProblems } from './answer-problems.ts';
import { authenticate, limitFailures } from './authenticate.ts';
import { dispatch } from './dispatch.ts';
import { FailureCounter } from './failure-counter.ts';
import { guardHost, guardOrigin } from './guard-request.ts';
import { readBody } from './read-body.ts';
import { identifyRequest } from './request-id.ts';
import type { Services } from './route.ts';

export interface AdminOptions {
  readonly vault: Vault;
  readonly audit: Pick<AuditLog, 'record'>;
  /** ALTER_AUDIT_FILE: gets every change as well, before it is acknowledged. */
  readonly auditFile?: AuditSink | null;
  /** ALTER_CA_CERT, of which only the certificate ever comes here; null: it is kept in the store. */
  readonly authority: { readonly certificatePem: string } | null;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly log: Log;
  /** Names under which the service may be called, besides its own address and `localhost` (ALTER_ADMIN_HOSTS). */
  readonly hosts: readonly string[];
  /** ALTER_ALLOW_ADDRESSES: what a secret's hosts may name although it is not public. */
  readonly allowAddresses: AddressSet;
  /** ALTER_STORE_URL: where users of the store are made for sidecars. */
  readonly sidecarStore: SidecarStore;
  /** ALTER_AUDIT_MAX_AGE and ALTER_AUDIT_MAX_EVENTS; absent: everything is kept. */
  readonly auditRetention?: RetentionLimits;
  /** As the data plane would reach it; absent: identity providers are not discovered. */
  readonly fetchHttps?: (url: string) => Promise<Buffer>;
  /** As the data plane would reach it; absent: webhooks are not tested. */
  readonly postHttps?: Services['postHttps'];
  /** What application code is known and proves its users by; absent: there are no routes for it. */
  readonly runtime?: {
    readonly findCaller: (keyId: string) => Promise<Caller | null>;
    readonly used?: (caller: Caller) => void;
    readonly verifyUser: (token: string, appId: string, now: number) => Promise<VerifiedUser>;
  };
}

/** The control plane, without a listener. The list below is the whole path of a request, in its order. */
export function createAdminApp(options: AdminOptions): Koa<AdminState> {
  const { vault, audit, clock, log } = options;
  const failures = new FailureCounter();
  const publicPaths = new Set(routes.filter((route) => route.scope === 'public').map((route) => route.path));
  const isPublic = (path: string) => publicPaths.has(path);

  const middleware: readonly AdminMiddleware[] = [
    identifyRequest({ clock, log }),
    answerProblems({ log }),
    guardHost({ hosts: options.hosts }),
    guardOrigin(),
    limitFailures({ failures, isPublic }),
    authenticate({
      accessTokensFor: (path) => (path.startsWith(statePath) ? acceptingTokens(vault) : vault.accessTokens),
      findCaller: options.runtime?.findCaller ?? (async () => null),
      used: (caller) => options.runtime?.used?.(caller),
      clock,
      failures,
      isPublic,
    }),
    readBody(),
    dispatch(routes, {
      vault,
      audit: { log: audit, file: options.auditFile ?? null },
      clock,
      auditRetention: options.auditRetention ?? keepAll,
      certificatePem: options.authority?.certificatePem ?? null,
      allowAddresses: options.allowAddresses,
      sidecarStore: options.sidecarStore,
      fetchHttps: options.fetchHttps ?? refuseToFetch,
      postHttps: options.postHttps ?? refuseToFetch,
      verifyUser: options.runtime?.verifyUser ?? refuseToVerify,
    }),
  ];

  const app = new Koa<AdminState>();
  for (const step of middleware) app.use(step);
  // What arrives here happened while an answer was being written, mostly a client that went away.
  app.on('error', (error: unknown) => log.warn('An admin answer could not be sent.', { error }));
  return app;
}

/** Those of the newest state; where it is refused, those of the state that somebody is to accept. */
function acceptingTokens(vault: Vault): Pick<AccessTokenRepository, 'find'> {
  return {
    find: (id) =>
      vault.accessTokens.find(id).catch((error: unknown) => {
        if (isRolledBack(error)) return vault.unguarded.accessTokens.find(id);
        throw error;
      }),
  };
}

async function refuseToVerify(): Promise<VerifiedUser> {
  throw new AlterError('user_token_invalid', { detail: 'This service verifies no tokens.' });
}

async function refuseToFetch(): Promise<never> {
  throw new AlterError('upstream_refused', { detail: 'This service fetches nothing.' });
}
