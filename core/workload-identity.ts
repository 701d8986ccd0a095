import { isId } from './id.ts';
import type { TokenAlgorithm } from './identity-provider.ts';
import type { RuntimeKey } from './runtime-key.ts';

/** A ServiceAccount of a Kubernetes cluster whose projected token is taken at the proxy in the place of a key. */
export interface WorkloadIdentity {
  readonly id: string;
  readonly appId: string;
  readonly name: string;
  /** The issuer of the cluster's tokens, compared with `iss` byte for byte. */
  readonly issuer: string;
  /** The only place that the cluster's keys come from; `https` only. */
  readonly jwksUrl: string;
  readonly algorithms: readonly TokenAlgorithm[];
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Whom it is, as the agent's own keys are; null: a runtime key of the app. */
  readonly agentId: string | null;
  /** CIDRs that the client's address must be in; empty: any. */
  readonly cidr: readonly string[];
  readonly rateLimitRpm: number | null;
  readonly createdAt: number;
}

const audiencePrefix = 'alter-egress:';

/**
 * What a token must be for, and for nothing besides. The app is in it, so that a token says whose it is without an index over
 * all apps, and so that it is worth nothing at any other app, at the API server, or at anybody else who takes such tokens.
 */
export function workloadAudience(appId: string): string {
  return `${audiencePrefix}${appId}`;
}

/** Null for an audience of somebody else. */
export function findAppOfAudience(audience: string): string | null {
  const appId = audience.startsWith(audiencePrefix) ? audience.slice(audiencePrefix.length) : '';
  return isId(appId) ? appId : null;
}

/** Whether this is a JWT rather than a key of ours: its header is JSON in base64url. Says nothing of what is in it. */
export function looksLikeToken(text: string): boolean {
  return text.length <= 8_192 && /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}

/**
 * The key that such a token stands for: it is judged, limited and audited as one. `endsAt` is the end of the token, in
 * milliseconds since the epoch. It may send requests, and nothing else that a key can be allowed to.
 */
export function keyOfWorkload(identity: WorkloadIdentity, endsAt: number): RuntimeKey {
  return {
    id: identity.id,
    appId: identity.appId,
    keyType: identity.agentId === null ? 'runtime' : 'agent',
    agentId: identity.agentId,
    parentId: null,
    rotatedFrom: null,
    name: identity.name,
    scopes: ['proxy:execute'],
    cidr: identity.cidr,
    rateLimitRpm: identity.rateLimitRpm,
    expiresAt: endsAt,
    digest: '',
    createdAt: identity.createdAt,
    rotatedAt: null,
    revokedAt: null,
  };
}
