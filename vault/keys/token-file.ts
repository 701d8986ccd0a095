import { readFileSync } from 'node:fs';
import { kmsUnavailable } from './kms-http.ts';

/** Read each time: whoever put it there renews it. Throws `kms_unavailable`. */
export function readToken(path: string): string {
  let token = '';
  try {
    token = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw kmsUnavailable(`the token file ${path} can't be read (${(error as NodeJS.ErrnoException).code ?? ''})`);
  }
  if (token === '') throw kmsUnavailable(`the token file ${path} is empty`);
  return token;
}
