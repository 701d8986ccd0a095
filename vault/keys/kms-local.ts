import { createHmac, createSecretKey } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import type { Kms } from './kms.ts';
import { openBytes, sealBytes } from './seal.ts';

export const rootKeyBytes = 32;

/** Wraps under a root key that this process holds. Throws `config_invalid` where the key has not 32 bytes. */
export function openLocalKms(of: { readonly rootKey: Uint8Array }): Kms {
  if (of.rootKey.length !== rootKeyBytes) {
    throw new AlterError('config_invalid', { detail: `The root key must be exactly ${rootKeyBytes} bytes.` });
  }
  const key = createSecretKey(of.rootKey);
  return {
    // One way, and for nothing else: 64 bits of it tell two keys apart.
    keyId: `local:${createHmac('sha256', key).update('alter-egress root key id').digest('hex').slice(0, 16)}`,
    wrap: async (plaintext, context) => sealBytes(key, context, plaintext),
    unwrap: async (wrapped, context) => {
      const plaintext = openBytes(key, context, wrapped);
      if (plaintext === null) {
        throw new AlterError('state_invalid', {
          detail: "The key of an app can't be unwrapped with this root key.",
          hint: 'Check ALTER_ROOT_KEY: the store was written under another one, or was changed outside this service.',
        });
      }
      return plaintext;
    },
  };
}
