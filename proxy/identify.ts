import { AlterError, toAlterError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import type { Caller } from '../core/runtime-key.ts';
import { digestsEqual } from '../core/token.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { ProvenWorkload } from './caller/verify-workload.ts';
import type { DataPlane } from './data-plane.ts';

/** How the user name of the proxy URL wants untagged requests to be treated. */
export type GrantChoice =
  | { readonly kind: 'header' }
  | { readonly kind: 'auto' }
  | { readonly kind: 'listed'; readonly grantIds: readonly string[] };

/** A caller that proved its key. The key record itself is looked up again for every request, so that a change of it counts. */
export interface Identity {
  /** Of the key, or of the workload identity. */
  readonly keyId: string;
  readonly digest: Buffer;
  readonly choice: GrantChoice;
  /** Where it was the token of a workload. */
  readonly workload?: ProvenWorkload;
}

/** A request or a CONNECT, as far as it matters here: where it comes from, and whose connection it is. */
export interface Arrival {
  readonly clientAddress: string;
  /** Counts the connection for a key. Throws `overloaded`. */
  claimFor(keyId: string): void;
}

const maxListedGrants = 32;

/**
 * Reads `Proxy-Authorization` and proves the key, or the token of a workload; at once where that is in memory. Throws or
 * rejects with `proxy_auth_required`, `key_invalid`, `grant_header_invalid`, `rate_limited` after too many wrong keys from one
 * address, and `overloaded` where the key has too many connections. An unknown id and a wrong secret answer alike.
 */
export function identify(
  header: string | null,
  arrival: Arrival,
  plane: Pick<DataPlane, 'model' | 'failedKeys' | 'workloads' | 'ownToken' | 'clock'>,
): Identity | Promise<Identity> {
  const { failedKeys, ownToken } = plane;
  if (header === null && ownToken === null) throw new AlterError('proxy_auth_required');
  // git and Java show a user name only when they are asked for it, and the sidecar of an identity does not ask.
  const { user, password } = header === null ? { user: 'auto', password: '' } : readCredentials(header);
  if (password === '' && ownToken !== null) return identifyWorkload(ownToken.read(), user, arrival, plane);
  if (isJwt(password)) return identifyWorkload(password, user, arrival, plane);
  const token = failedKeys.findToken(password, arrival.clientAddress);
  if (token === null || token.kind === 'pat') {
    failedKeys.failed(arrival.clientAddress);
    throw new AlterError('key_invalid');
  }
  return proveAndCount({ keyId: token.id, digest: token.digest, choice: readChoice(user) }, arrival, plane);
}

/** For a key that was read before from the same header: only that is left out. Throws or rejects as {@link identify}. */
export function identifyAgain(
  identity: Identity,
  arrival: Arrival,
  plane: Pick<DataPlane, 'model' | 'failedKeys'>,
): Identity | Promise<Identity> {
  plane.failedKeys.admitAgain({ id: identity.keyId, digest: identity.digest }, arrival.clientAddress);
  return proveAndCount(identity, arrival, plane);
}

function proveAndCount(
  identity: Identity,
  arrival: Arrival,
  { model, failedKeys }: Pick<DataPlane, 'model' | 'failedKeys'>,
): Identity | Promise<Identity> {
  const { keyId, digest } = identity;
  const succeeded = (): Identity => {
    failedKeys.succeeded(arrival.clientAddress, { id: keyId, digest });
    arrival.claimFor(keyId);
    return identity;
  };
  const failed = (error: unknown): never => {
    if (toAlterError(error).code === 'key_invalid') failedKeys.failed(arrival.clientAddress);
    throw error;
  };
  let proving: Caller | Promise<Caller>;
  try {
    proving = proveKey(identity, model);
  } catch (error) {
    return failed(error);
  }
  return proving instanceof Promise ? proving.then(succeeded, failed) : succeeded();
}

/** No key of ours begins like the header of a JWT, which is JSON in base64url. */
function isJwt(password: string): boolean {
  return password.startsWith('eyJ');
}

/** Throws as {@link identify}, and `key_expired`. */
async function identifyWorkload(
  token: string,
  user: string,
  arrival: Arrival,
  { failedKeys, workloads, clock }: Pick<DataPlane, 'failedKeys' | 'workloads' | 'clock'>,
): Promise<Identity> {
  const { clientAddress } = arrival;
  const shown = failedKeys.admit(token, clientAddress);
  const choice = readChoice(user);
  let workload: ProvenWorkload;
  try {
    workload = await workloads.verify(token, clock());
  } catch (error) {
    if (['key_invalid', 'key_expired'].includes(toAlterError(error).code)) failedKeys.failed(clientAddress);
    throw error;
  }
  failedKeys.succeeded(clientAddress, shown);
  arrival.claimFor(workload.identityId);
  return { keyId: workload.identityId, digest: shown.digest, choice, workload };
}

/** What was proved, at which count of changes: with the next change of anything it is proved again. */
const proven = new WeakMap<Omit<Identity, 'choice'>, { readonly caller: Caller; readonly changes: number }>();

/** The key record, or the workload identity, as it is now. Throws or rejects with `key_invalid` where it is gone or was replaced. */
export function proveKey(identity: Omit<Identity, 'choice'>, model: ReadModel): Caller | Promise<Caller> {
  const known = proven.get(identity);
  if (known !== undefined && known.changes === model.changes) return known.caller;
  const { workload, keyId } = identity;
  const found = workload === undefined ? model.findKey(keyId) : model.findWorkloadCaller(workload);
  // Not remembered: a change may have come in since it was read.
  if (found instanceof Promise) return found.then((caller) => requireProven(identity, caller));
  const caller = requireProven(identity, found);
  proven.set(identity, { caller, changes: model.changes });
  return caller;
}

function requireProven({ workload, digest }: Omit<Identity, 'choice'>, caller: Caller | null): Caller {
  if (caller === null) throw new AlterError('key_invalid');
  if (workload === undefined && !digestsEqual(Buffer.from(caller.key.digest, 'hex'), digest))
    throw new AlterError('key_invalid');
  return caller;
}

function readCredentials(header: string): { readonly user: string; readonly password: string } {
  const [, scheme, value] = /^(basic|bearer) +([A-Za-z0-9+/=_.-]+)$/i.exec(header) ?? [];
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
