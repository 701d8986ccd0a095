import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { Rig } from './rig.ts';
import type { Sink } from './sink.ts';

interface SigningPair {
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

/** An identity provider as they are: a key set and a discovery document over TLS, and tokens that jose signs. */
export class TestIdentityProvider {
  readonly issuer: string;
  readonly audience = 'https://api.example.test';
  readonly sink: Sink;
  /** What the key set says, in this order. */
  readonly keys = new Map<string, SigningPair>();
  /** Instead of the key set, where a test needs something else. */
  answerInstead: ((res: Parameters<Sink['answer']>[1]) => void) | null = null;
  readonly #clock: () => number;

  private constructor(sink: Sink, host: string, clock: () => number) {
    this.sink = sink;
    this.issuer = `https://${host}:${sink.port}`;
    this.#clock = clock;
    sink.answer = (req, res) => {
      if (req.url === '/.well-known/openid-configuration') {
        res.end(JSON.stringify({ issuer: this.issuer, jwks_uri: this.jwksUrl }));
      } else if (req.url !== '/jwks') res.writeHead(404).end();
      else if (this.answerInstead !== null) this.answerInstead(res);
      else res.end(JSON.stringify({ keys: [...this.keys.values()].map(({ publicJwk }) => publicJwk) }));
    };
  }

  /** At one of the rig's sinks. */
  static async open(rig: Rig, host = 'idp.test', clock: () => number = Date.now): Promise<TestIdentityProvider> {
    const provider = new TestIdentityProvider(rig.sink(host), host, clock);
    await provider.addKey('es-1', 'ES256');
    return provider;
  }

  get jwksUrl(): string {
    return `${this.issuer}/jwks`;
  }

  /** How often the key set was fetched. */
  get fetches(): number {
    return this.sink.requests.filter(({ url }) => url === '/jwks').length;
  }

  async addKey(kid: string, algorithm: string): Promise<SigningPair> {
    const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
    const pair = { algorithm, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, use: 'sig' } };
    this.keys.set(kid, pair);
    return pair;
  }

  /** Claims that are undefined are left out. */
  claims(over: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    const now = Math.floor(this.#clock() / 1_000);
    const all = { iss: this.issuer, aud: this.audience, sub: 'ada', iat: now, nbf: now, exp: now + 600, ...over };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  }

  /** A token signed with a key of the set, or with `by`. */
  token(
    over: Readonly<Record<string, unknown>> = {},
    of: { readonly kid?: string; readonly by?: SigningPair; readonly header?: Readonly<Record<string, unknown>> } = {},
  ): Promise<string> {
    const kid = of.kid ?? 'es-1';
    const pair = of.by ?? this.keys.get(kid)!;
    return new SignJWT(this.claims(over))
      .setProtectedHeader({ alg: pair.algorithm, kid, typ: 'JWT', ...of.header })
      .sign(pair.privateKey);
  }

  /** Makes the rig's app trust it; the id of the provider there. */
  async register(rig: Rig, over: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const { id } = await rig.admin<{ id: string }>('POST', '/identity-providers', {
      name: 'test',
      issuer: this.issuer,
      audience: this.audience,
      jwks_url: this.jwksUrl,
      algorithms: ['ES256', 'RS256'],
      ...over,
    });
    return id;
  }
}
