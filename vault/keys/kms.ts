/**
 * Wraps the key of an app under a key that never leaves the adapter. `context` says what is wrapped, and must be the same
 * when it is unwrapped. Every adapter passes `test/contract/kms.ts`.
 */
export interface Kms {
  /** Stands beside what this key wrapped: a word of letters, digits, `:` and `-` that reveals nothing of the key. */
  readonly keyId: string;
  /** Rejects with `kms_unavailable`. */
  wrap(plaintext: Uint8Array, context: Uint8Array): Promise<Uint8Array>;
  /**
   * Rejects with `state_invalid` where the bytes or the context are not those that were wrapped, or the key is another; with
   * `kms_unavailable` where that is not known.
   */
  unwrap(wrapped: Uint8Array, context: Uint8Array): Promise<Uint8Array>;
}

/** The key that wraps, and keys of before that still unwrap. */
export interface KmsKeys {
  readonly current: Kms;
  readonly previous: readonly Kms[];
}
