import type { Config } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';
import type { KmsLocation } from '../core/kms-location.ts';
import type { AwsIdentity } from '../vault/keys/aws-identity.ts';
import type { Kms, KmsKeys } from '../vault/keys/kms.ts';
import type { KmsHttp } from '../vault/keys/kms-http.ts';
import { openLocalKms } from '../vault/keys/kms-local.ts';
import type { TransitLogin } from '../vault/keys/kms-transit.ts';

/** What wraps the keys of the apps, and what wrapped them before. `rootKey` as `openRootKey` found it. */
export async function openKms(of: {
  readonly config: Config;
  readonly rootKey: Uint8Array | null;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}): Promise<KmsKeys> {
  const { config, rootKey, clock } = of;
  const open = async (at: KmsLocation): Promise<Kms> => {
    if (at.kind === 'local') {
      if (rootKey === null) throw new AlterError('config_invalid', { detail: 'There is no root key.' });
      return openLocalKms({ rootKey });
    }
    const { KmsHttp } = await import('../vault/keys/kms-http.ts'); // most have a root key of their own
    const http = new KmsHttp({ ca: config.kmsCa });
    if (at.kind === 'aws') {
      const { openAwsKms } = await import('../vault/keys/kms-aws.ts');
      return openAwsKms({ at, identity: await openIdentity(config, at, http, clock), http, clock });
    }
    const { openTransitKms } = await import('../vault/keys/kms-transit.ts');
    return openTransitKms({ at, login: transitLogin(config), http, clock });
  };
  const { rootKeyPrevious, kmsPrevious } = config;
  return {
    current: await open(config.kms),
    previous: [
      ...(rootKeyPrevious === null ? [] : [openLocalKms({ rootKey: rootKeyPrevious })]),
      ...(kmsPrevious === null ? [] : [await open(kmsPrevious)]),
    ],
  };
}

async function openIdentity(
  config: Config,
  at: Extract<KmsLocation, { kind: 'aws' }>,
  http: KmsHttp,
  clock: () => number,
): Promise<AwsIdentity> {
  const { knownIdentity, webIdentity } = await import('../vault/keys/aws-identity.ts');
  const {
    kmsAwsAccessKeyId: accessKeyId,
    kmsAwsSecretAccessKey: secretAccessKey,
    kmsAwsSessionToken: sessionToken,
    kmsAwsRoleArn: roleArn,
    kmsAwsTokenFile: tokenFile,
  } = config;
  if (accessKeyId !== null && secretAccessKey !== null)
    return knownIdentity({ accessKeyId, secretAccessKey, sessionToken });
  if (roleArn === null) throw new AlterError('config_invalid', { detail: 'AWS KMS needs credentials.' });
  const url = at.stsEndpoint ?? `https://sts.${at.region}.amazonaws.com`;
  return webIdentity({ roleArn, tokenFile, url, http, clock });
}

function transitLogin({ kmsTokenFile, kmsKubernetesRole, kmsKubernetesTokenFile }: Config): TransitLogin {
  if (kmsTokenFile !== null) return { kind: 'token', file: kmsTokenFile };
  if (kmsKubernetesRole === null)
    throw new AlterError('config_invalid', { detail: 'The transit engine needs a login.' });
  return { kind: 'kubernetes', role: kmsKubernetesRole, tokenFile: kmsKubernetesTokenFile };
}
