import { TestIdentityProvider } from './identity-provider.ts';
import type { Rig } from './rig.ts';

type SigningPair = Awaited<ReturnType<TestIdentityProvider['addKey']>>;

interface Account {
  readonly appId: string;
  readonly namespace?: string;
  readonly account?: string;
}

/** What a cluster is to the proxy: an issuer whose keys are fetched over TLS, and tokens as a kubelet projects them. */
export class TestCluster {
  readonly issuer: TestIdentityProvider;

  private constructor(issuer: TestIdentityProvider) {
    this.issuer = issuer;
  }

  static async open(rig: Rig, host: string, clock: () => number = Date.now): Promise<TestCluster> {
    return new TestCluster(await TestIdentityProvider.open(rig, host, clock));
  }

  /** Claims that are undefined are left out. */
  claims(of: Account, over: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return this.issuer.claims(podClaims(of, over));
  }

  token(of: Account, over: Readonly<Record<string, unknown>> = {}, by?: SigningPair): Promise<string> {
    // Kubernetes writes no typ.
    const header = { typ: undefined as unknown as string };
    return this.issuer.token(podClaims(of, over), { header, ...(by === undefined ? {} : { by }) });
  }

  /** Makes the app take the tokens of this account; the id of the identity. */
  async register(rig: Rig, over: Readonly<Record<string, unknown>> = {}, appId = rig.appId): Promise<string> {
    const { id } = await rig.admin<{ id: string }>('POST', `/v1/apps/${appId}/workload-identities`, {
      issuer: this.issuer.issuer,
      namespace: 'team-a',
      service_account: 'checkout',
      ...over,
    });
    return id;
  }
}

/** Beside those that every token has. */
function podClaims(
  { appId, namespace = 'team-a', account = 'checkout' }: Account,
  over: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return {
    aud: [`alter-egress:${appId}`],
    sub: `system:serviceaccount:${namespace}:${account}`,
    jti: 'b9e4a6a2-5a3f-4c59-9d43-6b6f5f2f4c11',
    'kubernetes.io': {
      namespace,
      node: { name: 'node-1', uid: 'a-uid' },
      pod: { name: 'checkout-7d4b9c-x2x4z', uid: 'b-uid' },
      serviceaccount: { name: account, uid: 'c-uid' },
    },
    ...over,
  };
}
