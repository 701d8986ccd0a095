import type { AwsCredentials } from '../../core/aws-signature.ts';
import { type KmsHttp, kmsUnavailable } from './kms-http.ts';
import { readToken } from './token-file.ts';

/** Who this service is to AWS. */
export interface AwsIdentity {
  /** Rejects with `kms_unavailable`. */
  credentials(): Promise<AwsCredentials>;
}

/** Before their end: what was signed must still arrive. */
const renewBeforeMs = 5 * 60_000;

export function knownIdentity(credentials: AwsCredentials): AwsIdentity {
  return { credentials: () => Promise.resolve(credentials) };
}

/**
 * As EKS and others do it: a token in a file, which they renew, is exchanged for credentials of a role (STS
 * AssumeRoleWithWebIdentity). They are kept until shortly before they end.
 */
export function webIdentity(of: {
  readonly roleArn: string;
  readonly tokenFile: string;
  readonly url: string;
  readonly http: KmsHttp;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}): AwsIdentity {
  let known: { readonly credentials: AwsCredentials; readonly endsAt: number } | null = null;
  let asking: Promise<AwsCredentials> | null = null;

  const ask = async (): Promise<AwsCredentials> => {
    const body = Buffer.from(
      new URLSearchParams({
        Action: 'AssumeRoleWithWebIdentity',
        Version: '2011-06-15',
        RoleArn: of.roleArn,
        RoleSessionName: 'alter-egress',
        WebIdentityToken: readToken(of.tokenFile),
      }).toString(),
    );
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const { status, text } = await of.http.post(`${of.url}/`, () => ({ headers, body }));
    const field = (name: string) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(text)?.[1];
    const [accessKeyId, secretAccessKey, sessionToken] = [
      field('AccessKeyId'),
      field('SecretAccessKey'),
      field('SessionToken'),
    ];
    const endsAt = Date.parse(field('Expiration') ?? '');
    if (status !== 200 || !accessKeyId || !secretAccessKey || !sessionToken || Number.isNaN(endsAt))
      throw kmsUnavailable(
        `${new URL(of.url).host} gave no credentials for the role (${status} ${field('Code') ?? ''})`,
      );
    known = { credentials: { accessKeyId, secretAccessKey, sessionToken }, endsAt };
    return known.credentials;
  };
  return {
    credentials: () => {
      if (known !== null && of.clock() < known.endsAt - renewBeforeMs) return Promise.resolve(known.credentials);
      asking ??= ask().finally(() => {
        asking = null;
      });
      return asking;
    },
  };
}
