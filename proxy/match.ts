import { AlterError } from '../core/errors.ts';
import type { Grant } from '../core/grant.ts';
import { grantStatus } from '../core/grant.ts';
import { matchesHost, parseHostPattern } from '../core/host-pattern.ts';
import { formatAuthority, type Origin } from '../core/origin.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { GrantChoice } from './identify.ts';

/** What a request wants: a grant by its id, or to go on without a credential. */
export type Wish = { readonly kind: 'grant'; readonly grantId: string } | { readonly kind: 'untagged' };

/**
 * A grant that is named for this request or for its tunnel is strict. A grant that the proxy URL offers is used where it
 * allows the host; elsewhere the request is untagged. Throws `ambiguous_grant` where several offered grants fit.
 */
export async function match(
  named: string | null,
  choice: GrantChoice,
  about: { readonly caller: Caller; readonly origin: Origin; readonly model: ReadModel; readonly now: number },
): Promise<Wish> {
  if (named !== null) return { kind: 'grant', grantId: named };
  if (choice.kind === 'header') return { kind: 'untagged' };
  const offered =
    choice.kind === 'auto'
      ? await about.model.findGrantsFor(about.caller, about.origin)
      : await listed(choice.grantIds, about);
  const live = offered.filter((grant) => grantStatus(grant, about.now) === 'active');
  if (live.length > 1) {
    throw new AlterError('ambiguous_grant', {
      detail: `${live.length} grants of this caller fit ${formatAuthority(about.origin)}.`,
      hint: `Name one with X-Alter-Grant: ${live
        .slice(0, 5)
        .map((grant) => `${grant.id} (${grant.label})`)
        .join(', ')}${live.length > 5 ? ', …' : ''}.`,
    });
  }
  return live[0] === undefined ? { kind: 'untagged' } : { kind: 'grant', grantId: live[0].id };
}

async function listed(
  ids: readonly string[],
  { caller, origin, model }: { caller: Caller; origin: Origin; model: ReadModel },
): Promise<Grant[]> {
  const fitting: Grant[] = [];
  for (const id of ids) {
    const grant = await model.findGrant(caller.key.appId, id);
    const secret = grant === null ? null : await model.findSecret(caller.key.appId, grant.secretId);
    if (grant !== null && secret?.allowedHosts.some((pattern) => matchesHost(parseHostPattern(pattern), origin)))
      fitting.push(grant);
  }
  return fitting;
}
