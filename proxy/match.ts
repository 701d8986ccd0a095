import { refuseCaller } from '../core/entitle.ts';
import { AlterError } from '../core/errors.ts';
import { grantStatus } from '../core/grant.ts';
import { someAllows } from '../core/host-pattern.ts';
import { formatAuthority, type Origin } from '../core/origin.ts';
import type { Caller } from '../core/runtime-key.ts';
import type { UserProof } from '../core/user.ts';
import type { Offer, ReadModel } from '../vault/read-model.ts';
import { findSubject } from './authorize.ts';
import type { GrantChoice } from './identify.ts';

/** What a request wants: a grant or a delegation by its id, or to go on without a credential. */
export type Wish = { readonly kind: 'grant'; readonly grantId: string } | { readonly kind: 'untagged' };

interface Asker {
  readonly caller: Caller;
  readonly user: UserProof | null;
  readonly origin: Origin;
}

/** The state that is asked, and when. */
interface Moment {
  readonly model: ReadModel;
  readonly now: number;
}

/**
 * A grant that is named for this request or for its tunnel is strict. A grant that the proxy URL offers is used where it
 * allows the host; elsewhere the request is untagged. Throws `ambiguous_grant` where several offered grants fit.
 */
export function match(
  named: string | null,
  choice: GrantChoice,
  asker: Asker,
  model: ReadModel,
  now: number,
): Wish | Promise<Wish> {
  if (named !== null) return { kind: 'grant', grantId: named };
  return choice.kind === 'header' ? { kind: 'untagged' } : matchOffered(choice, asker, { model, now });
}

async function matchOffered(
  choice: Exclude<GrantChoice, { kind: 'header' }>,
  asker: Asker,
  moment: Moment,
): Promise<Wish> {
  const { origin, user } = asker;
  if (user?.kind === 'refused') throw new AlterError('user_token_invalid', { detail: user.detail });
  const offered =
    choice.kind === 'auto'
      ? await moment.model.findOffers({ caller: asker.caller, user: user?.user ?? null }, origin, moment.now)
      : await listed(choice.grantIds, asker, moment);
  if (offered.length > 1) {
    throw new AlterError('ambiguous_grant', {
      detail: `${offered.length} grants of this caller fit ${formatAuthority(origin)}.`,
      hint: `Name one with X-Alter-Grant: ${offered
        .slice(0, 5)
        .map((offer) => `${offer.id} (${offer.label})`)
        .join(', ')}${offered.length > 5 ? ', …' : ''}.`,
    });
  }
  return offered[0] === undefined ? { kind: 'untagged' } : { kind: 'grant', grantId: offered[0].id };
}

/**
 * Those that fit the host and that this caller may use. Where some fit but none is the caller's, the first of them, so that
 * the caller is told why: going on without a credential would look like a credential that failed.
 */
async function listed(
  ids: readonly string[],
  { caller, user, origin }: Asker,
  { model, now }: Moment,
): Promise<Offer[]> {
  const usable: Offer[] = [];
  const others: Offer[] = [];
  for (const id of ids) {
    const subject = await findSubject(model, caller.key.appId, id);
    const { grant, secret } = subject;
    if (grant === null || secret === null || grantStatus(grant, now) !== 'active') continue;
    if (!someAllows(secret.allowedHosts, origin)) continue;
    const unentitled = refuseCaller({ ...subject, grant }, { caller, user }, now);
    (unentitled === null ? usable : others).push({ id, label: grant.label });
  }
  return usable.length > 0 ? usable : others.slice(0, 1);
}
