import { createHash } from 'node:crypto';
import { signAwsPost } from '../../core/aws-signature.ts';
import { AlterError } from '../../core/errors.ts';
import type { KmsLocation } from '../../core/kms-location.ts';
import type { AwsIdentity } from './aws-identity.ts';
import type { Kms } from './kms.ts';
import { findBytes, type KmsAnswer, type KmsHttp, kmsUnavailable } from './kms-http.ts';

/** What AWS says of bytes that this key did not wrap, or not with this context. */
const notOurs = ['InvalidCiphertextException', 'IncorrectKeyException'];
const temporary = [
  'ThrottlingException',
  'KMSInternalException',
  'DependencyTimeoutException',
  'KeyUnavailableException',
];

/** Wraps with AWS KMS, whose key never leaves it. The context goes along as encryption context, which AWS authenticates. */
export function openAwsKms(of: {
  readonly at: Extract<KmsLocation, { kind: 'aws' }>;
  readonly identity: AwsIdentity;
  readonly http: KmsHttp;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}): Kms {
  const { at, identity, http, clock } = of;
  const url = at.endpoint ?? `https://kms.${at.region}.amazonaws.com`;
  const { host } = new URL(url);

  const call = async (operation: 'Encrypt' | 'Decrypt', fields: object, context: Uint8Array): Promise<KmsAnswer> => {
    const body = Buffer.from(
      JSON.stringify({
        KeyId: at.keyId,
        ...fields,
        EncryptionContext: { 'alter-egress': Buffer.from(context).toString('base64') },
      }),
    );
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${operation}` };
    const credentials = await identity.credentials();
    return http.post(
      `${url}/`,
      () => ({
        headers: signAwsPost({ host, region: at.region, service: 'kms', headers, body, credentials, now: clock() }),
        body,
      }),
      (answer) => temporary.includes(typeOf(answer)),
    );
  };
  return {
    keyId: `aws:${createHash('sha256').update(`${at.region} ${at.keyId}`).digest('hex').slice(0, 16)}`,
    wrap: async (plaintext, context) => {
      const answer = await call('Encrypt', { Plaintext: Buffer.from(plaintext).toString('base64') }, context);
      const wrapped = answer.status === 200 ? findBytes(answer.json, 'CiphertextBlob') : null;
      if (wrapped === null) throw refused(host, answer);
      return wrapped;
    },
    unwrap: async (wrapped, context) => {
      const answer = await call('Decrypt', { CiphertextBlob: Buffer.from(wrapped).toString('base64') }, context);
      const plaintext = answer.status === 200 ? findBytes(answer.json, 'Plaintext') : null;
      if (plaintext !== null) return plaintext;
      if (answer.status !== 400 || !notOurs.includes(typeOf(answer))) throw refused(host, answer);
      throw new AlterError('state_invalid', {
        detail: "The key of an app can't be unwrapped with this key of AWS KMS.",
      });
    },
  };
}

/** `AccessDeniedException` of `com.amazonaws…#AccessDeniedException`. */
function typeOf({ json }: KmsAnswer): string {
  const { __type: type } = json;
  return typeof type === 'string' ? (/(\w+)$/.exec(type)?.[1] ?? '') : '';
}

function refused(host: string, answer: KmsAnswer): AlterError {
  return kmsUnavailable(`${host} answered ${answer.status} ${typeOf(answer)}`.trimEnd());
}
