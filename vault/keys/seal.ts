import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';

/**
 * What a sealed piece of bytes is and where it belongs. All of it is bound as additional data: bytes that are moved to
 * another type, app, id or revision do not open.
 */
export interface SealContext {
  readonly type: string;
  readonly space: string;
  readonly id: string;
  readonly revision: number;
}

const format = 1;
const ivBytes = 12;
const tagBytes = 16;

/** Adds format (1 byte), IV (12) and tag (16). A random IV is safe for 2^32 seals under one key (NIST SP 800-38D, 8.3). */
export const sealOverheadBytes = 1 + ivBytes + tagBytes;

/** Random bytes are drawn for many IVs at once: a draw by itself costs 20 µs where the caches are cold. Each is given once. */
const ivs = Buffer.alloc(ivBytes * 128);
let ivsUsed = ivs.length;

function drawIv(): Buffer {
  if (ivsUsed === ivs.length) {
    randomFillSync(ivs);
    ivsUsed = 0;
  }
  const iv = Buffer.from(ivs.subarray(ivsUsed, ivsUsed + ivBytes));
  ivsUsed += ivBytes;
  return iv;
}

export function seal(key: KeyObject, context: SealContext, plaintext: Uint8Array): Buffer {
  return sealBytes(key, encodeContext(context), plaintext);
}

/** Throws `state_invalid`. The plaintext is a fresh buffer that the caller may wipe. */
export function openSealed(key: KeyObject, context: SealContext, sealed: Uint8Array): Buffer {
  const plaintext = openBytes(key, encodeContext(context), sealed);
  if (plaintext === null) {
    throw new AlterError('state_invalid', {
      detail: `The stored ${context.type} ${context.id} was changed outside this service, or was sealed under another key.`,
    });
  }
  return plaintext;
}

/** Format byte, IV, ciphertext, tag: AES-256-GCM. */
export function sealBytes(key: KeyObject, additionalData: Uint8Array, plaintext: Uint8Array): Buffer {
  const iv = drawIv();
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
  cipher.setAAD(additionalData);
  return Buffer.concat([Buffer.of(format), iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** Null where these bytes were not sealed under this key with this additional data. */
export function openBytes(key: KeyObject, additionalData: Uint8Array, sealed: Uint8Array): Buffer | null {
  const tagAt = sealed.length - tagBytes;
  if (tagAt < 1 + ivBytes || sealed[0] !== format) return null;
  // Without authTagLength Node accepts a tag of 4 bytes, which can be guessed.
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + ivBytes), { authTagLength: tagBytes });
  decipher.setAAD(additionalData);
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plaintext = decipher.update(sealed.subarray(1 + ivBytes, tagAt));
  try {
    decipher.final(); // GCM has no bytes left to give; until this has passed, `plaintext` is whatever an attacker chose
  } catch {
    plaintext.fill(0);
    return null;
  }
  return plaintext;
}

/** Every part with its length before it, so that no two contexts have the same bytes. */
export function encodeContext(context: SealContext): Buffer {
  return encodeParts([
    'alter-egress',
    String(format),
    context.type,
    context.space,
    context.id,
    String(context.revision),
  ]);
}

/** Each part as UTF-8 after its length in bytes (32 bits, big endian). */
export function encodeParts(parts: readonly string[]): Buffer {
  let size = 0;
  for (const part of parts) size += 4 + Buffer.byteLength(part);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const part of parts) {
    const written = bytes.write(part, at + 4);
    bytes.writeUInt32BE(written, at);
    at += 4 + written;
  }
  return bytes;
}
