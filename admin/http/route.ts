import type { z } from 'zod';
import type { AccessToken, DashboardScope } from '../../core/access-token.ts';
import type { AddressSet } from '../../core/address.ts';
import type { Problem } from '../../core/errors.ts';
import type { Caller, RuntimeScope } from '../../core/runtime-key.ts';
import type { VerifiedUser } from '../../core/user.ts';
import type { RetentionLimits } from '../../vault/audit/audit-retention.ts';
import type { SidecarStore } from '../../vault/sidecar-store.ts';
import type { AppVault, Vault } from '../../vault/vault.ts';
import type { ChangeRecorder } from '../record-change.ts';

/**
 * One line of the API: the router, the scope check and the OpenAPI document are all made from it, so that they can't
 * differ. `scope` is what the token must hold; `any-token`: a valid token is enough; `public`: no token is looked at;
 * `runtime`: what a runtime key must hold, which takes the place of a token there, null for nothing.
 */
export interface Route<
  Query extends z.ZodRawShape = z.ZodRawShape,
  Body extends z.ZodRawShape = z.ZodRawShape,
  Where extends Call<Query, Body> = Call<Query, Body>,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** As OpenAPI writes it; a route below `{app}` is given that app. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly scope: DashboardScope | 'any-token' | 'public' | { readonly runtime: RuntimeScope | null };
  readonly query?: z.ZodObject<Query>;
  readonly body?: z.ZodObject<Body>;
  readonly status: 200 | 201 | 204;
  /** Null where the answer has no body. */
  readonly response: z.ZodType | null;
  /** It honours `If-Match`. */
  readonly conditional?: true;
  /** The fields of the answer that are plaintexts: shown once, kept nowhere, and null where an answer is repeated. */
  readonly shownOnce?: readonly string[];
  /** A change that an archived app still allows: what ends something, asks something, or brings the app back. */
  readonly whileArchived?: true;
  answer(call: Where): Promise<Answer>;
}

/** As {@link AppCall}, for application code: the app is that of its key. */
export interface RuntimeCall<Query extends z.ZodRawShape, Body extends z.ZodRawShape> extends AppCall<Query, Body> {
  readonly caller: Caller;
  /** Whom X-Alter-User-Token proves; null where there is none. Rejects with `user_token_invalid`. */
  readonly findUser: () => Promise<VerifiedUser | null>;
}

export interface Services {
  readonly vault: Vault;
  /** Of apps that say nothing of their own. */
  readonly auditRetention: RetentionLimits;
  /** Null where the authority is kept in the store. */
  readonly certificatePem: string | null;
  readonly allowAddresses: AddressSet;
  readonly sidecarStore: SidecarStore;
  /** Fetches a small document over https, through the guard that all of the service's own calls go through. */
  readonly fetchHttps: (url: string) => Promise<Buffer>;
  /** As {@link fetchHttps}, to tell something. Resolves with any status. */
  readonly postHttps: (
    url: string,
    of: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
  ) => Promise<{ readonly status: number }>;
  /** Rejects with `user_token_invalid`. */
  readonly verifyUser: (token: string, appId: string, now: number) => Promise<VerifiedUser>;
}

/** What a route is given. `now` is the moment at which the request arrived, in milliseconds since the epoch. */
export interface Call<Query extends z.ZodRawShape, Body extends z.ZodRawShape> extends Services {
  readonly params: Readonly<Record<string, string>>;
  readonly query: z.output<z.ZodObject<Query>>;
  readonly expectedRevision: number | undefined;
  readonly changes: ChangeRecorder;
  readonly now: number;
  /** Throws `unauthenticated` on a public route. */
  readonly accessToken: AccessToken;
  /**
   * The body, parsed. A route asks for it after it has found its object, so that 404 comes before 422. `check` finds what
   * is wrong between fields, and is given those that are valid by themselves. Throws `validation_failed` with all of it.
   */
  readonly readBody: (
    check?: (valid: Partial<z.output<z.ZodObject<Body>>>) => readonly Problem[],
  ) => z.output<z.ZodObject<Body>>;
}

export interface AppCall<Query extends z.ZodRawShape, Body extends z.ZodRawShape> extends Call<Query, Body> {
  readonly app: AppVault;
}

export interface Answer {
  /** Null for 204. */
  readonly body: object | null;
  /** Becomes the ETag. */
  readonly revision?: number;
}

type Empty = Record<never, never>;

/** Types a route from its schemas. */
export function route<Query extends z.ZodRawShape = Empty, Body extends z.ZodRawShape = Empty>(
  definition: Route<Query, Body>,
): Route {
  return definition as unknown as Route; // the dispatcher gives each route the query and the body of its own schemas
}

/** As {@link route}, for a path below `/v1/apps/{app}`. */
export function appRoute<Query extends z.ZodRawShape = Empty, Body extends z.ZodRawShape = Empty>(
  definition: Route<Query, Body, AppCall<Query, Body>>,
): Route {
  return definition as unknown as Route; // and the app to those whose path names one
}

/** As {@link route}, for application code below {@link runtimePrefix}. */
export function runtimeRoute<Query extends z.ZodRawShape = Empty, Body extends z.ZodRawShape = Empty>(
  definition: Route<Query, Body, RuntimeCall<Query, Body>> & {
    readonly scope: { readonly runtime: RuntimeScope | null };
  },
): Route {
  return definition as unknown as Route; // and the caller to those whose scope is one of the runtime
}

/** Below it a runtime key authenticates, and nothing else does. */
export const runtimePrefix = '/v1/runtime/';
