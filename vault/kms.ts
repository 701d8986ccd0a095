/**
 * Wraps the key of an app under a key that never leaves the adapter. `context` says what is wrapped, and must be the same
 * when it is unwrapped.
 */
export interface Kms {
  wrap(plaintext: Uint8Array, context: Uint8Array): Promise<Uint8Array>;
  /** Throws `state_invalid` where the bytes or the context are not those that were wrapped, or the key is another. */
  unwrap(wrapped: Uint8Array, context: Uint8Array): Promise<Uint8Array>;
}
