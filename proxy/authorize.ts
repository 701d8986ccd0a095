import { AlterError } from '../core/errors.ts';
import {
  type Decision,
  type EgressMode,
  type EgressRequest,
  evaluate,
  evaluateUntagged,
  type Passage,
  type Permit,
} from '../core/evaluate.ts';
import type { Grant } from '../core/grant.ts';
import type { Secret } from '../core/secret.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { Wish } from './match.ts';

/** What was decided, and on which objects, for the audit record. */
export interface Verdict {
  readonly grant: Grant | null;
  readonly secret: Secret | null;
  readonly refusal: AlterError | null;
  readonly leave: Permit | Passage | null;
}

export interface Rules {
  readonly model: ReadModel;
  readonly mode: EgressMode;
}

/** Asks the core, with the state as it is now. Throws only where the state can't be read. */
export async function authorize(wish: Wish, request: EgressRequest, rules: Rules, now: number): Promise<Verdict> {
  const appId = request.caller.key.appId;
  if (wish.kind === 'untagged') {
    rules.model.requireFresh(appId);
    const decision = evaluateUntagged(request, rules.mode, now);
    return {
      grant: null,
      secret: null,
      ...(decision.kind === 'allow' ? { leave: decision.passage, refusal: null } : refuse(decision)),
    };
  }
  const grant = await rules.model.findGrant(appId, wish.grantId);
  const secret = grant === null ? null : await rules.model.findSecret(appId, grant.secretId);
  rules.model.requireFresh(appId); // after the look-ups: what they gave is judged, and nothing is awaited in between
  const decision = evaluate(request, { grant, secret }, now);
  return {
    grant,
    secret,
    ...(decision.kind === 'allow' ? { leave: decision.permit, refusal: null } : refuse(decision)),
  };
}

function refuse(decision: Extract<Decision, { kind: 'deny' }>): { readonly leave: null; readonly refusal: AlterError } {
  const { code, policyError, detail } = decision;
  return {
    leave: null,
    refusal: new AlterError(code, {
      ...(policyError === undefined ? {} : { policyError }),
      ...(detail === undefined ? {} : { detail }),
    }),
  };
}
