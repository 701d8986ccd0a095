import type { Socket } from 'node:net';
import { type AlterError, toAlterError } from '../core/errors.ts';
import type { Passage, Permit } from '../core/evaluate.ts';
import type { Origin } from '../core/origin.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { AuditTrail } from './audit.ts';
import { authorizeTunnel, authorizeUntagged, refuseKey } from './authorize.ts';
import { dial } from './connection/dial.ts';
import type { DataPlane } from './data-plane.ts';
import type { RequestHead } from './http/message-head.ts';
import { type Arrival, type Identity, identify, identifyAgain, proveKey } from './identify.ts';
import { match } from './match.ts';
import { type ParsedConnect, parseConnect, type RequestTags } from './request.ts';

/** A tunnel that was let through and is about to be opened up: what its requests inherit from the CONNECT. */
export interface Tunnel {
  readonly origin: Origin;
  readonly identity: Identity;
  /** The tags of the CONNECT hold for every request in it that brings none of its own. */
  readonly tags: RequestTags;
  readonly clientAddress: string;
}

export type TunnelDecision =
  | { readonly kind: 'intercept'; readonly tunnel: Tunnel }
  | {
      readonly kind: 'blind';
      readonly upstream: Socket;
      readonly identity: Identity;
      readonly passage: Permit | Passage;
    };

/**
 * Decides about a CONNECT before anything is answered: opened up where the CONNECT names a grant, or where its host is an
 * allowed host of some live secret of the app; blind elsewhere. Throws the refusal.
 */
export function decideTunnel(
  head: RequestHead,
  arrival: Arrival,
  trail: AuditTrail,
  plane: DataPlane,
): TunnelDecision | Promise<TunnelDecision> {
  const connect = parseConnect(head, plane.limits);
  const { origin, tags } = connect;
  const { clientAddress } = arrival;
  trail.sawRequest('CONNECT', origin, '', tags);
  const decide = (identity: Identity, caller: Caller): TunnelDecision | Promise<TunnelDecision> => {
    trail.sawCaller(caller);
    const tunnel: Tunnel = { origin, identity, tags, clientAddress };
    return isOpenedAtOnce(tunnel, caller, plane)
      ? { kind: 'intercept', tunnel }
      : decideAtLength(tunnel, caller, trail, plane);
  };
  const identity = identifyConnect(connect, arrival, plane);
  if (identity instanceof Promise)
    return identity.then(async (found) => decide(found, await proveKey(found, plane.model)));
  const caller = proveKey(identity, plane.model);
  return caller instanceof Promise ? caller.then((found) => decide(identity, found)) : decide(identity, caller);
}

/** By what was read of a CONNECT, which is one object for all that begin with the same lines: see `first-lines.ts`. */
const identities = new WeakMap<ParsedConnect, Identity>();

function identifyConnect(connect: ParsedConnect, arrival: Arrival, plane: DataPlane): Identity | Promise<Identity> {
  const known = identities.get(connect);
  if (known !== undefined) return identifyAgain(known, arrival, plane);
  const remember = (identity: Identity): Identity => {
    if (identity.workload === undefined) identities.set(connect, identity); // the time of a token is looked at each time
    return identity;
  };
  const identity = identify(connect.proxyAuthorization, arrival, plane);
  return identity instanceof Promise ? identity.then(remember) : remember(identity);
}

/** As nearly every tunnel is: without a grant, to a host of a secret that is in memory. Throws the refusal of the key. */
function isOpenedAtOnce({ origin, tags, clientAddress }: Tunnel, caller: Caller, plane: DataPlane): boolean {
  if (tags.grant !== null) return false;
  const refusal = refuseKey({ caller, origin, clientAddress }, plane.model, plane.clock());
  if (refusal !== null) throw refusal;
  const isAllowed = plane.model.someSecretAllows(caller.key.appId, origin);
  if (!(isAllowed instanceof Promise)) return isAllowed;
  isAllowed.catch(() => undefined); // who waits for it asks again, and hears what fails
  return false;
}

async function decideAtLength(
  tunnel: Tunnel,
  caller: Caller,
  trail: AuditTrail,
  plane: DataPlane,
): Promise<TunnelDecision> {
  const { origin, identity, tags, clientAddress } = tunnel;
  // A token is looked at where there is a grant at stake, and never for what passes untouched.
  const request = { caller, origin, clientAddress };
  if (tags.grant !== null) {
    const user = await plane.users.prove(tags.userToken, caller.key.appId, plane.clock());
    trail.sawUser(user);
    // A grant that the CONNECT names must allow this host, so that a tunnel to anywhere else is not even opened.
    const refusal = await authorizeTunnel(tags.grant, { ...request, user }, plane.model, plane.clock());
    if (refusal === null) return { kind: 'intercept', tunnel };
    // Every request inside may show a user of its own: what is judged here is then the key and the host.
    const isWithoutUser = refusal.code === 'user_token_invalid' && tags.userToken === null;
    if (!isWithoutUser || !(await plane.model.someSecretAllows(caller.key.appId, origin))) throw refusal;
  }
  const refusal = refuseKey(request, plane.model, plane.clock());
  if (refusal !== null) throw refusal;
  if (await isIntercepted(identity, caller, origin, plane)) return { kind: 'intercept', tunnel };

  const passage = await authorizeUntagged(request, plane, plane.clock());
  await trail.decide(passage);
  const { leave } = passage;
  if (leave === null) throw passage.refusal;
  return { kind: 'blind', upstream: await dial(origin, plane.dial), identity, passage: leave };
}

async function isIntercepted(identity: Identity, caller: Caller, origin: Origin, plane: DataPlane): Promise<boolean> {
  if (await plane.model.someSecretAllows(caller.key.appId, origin)) return true;
  if (identity.choice.kind !== 'listed') return false;
  try {
    return (
      (await match(null, identity.choice, { caller, user: null, origin }, plane.model, plane.clock())).kind === 'grant'
    );
  } catch (error) {
    if (toAlterError(error).code === 'ambiguous_grant') return true; // the request inside is told so, in a response it can read
    throw error;
  }
}

/** Joins both ends of a blind tunnel; each end's close ends the other. */
export function join(client: Socket, upstream: Socket, head: Buffer): void {
  const end = (): void => {
    client.destroy();
    upstream.destroy();
  };
  client.on('close', end).on('error', end);
  upstream.on('close', end).on('error', end);
  if (head.length > 0) upstream.write(head);
  client.pipe(upstream);
  upstream.pipe(client);
}

/** Whether a blind tunnel would still be let through: its key may have been revoked, or the mode of the app changed. */
export async function recheckTunnel(
  tunnel: Extract<TunnelDecision, { kind: 'blind' }>,
  clientAddress: string,
  plane: DataPlane,
): Promise<AlterError | null> {
  const caller = await proveKey(tunnel.identity, plane.model);
  const { origin } = tunnel.passage;
  return (await authorizeUntagged({ caller, origin, clientAddress }, plane, plane.clock())).refusal;
}
