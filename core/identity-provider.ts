/** Algorithms that a provider may be pinned to. All are asymmetric: an HMAC would make the public key a secret that forges. */
export const tokenAlgorithms = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
] as const;
export type TokenAlgorithm = (typeof tokenAlgorithms)[number];

/** Which claim says what. `email`, `name` and `groups` may be missing in a token, `user` may not. */
export interface ClaimNames {
  readonly user: string;
  readonly email: string;
  readonly name: string;
  readonly groups: string;
}

export const defaultClaimNames: ClaimNames = { user: 'sub', email: 'email', name: 'name', groups: 'groups' };

/** Vouches for the users of the app, by tokens that it signs. */
export interface IdentityProvider {
  readonly id: string;
  readonly appId: string;
  readonly name: string;
  /** Compared with `iss` byte for byte. Unique in the app. */
  readonly issuer: string;
  /** Must be, or be among, the token's `aud`. */
  readonly audience: string;
  /** The only place that keys come from; `https` only. */
  readonly jwksUrl: string;
  readonly claims: ClaimNames;
  readonly algorithms: readonly TokenAlgorithm[];
  /** Each of its tokens is good for one request. */
  readonly singleUse: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}
