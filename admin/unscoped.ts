import { X509Certificate } from 'node:crypto';
import { formatTime, representAccessToken } from './representation.ts';
import { type Route, route } from './route.ts';
import { responses } from './schemas.ts';

/** What needs a token but no scope: who the token is, and the public certificate that workloads trust. */
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
  route({
    method: 'GET',
    path: '/v1/ca',
    operationId: 'getAuthority',
    summary: 'The certificate of the authority that workloads must trust',
    scope: 'any-token',
    status: 200,
    response: responses.authority,
    async answer({ certificatePem }) {
      const certificate = new X509Certificate(certificatePem);
      return {
        body: {
          certificate: certificatePem,
          not_after: formatTime(certificate.validToDate.getTime()),
          fingerprint_sha256: certificate.fingerprint256,
        },
      };
    },
  }),
];
