import type { Config } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';
import type { KmsLocation } from '../core/kms-location.ts';
import { type AwsIdentity, knownIdentity, webIdentity } from '../vault/keys/aws-identity.ts';
import type { Kms, KmsKeys } from '../vault/keys/kms.ts';
import { openAwsKms } from '../vault/keys/kms-aws.ts';
import { KmsHttp } from '../vault/keys/kms-http.ts';
import { openLocalKms } from '../vault/keys/kms-local.ts';
import { openTransitKms, type TransitLogin } from '../vault/keys/kms-transit.ts';

/** What wraps the keys of the apps, and what wrapped them before. `rootKey` as `openRootKey` found it. */
export function openKms(of: {
  readonly config: Config;
  readonly rootKey: Uint8Array | null;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}): KmsKeys {
  const { config, rootKey, clock } = of;
  const http = new KmsHttp({ ca: config.kmsCa });
  const open = (at: KmsLocation): Kms => {
    if (at.kind === 'aws') return openAwsKms({ at, identity: openIdentity(config, at, http, clock), http, clock });
    if (at.kind === 'transit') return openTransitKms({ at, login: transitLogin(config), http, clock });
    if (rootKey === null) throw new AlterError('config_invalid', { detail: 'There is no root key.' });
    return openLocalKms({ rootKey });
  };
  const { rootKeyPrevious, kmsPrevious } = config;
  return {
    current: open(config.kms),
    previous: [
      ...(rootKeyPrevious === null ? [] : [openLocalKms({ rootKey: rootKeyPrevious })]),
      ...(kmsPrevious === null ? [] : [open(kmsPrevious)]),
    ],
  };
}

function openIdentity(
  config: Config,
  at: Extract<KmsLocation, { kind: 'aws' }>,
  http: KmsHttp,
  clock: () => number,
): AwsIdentity {
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
