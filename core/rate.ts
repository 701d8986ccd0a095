/** A limit that is taken from the store in the same step in which the decision is recorded. */
export interface RateDemand {
  readonly bucket: string;
  readonly requests: number;
  readonly perSeconds: number;
}
