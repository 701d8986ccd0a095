import type Koa from 'koa';
import type { AccessToken } from '../core/access-token.ts';
import type { Caller } from '../core/runtime-key.ts';

/** What the middleware list knows of a request, in the order in which it learns it. */
export interface AdminState {
  requestId: string;
  /** The route as its template, such as `/v1/apps/{app}`: what is logged instead of the path. */
  route: string | null;
  /** Null on the routes that are open to all. */
  accessToken: AccessToken | null;
  /** Only on the routes for application code, which brings a runtime key. */
  caller: Caller | null;
  /** The parsed JSON body; undefined where the request had none. */
  body: unknown;
}

export type AdminMiddleware = Koa.Middleware<AdminState>;
export type AdminContext = Koa.ParameterizedContext<AdminState>;
