import { createSecretKey, randomBytes } from 'node:crypto';
import { type CredentialFields, isFieldName, maxCredentialBytes } from '../../core/credential.ts';
import { AlterError } from '../../core/errors.ts';
import type { SecretVersion } from '../../core/secret.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { openSealed, type SealContext, seal } from '../keys/seal.ts';
import { SecretValue } from '../secret-value.ts';
import { text, whole } from './record-shape.ts';
import type { RecordKind } from './sealed-records.ts';

/** One record for each version, so that a rotation replaces no bytes that a request under way still needs. */
export const secretVersionKind: RecordKind<SecretVersion> = {
  type: 'secret-version',
  shape: { secretId: text(64), version: whole, wrappedKey: text(256), sealedValue: text(524_288), createdAt: whole },
  idOf: (version) => versionId(version.secretId, version.version),
  tagsOf: (version, keys) => [versionTag(keys, version.secretId)],
};

export function versionId(secretId: string, version: number): string {
  return `${secretId}.${version}`;
}

export function versionTag(keys: SpaceKeys, secretId: string): string {
  return keys.word('version-of', secretId);
}

/** Seals a value under a fresh key of its own, and that key under the app's. */
export function sealVersion(
  keys: SpaceKeys,
  of: { readonly secretId: string; readonly version: number; readonly fields: SecretValue; readonly now: number },
): SecretVersion {
  const { secretId, version, fields, now } = of;
  const id = versionId(secretId, version);
  const dataKey = randomBytes(32);
  const plaintext = Buffer.from(JSON.stringify(fields.reveal()));
  try {
    return {
      secretId,
      version,
      wrappedKey: keys.seal(keyContext(id), dataKey).toString('base64'),
      sealedValue: seal(createSecretKey(dataKey), valueContext(keys, id), plaintext).toString('base64'),
      createdAt: now,
    };
  } finally {
    dataKey.fill(0);
    plaintext.fill(0);
  }
}

/** Throws `state_invalid`. */
export function openVersion(keys: SpaceKeys, version: SecretVersion): SecretValue {
  const id = versionId(version.secretId, version.version);
  const dataKey = keys.open(keyContext(id), Buffer.from(version.wrappedKey, 'base64'));
  const plaintext = openSealed(
    createSecretKey(dataKey),
    valueContext(keys, id),
    Buffer.from(version.sealedValue, 'base64'),
  );
  dataKey.fill(0);
  try {
    return SecretValue.of(parseFields(plaintext, id));
  } finally {
    plaintext.fill(0);
  }
}

// A version is written once, so its revision is 1 for ever.
function keyContext(id: string): Omit<SealContext, 'space'> {
  return { type: 'secret-version-key', id, revision: 1 };
}

function valueContext(keys: SpaceKeys, id: string): SealContext {
  return { type: 'secret-value', space: keys.space, id, revision: 1 };
}

function parseFields(json: Buffer, id: string): CredentialFields {
  let value: unknown = null;
  try {
    value = JSON.parse(json.toString());
  } catch {
    // JSON.parse quotes what it can't read: its error must not leave this place
  }
  if (!isFields(value)) {
    throw new AlterError('state_invalid', { detail: `The stored value ${id} has not the form of this version.` });
  }
  return value;
}

function isFields(value: unknown): value is CredentialFields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([name, part]) => isFieldName(name) && typeof part === 'string' && part.length <= 2 * maxCredentialBytes,
  );
}
