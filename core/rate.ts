/** A limit that is taken from the store in the same step in which the decision is recorded. */
export interface RateDemand {
  readonly bucket: string;
  readonly requests: number;
  readonly perSeconds: number;
  /** It stands for a token that may be shown once: beyond it the token is no good, rather than the caller too fast. */
  readonly ofToken?: true;
}
