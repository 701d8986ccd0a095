import { AlterError } from '../../core/errors.ts';
import type { Kms, KmsKeys } from './kms.ts';

/** A wrapped key as it is stored: format (1 byte), length of the key id (1 byte), the key id, then what the Kms gave. */
const format = 2;
const keyIdForm = /^[a-z]+:[\w-]{1,64}$/;

/** Rejects with `kms_unavailable`. */
export async function wrapKey(kms: Kms, key: Uint8Array, context: Uint8Array): Promise<Buffer> {
  const id = Buffer.from(kms.keyId, 'latin1');
  return Buffer.concat([Buffer.of(format, id.length), id, await kms.wrap(key, context)]);
}

/** Rejects with `state_invalid`, and with `kms_unavailable`. */
export async function unwrapKey(kms: KmsKeys, stored: Uint8Array, context: Uint8Array): Promise<Uint8Array> {
  const keyId = findWrappingKey(stored);
  const wrapper = [kms.current, ...kms.previous].find((one) => one.keyId === keyId);
  if (wrapper !== undefined) return wrapper.unwrap(stored.subarray(2 + stored[1]!), context);
  if (keyId === null) throw new AlterError('state_invalid', { detail: 'The stored key of an app has not its form.' });
  throw new AlterError('state_invalid', {
    detail: `The key of an app is wrapped by the key ${keyId}, which this process does not have.`,
    hint: 'Check ALTER_ROOT_KEY and ALTER_KMS_URL: after a rotation the key of before has to stay, as ALTER_ROOT_KEY_PREVIOUS, until `alter root-key status` finds nothing under it.',
  });
}

/** The id of the key that wrapped this; null where the bytes have not the form. */
export function findWrappingKey(stored: Uint8Array): string | null {
  if (stored[0] !== format || stored.length < 2 + (stored[1] ?? 0)) return null;
  const id = Buffer.from(stored.subarray(2, 2 + stored[1]!)).toString('latin1');
  return keyIdForm.test(id) ? id : null;
}
