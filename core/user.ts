import type { RateDemand } from './rate.ts';

/** An end user of the app, as an identity provider knows them. Appears when first seen in a verified token, or is created. */
export interface User {
  readonly id: string;
  readonly appId: string;
  readonly idpId: string;
  /** What the provider calls them: the claim that it is configured with, mostly `sub`. */
  readonly externalId: string;
  readonly email: string | null;
  readonly name: string | null;
  /** External ids of the groups, as the newest token said. What a delegation of a group grant is held to. */
  readonly groups: readonly string[];
  /** External ids of the groups that an operator put the user into, whatever the tokens say. */
  readonly addedGroups: readonly string[];
  /** When the token was issued that the groups are from: an older token that is shown later must not bring a membership back. */
  readonly groupsAt: number;
  readonly createdAt: number;
  readonly lastSeenAt: number | null;
}

/** What a token says of its user, after its signature and its claims were verified. */
export interface VerifiedUser {
  /** Null for a user whom the app has not seen before; no user grant can be theirs. */
  readonly userId: string | null;
  readonly idpId: string;
  readonly externalId: string;
  readonly email: string | null;
  readonly name: string | null;
  /** As the token says. */
  readonly groups: readonly string[];
  /** As an operator says; absent: none. */
  readonly addedGroups?: readonly string[];
  /** When the token was issued, as it says; 0 where it does not. */
  readonly issuedAt: number;
  /** What the token uses up with the request that shows it; absent: nothing, it may be shown again. */
  readonly use?: RateDemand;
}

/** Every group that the user is in, each once. */
export function groupsOf(user: Pick<VerifiedUser, 'groups' | 'addedGroups'>): readonly string[] {
  const { groups, addedGroups = [] } = user;
  return addedGroups.length === 0 ? groups : [...new Set([...groups, ...addedGroups])];
}

/** What became of the token that a request shows. No token at all is null, where this is asked for. */
export type UserProof =
  | { readonly kind: 'verified'; readonly user: VerifiedUser }
  | { readonly kind: 'refused'; readonly detail: string };

export const maxGroupsOfUser = 256;
export const maxExternalIdLength = 256;
