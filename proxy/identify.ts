import { AlterError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import type { Caller } from '../core/runtime-key.ts';
import { digestsEqual, findToken } from '../core/token.ts';
import type { ReadModel } from '../vault/read-model.ts';

/** How the user name of the proxy URL wants untagged requests to be treated. */
export type GrantChoice =
  | { readonly kind: 'header' }
  | { readonly kind: 'auto' }
  | { readonly kind: 'listed'; readonly grantIds: readonly string[] };

/** A caller that proved its key. The key record itself is looked up again for every request, so that a change of it counts. */
export interface Identity {
  readonly keyId: string;
  readonly digest: Buffer;
  readonly choice: GrantChoice;
}

const maxListedGrants = 32;

/**
 * Reads `Proxy-Authorization` and proves the key. Throws `proxy_auth_required`, `key_invalid`, `grant_header_invalid`.
 * An unknown id and a wrong secret answer alike.
 */
export async function identify(header: string | null, model: ReadModel): Promise<Identity> {
  if (header === null) throw new AlterError('proxy_auth_required');
  const { user, password } = readCredentials(header);
  const token = findToken(password);
  if (token === null || token.kind === 'pat') throw new AlterError('key_invalid');
  const identity = { keyId: token.id, digest: token.digest, choice: readChoice(user) };
  await proveKey(identity, model);
  return identity;
}

/** The key record as it is now. Throws `key_invalid` where it is gone or was replaced. */
export async function proveKey(identity: Omit<Identity, 'choice'>, model: ReadModel): Promise<Caller> {
  const caller = await model.findKey(identity.keyId);
  if (caller === null || !digestsEqual(Buffer.from(caller.key.digest, 'hex'), identity.digest))
    throw new AlterError('key_invalid');
  return caller;
}

function readCredentials(header: string): { readonly user: string; readonly password: string } {
  const [, scheme, value] = /^(basic|bearer) +([A-Za-z0-9+/=_-]+)$/i.exec(header) ?? [];
  if (scheme === undefined || value === undefined) throw new AlterError('proxy_auth_required');
  if (scheme.toLowerCase() === 'bearer') return { user: '', password: value };
  const decoded = Buffer.from(value, 'base64').toString('latin1');
  const colon = decoded.indexOf(':');
  if (colon === -1) throw new AlterError('key_invalid');
  return { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

function readChoice(user: string): GrantChoice {
  if (user === '' || user === 'x') return { kind: 'header' };
  if (user === 'auto') return { kind: 'auto' };
  const grantIds = user.split(',');
  if (grantIds.length > maxListedGrants || !grantIds.every(isId)) {
    throw new AlterError('grant_header_invalid', {
      detail: 'The user name of the proxy URL must be one or more grant ids joined by commas, "auto", or "x".',
      hint: 'Write HTTPS_PROXY=http://GRANT:KEY@host:port, or http://auto:KEY@host:port.',
    });
  }
  return { kind: 'listed', grantIds };
}
