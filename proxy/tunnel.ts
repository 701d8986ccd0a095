import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type AlterError, toAlterError } from '../core/errors.ts';
import type { EgressRequest, Passage, Permit } from '../core/evaluate.ts';
import type { Origin } from '../core/origin.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { AuditTrail } from './audit.ts';
import { authorize } from './authorize.ts';
import type { DataPlane } from './data-plane.ts';
import { dial } from './dial.ts';
import { type Identity, identify, proveKey } from './identify.ts';
import { match } from './match.ts';
import { parseConnect, type RequestTags } from './request.ts';

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
export async function decideTunnel(
  req: IncomingMessage,
  clientAddress: string,
  trail: AuditTrail,
  plane: DataPlane,
): Promise<TunnelDecision> {
  const connect = parseConnect(
    { method: 'CONNECT', url: req.url ?? '', httpVersion: req.httpVersion, rawHeaders: req.rawHeaders },
    plane.limits,
  );
  const { origin } = connect;
  trail.sawRequest('CONNECT', origin, '', connect.tags);
  const identity = await identify(connect.proxyAuthorization, plane.model);
  const caller = await proveKey(identity, plane.model);
  trail.sawCaller(caller);
  const request = { caller, origin, method: 'CONNECT', path: '', clientAddress };

  const tunnel: Tunnel = { origin, identity, tags: connect.tags, clientAddress };
  if (connect.tags.grant !== null) {
    await requireGrant(connect.tags.grant, request, plane);
    return { kind: 'intercept', tunnel };
  }
  const verdict = await authorize({ kind: 'untagged' }, request, { model: plane.model, mode: 'tunnel' }, plane.clock());
  if (verdict.refusal !== null) throw verdict.refusal; // the key itself is of no use here
  if (await isIntercepted(identity, caller, origin, plane)) return { kind: 'intercept', tunnel };

  const passage = await authorize(
    { kind: 'untagged' },
    request,
    { model: plane.model, mode: plane.mode },
    plane.clock(),
  );
  await trail.decide(passage);
  const { leave } = passage;
  if (leave === null) throw passage.refusal;
  return { kind: 'blind', upstream: await dial(origin, plane.dial), identity, passage: leave };
}

/** A grant that the CONNECT names must allow this host, so that a tunnel to anywhere else is not even opened. */
async function requireGrant(grantId: string, request: EgressRequest, plane: DataPlane): Promise<void> {
  const verdict = await authorize(
    { kind: 'grant', grantId },
    request,
    { model: plane.model, mode: plane.mode },
    plane.clock(),
  );
  if (verdict.refusal !== null) throw verdict.refusal;
}

async function isIntercepted(identity: Identity, caller: Caller, origin: Origin, plane: DataPlane): Promise<boolean> {
  if (await plane.model.someSecretAllows(caller.key.appId, origin)) return true;
  if (identity.choice.kind !== 'listed') return false;
  try {
    return (
      (await match(null, identity.choice, { caller, origin, model: plane.model, now: plane.clock() })).kind === 'grant'
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
  const request = { caller, origin: tunnel.passage.origin, method: 'CONNECT', path: '', clientAddress };
  return (await authorize({ kind: 'untagged' }, request, plane, plane.clock())).refusal;
}
