import type { Passage, Permit } from '../../core/evaluate.ts';
import { isPermit } from '../audit.ts';

/**
 * What the proxy adds to an upstream's answer: the request id, a word to those who still use a key that was rotated, and one
 * about a credential that seems to have died.
 */
export function answerHeaders(requestId: string, leave: Permit | Passage, status: number): string[] {
  const headers = ['X-Alter-Request-Id', requestId];
  if (leave.caller.key.rotatedAt !== null) headers.push('X-Alter-Key-Deprecated', 'true');
  if (isPermit(leave) && (status === 401 || status === 403)) {
    headers.push('X-Alter-Hint', `credential-rejected; secret=${leave.secret.slug}; version=${leave.secret.version}`);
  }
  return headers;
}
