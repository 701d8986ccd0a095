import { AlterError } from '../../core/errors.ts';
import { findAppOfAudience, type WorkloadIdentity } from '../../core/workload-identity.ts';
import type { ReadModel } from '../../vault/read-model.ts';
import type { KeySets, SigningKey } from './key-sets.ts';
import { type Claims, readKid, readTime, readToken, requireSignature } from './verify-user.ts';

/** A token that was shown and holds: whom it stands for, and until when. */
export interface ProvenWorkload {
  readonly appId: string;
  readonly identityId: string;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

const maxTokenLength = 8_192;
/** Clocks differ; only for what is not valid yet. A projected token is replaced long before its end. */
const leewayMs = 60_000;
/** The longest that a kubelet asks for is a day; the tokens that Kubernetes once kept in Secrets have no end. */
const maxLifeMs = 24 * 3_600_000;

/** Proves pods by the projected tokens of their ServiceAccounts. */
export class WorkloadVerifier {
  readonly #model: ReadModel;
  readonly #keySets: KeySets;

  constructor(of: { readonly model: ReadModel; readonly keySets: KeySets }) {
    this.#model = of.model;
    this.#keySets = of.keySets;
  }

  /**
   * Throws `key_invalid` or `key_expired`, with a detail that quotes nothing of the token, and `state_unavailable` where the
   * keys of the issuer can't be had. An app, an issuer and an account that are not known answer alike.
   */
  async verify(token: string, now: number): Promise<ProvenWorkload> {
    if (token.length > maxTokenLength) throw invalid(`The token is longer than ${maxTokenLength} characters.`);
    const { header, claims } = orInvalid(() => readToken(token));
    const appId = readAudience(claims);
    const { namespace, serviceAccount } = readAccount(claims);
    const endsAt = readLife(claims, now);
    const identity = (await this.#findIdentities(appId)).find(
      (one) => one.issuer === claims.iss && one.namespace === namespace && one.serviceAccount === serviceAccount,
    );
    const algorithm = identity?.algorithms.find((name) => name === header.alg);
    if (identity === undefined || algorithm === undefined)
      throw invalid('The token is not that of a workload identity of the app in its audience.');
    const kid = orInvalid(() => readKid(header.kid));
    const key = await this.#findKey(identity, { kid, algorithm }, now);
    if (key === null) throw invalid('The issuer has no such key (kid) for this algorithm.');
    try {
      await requireSignature(token, key, algorithm);
    } catch (cause) {
      throw invalid('The signature of the token does not hold.', cause);
    }
    return { appId, identityId: identity.id, endsAt };
  }

  async #findIdentities(appId: string): Promise<readonly WorkloadIdentity[]> {
    try {
      return await this.#model.findWorkloads(appId);
    } catch (error) {
      if (error instanceof AlterError && error.code === 'not_found') return [];
      throw error;
    }
  }

  async #findKey(
    { jwksUrl }: WorkloadIdentity,
    wanted: Parameters<KeySets['find']>[1],
    now: number,
  ): Promise<SigningKey | null> {
    try {
      return await this.#keySets.find(jwksUrl, wanted, now);
    } catch (cause) {
      throw new AlterError('state_unavailable', {
        detail: 'The keys of the cluster that signed the token could not be fetched.',
        hint: 'Try again soon; the log of the proxy says why.',
        cause,
      });
    }
  }
}

/** One audience, which is ours: a token that others take as well may have come from one of them. */
function readAudience({ aud }: Claims): string {
  const audience = Array.isArray(aud) && aud.length === 1 ? (aud as unknown[])[0] : aud;
  const appId = typeof audience === 'string' ? findAppOfAudience(audience) : null;
  if (appId === null) throw invalid('The audience (aud) of the token is not alter-egress:APP_ID, or not that alone.');
  return appId;
}

/** The subject, and the claim that says the same: Kubernetes writes both. */
function readAccount(claims: Claims): { readonly namespace: string; readonly serviceAccount: string } {
  const bound = findObject(claims, 'kubernetes.io');
  const account = bound === null ? null : findObject(bound, 'serviceaccount');
  const [namespace, serviceAccount] = [bound?.namespace, account?.name];
  if (
    typeof namespace !== 'string' ||
    typeof serviceAccount !== 'string' ||
    claims.sub !== `system:serviceaccount:${namespace}:${serviceAccount}`
  )
    throw invalid('The token is not that of a ServiceAccount (sub, kubernetes.io).');
  return { namespace, serviceAccount };
}

function readLife(claims: Claims, now: number): number {
  const [issuedAt, endsAt, notBefore] = orInvalid(() => [
    readTime(claims.iat, 'iat'),
    readTime(claims.exp, 'exp'),
    claims.nbf === undefined ? 0 : readTime(claims.nbf, 'nbf'),
  ]) as [number, number, number];
  if (endsAt - issuedAt > maxLifeMs) throw invalid('The token lives longer than a day (iat, exp).');
  if (now < Math.max(notBefore, issuedAt) - leewayMs) throw invalid('The token is not valid yet (nbf, iat).');
  if (now >= endsAt) throw new AlterError('key_expired', { detail: 'The token has expired (exp).' });
  return endsAt;
}

function findObject(of: Claims, name: string): Claims | null {
  const value = Object.hasOwn(of, name) ? of[name] : undefined;
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : null;
}

/** The same form is asked of the tokens of users, whose errors say what is wrong with it. */
function orInvalid<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof AlterError ? invalid(error.detail, error) : error;
  }
}

function invalid(detail: string, cause?: unknown): AlterError {
  return new AlterError('key_invalid', {
    detail,
    hint: 'See `alter workload-identities list` for the audience, the issuer and the account that are expected.',
    ...(cause === undefined ? {} : { cause }),
  });
}
