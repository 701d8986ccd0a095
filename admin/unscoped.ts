import { type Route, route } from './http/route.ts';
import { representAccessToken } from './schemas/representation.ts';
import { responses } from './schemas/schemas.ts';

/** What needs a token but no scope: who the token is. */
export const unscopedRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/me',
    operationId: 'getMe',
    summary: 'The token of this request',
    scope: 'any-token',
    status: 200,
    response: responses.accessToken,
    answer: async ({ accessToken, now }) => ({ body: representAccessToken(accessToken, now) }),
  }),
];
