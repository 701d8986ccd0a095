import { z } from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { responses } from '../schemas/schemas.ts';
import { takesIdempotencyKey } from './answer-once.ts';
import type { Route } from './route.ts';

const parameterDescriptions: Record<string, string> = {
  app: 'Id or name of the app',
  secret: 'Id or slug of the managed secret',
  grant: 'Id of the grant',
  key: 'Id or prefix of the key',
  agent: 'Id or name of the agent',
  idp: 'Id of the identity provider',
  workload: 'Id of the workload identity',
  user: 'Id of the user',
  group: 'Id or external id of the group',
  delegation: 'Id of the delegation',
  webhook: 'Id of the webhook',
};

/** The OpenAPI 3.1 document of a table of routes. */
export function describeApi(routes: readonly Route[]): object {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: describeOperation(route) };
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Alter Egress admin API',
      version: '1',
      description: 'Manages apps, managed secrets, grants and keys. Credentials go in and never come out.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A personal access token, alter_pat_…' },
        key: { type: 'http', scheme: 'bearer', description: 'A key of application code, alter_rk_…, _ak_ or _dk_' },
      },
    },
  });
}

function describeRuntimeScope(scope: string | null): string {
  return scope === null ? 'Any live key.' : `Scope of the key: \`${scope}\`.`;
}

const idempotencyKey = z
  .string()
  .max(255)
  .optional()
  .meta({ description: 'Chosen by the client: within a day, the same request with the same key makes nothing again' });

function describeOperation(route: Route): ZodOpenApiOperationObject {
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const path = z.object(
    Object.fromEntries(names.map((name) => [name, z.string().meta({ description: parameterDescriptions[name] })])),
  );
  const ifMatch = z.string().optional().meta({ description: 'The ETag of the revision that is to be changed' });
  const headers = {
    ...(route.conditional === true ? { 'If-Match': ifMatch } : {}),
    ...(takesIdempotencyKey(route) ? { 'Idempotency-Key': idempotencyKey } : {}),
  };
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(route.scope === 'public'
      ? { security: [] }
      : typeof route.scope === 'object'
        ? { description: describeRuntimeScope(route.scope.runtime), security: [{ key: [] }] }
        : { description: route.scope === 'any-token' ? 'Any valid token.' : `Scope: \`${route.scope}\`.` }),
    requestParams: {
      ...(names.length === 0 ? {} : { path }),
      ...(route.query === undefined ? {} : { query: route.query }),
      ...(Object.keys(headers).length === 0 ? {} : { header: z.object(headers) }),
    },
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: route.body } } } }),
    responses: {
      [`${route.status}`]: {
        description: route.summary,
        ...(route.response === null ? {} : { content: { 'application/json': { schema: route.response } } }),
      },
      default: {
        description: 'A problem (RFC 9457)',
        content: { 'application/problem+json': { schema: responses.problem } },
      },
    },
  };
}
