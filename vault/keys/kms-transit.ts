import { createHash } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import type { KmsLocation } from '../../core/kms-location.ts';
import type { Kms } from './kms.ts';
import { findBytes, type KmsAnswer, type KmsHttp, kmsUnavailable } from './kms-http.ts';
import { readToken } from './token-file.ts';

type At = Extract<KmsLocation, { kind: 'transit' }>;

/** How the service signs in at HashiCorp Vault or OpenBao. */
export type TransitLogin =
  | { readonly kind: 'token'; readonly file: string }
  | { readonly kind: 'kubernetes'; readonly role: string; readonly tokenFile: string };

const renewAfter = 0.8;

/**
 * Wraps with the transit engine of HashiCorp Vault or OpenBao, whose key never leaves it. The context goes along as
 * associated data, so that the key has to be of a type with AEAD, as the default (aes256-gcm96) is.
 */
export function openTransitKms(of: {
  readonly at: At;
  readonly login: TransitLogin;
  readonly http: KmsHttp;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}): Kms {
  const { at, http } = of;
  const session = new Session(of);
  const { host } = new URL(at.origin);

  const call = async (operation: 'encrypt' | 'decrypt', fields: object, context: Uint8Array): Promise<KmsAnswer> => {
    const body = Buffer.from(JSON.stringify({ ...fields, associated_data: Buffer.from(context).toString('base64') }));
    const ask = async (): Promise<KmsAnswer> => {
      const token = await session.token();
      const url = `${at.origin}/v1/${at.mount}/${operation}/${at.keyName}`;
      return http.post(url, () => ({ headers: { ...session.headers, 'x-vault-token': token }, body }));
    };
    const answer = await ask();
    if (answer.status !== 403 || !session.forget()) return answer;
    return ask(); // the token was revoked before its time, or its file has another one by now
  };
  return {
    // Without the address, under which it may be reached in several ways.
    keyId: `transit:${createHash('sha256').update(`${at.mount} ${at.keyName}`).digest('hex').slice(0, 16)}`,
    wrap: async (plaintext, context) => {
      const answer = await call('encrypt', { plaintext: Buffer.from(plaintext).toString('base64') }, context);
      const { ciphertext } = (answer.json.data ?? {}) as { ciphertext?: unknown };
      if (answer.status !== 200 || typeof ciphertext !== 'string' || !/^vault:v\d+:[\w+/=]+$/.test(ciphertext))
        throw refused(host, answer);
      return Buffer.from(ciphertext, 'latin1');
    },
    unwrap: async (wrapped, context) => {
      const ciphertext = Buffer.from(wrapped).toString('latin1');
      const answer = await call('decrypt', { ciphertext }, context);
      const plaintext = answer.status === 200 ? findBytes(answer.json.data, 'plaintext') : null;
      if (plaintext !== null) return plaintext;
      if (answer.status !== 400) throw refused(host, answer);
      throw new AlterError('state_invalid', { detail: "The key of an app can't be unwrapped with this transit key." });
    },
  };
}

/** The token that calls carry: of a file that somebody renews, or of a login that is repeated before it ends. */
class Session {
  readonly headers = { 'content-type': 'application/json', 'x-vault-request': 'true' };
  readonly #of: Parameters<typeof openTransitKms>[0];
  #known: { readonly token: string; readonly renewAt: number } | null = null;
  #signingIn: Promise<string> | null = null;

  constructor(of: Parameters<typeof openTransitKms>[0]) {
    this.#of = of;
  }

  async token(): Promise<string> {
    const { login, clock } = this.#of;
    if (this.#known !== null && clock() < this.#known.renewAt) return this.#known.token;
    if (login.kind === 'token') {
      this.#known = { token: readToken(login.file), renewAt: Infinity };
      return this.#known.token;
    }
    this.#signingIn ??= this.#signIn(login).finally(() => {
      this.#signingIn = null;
    });
    return this.#signingIn;
  }

  /** False where another token is not to be had. */
  forget(): boolean {
    const { login } = this.#of;
    const before = this.#known?.token;
    this.#known = null;
    return login.kind === 'kubernetes' || readToken(login.file) !== before;
  }

  async #signIn(login: Extract<TransitLogin, { kind: 'kubernetes' }>): Promise<string> {
    const { at, http, clock } = this.#of;
    const body = Buffer.from(JSON.stringify({ role: login.role, jwt: readToken(login.tokenFile) }));
    const answer = await http.post(`${at.origin}/v1/auth/kubernetes/login`, () => ({ headers: this.headers, body }));
    const { client_token: token, lease_duration: seconds } = (answer.json.auth ?? {}) as Record<string, unknown>;
    if (answer.status !== 200 || typeof token !== 'string' || typeof seconds !== 'number')
      throw kmsUnavailable(`${new URL(at.origin).host} refused the login as ${login.role} (${answer.status})`);
    this.#known = { token, renewAt: clock() + seconds * 1_000 * renewAfter };
    return token;
  }
}

/** What the service says of an error may quote what it was sent, so only the status is told. */
function refused(host: string, { status }: KmsAnswer): AlterError {
  return kmsUnavailable(`${host} answered ${status}`);
}
