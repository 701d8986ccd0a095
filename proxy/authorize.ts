import type { App } from '../core/app.ts';
import type { Delegation } from '../core/delegation.ts';
import type { Subject } from '../core/entitle.ts';
import { AlterError } from '../core/errors.ts';
import {
  type Decision,
  type EgressMode,
  type EgressRequest,
  evaluate,
  evaluateKey,
  evaluateUntagged,
  type Passage,
  type Permit,
  refuseTunnel,
  type TunnelRequest,
} from '../core/evaluate.ts';
import type { Grant } from '../core/grant.ts';
import type { Secret } from '../core/secret.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { Wish } from './match.ts';

/** What was decided, and on which objects, for the audit record. */
export interface Verdict {
  /** By which an agent uses the grant; null where the grant itself was named. */
  readonly delegation: Delegation | null;
  readonly grant: Grant | null;
  readonly secret: Secret | null;
  readonly refusal: AlterError | null;
  readonly leave: Permit | Passage | null;
}

export interface Rules {
  readonly model: ReadModel;
  /** Of apps that say nothing of their own. */
  readonly mode: EgressMode;
}

/** What decides about traffic that names no grant. */
export type UntaggedRequest = Pick<EgressRequest, 'caller' | 'origin' | 'clientAddress'>;

/** Asks the core, with the state as it is now; at once where that is in memory. Throws or rejects only where it can't be read. */
export function authorize(wish: Wish, request: EgressRequest, rules: Rules, now: number): Verdict | Promise<Verdict> {
  if (wish.kind === 'untagged') return authorizeUntagged(request, rules, now);
  const subject = findSubject(rules.model, request.caller.key.appId, wish.grantId);
  if (subject instanceof Promise) return subject.then((found) => judge(request, found, rules, now));
  return judge(request, subject, rules, now);
}

function judge(request: EgressRequest, subject: Subject, { model }: Rules, now: number): Verdict {
  model.requireFresh(request.caller.key.appId); // after the look-ups: what they gave is judged, and nothing is awaited in between
  const decision = evaluate(request, subject, now);
  const { grant, secret } = subject;
  const delegation = subject.delegation?.delegation ?? null;
  if (decision.kind === 'deny') return { delegation, grant, secret, leave: null, refusal: toError(decision) };
  return { delegation, grant, secret, leave: decision.permit, refusal: null };
}

/** The same for traffic that names no grant. An app that is gone lets nothing through. */
export async function authorizeUntagged(request: UntaggedRequest, rules: Rules, now: number): Promise<Verdict> {
  const { appId } = request.caller.key;
  const app = await rules.model.findApp(appId);
  rules.model.requireFresh(appId);
  const decision = evaluateUntagged(request, modeOf(app, rules.mode), now);
  const about = { delegation: null, grant: null, secret: null };
  if (decision.kind === 'deny') return { ...about, leave: null, refusal: toError(decision) };
  return { ...about, leave: decision.passage, refusal: null };
}

function modeOf(app: App | null, otherwise: EgressMode): EgressMode | 'archived' {
  if (app === null) return 'deny';
  return app.archivedAt === null ? (app.egressMode ?? otherwise) : 'archived';
}

/** Whether a tunnel may be opened for a grant that the CONNECT names. Null: it may; each request inside is asked about again. */
export async function authorizeTunnel(
  grantId: string,
  request: TunnelRequest,
  model: ReadModel,
  now: number,
): Promise<AlterError | null> {
  const { appId } = request.caller.key;
  const subject = await findSubject(model, appId, grantId);
  model.requireFresh(appId);
  const denial = refuseTunnel(request, subject, now);
  return denial === null ? null : toError(denial);
}

/** Whether the key is good for anything at the proxy, from this address. Null: it is. */
export function refuseKey(request: UntaggedRequest, model: ReadModel, now: number): AlterError | null {
  model.requireFresh(request.caller.key.appId);
  const denial = evaluateKey(request.caller, request.clientAddress, now);
  return denial === null ? null : toError(denial);
}

/** What an id names: a grant, or a delegation with its source grant and the one who lends it. */
export function findSubject(model: ReadModel, appId: string, id: string): Subject | Promise<Subject> {
  const app = model.findApp(appId);
  const grant = model.findGrant(appId, id);
  const secret = grant === null || grant instanceof Promise ? null : model.findSecret(appId, grant.secretId);
  // Nearly every request names a grant, and finds all of it in memory.
  if (!(app instanceof Promise || grant instanceof Promise || secret instanceof Promise) && grant !== null)
    return { app, grant, secret };
  // It asks again and hears what fails. A failure that nobody hears would end the process.
  for (const early of [app, grant, secret]) if (early instanceof Promise) early.catch(() => undefined);
  return loadSubject(model, appId, id);
}

async function loadSubject(model: ReadModel, appId: string, id: string): Promise<Subject> {
  const app = await model.findApp(appId);
  const named = await model.findGrant(appId, id);
  const delegation = named === null ? await model.findDelegation(appId, id) : null;
  const grant = delegation === null ? named : await model.findGrant(appId, delegation.sourceGrantId);
  const secret = grant === null ? null : await model.findSecret(appId, grant.secretId);
  if (delegation === null) return { app, grant, secret };
  return { app, grant, secret, delegation: { delegation, user: await model.findDelegator(delegation) } };
}

function toError({ code, policyError, detail }: Extract<Decision, { kind: 'deny' }>): AlterError {
  return new AlterError(code, {
    ...(policyError === undefined ? {} : { policyError }),
    ...(detail === undefined ? {} : { detail }),
  });
}
