import type { Spread } from './summary.ts';
import type { Upstream } from './upstream.ts';

/**
 * A measurement of ours alone, without load from the generator. Every file in `probes/` exports one as `probe`.
 */
export interface Probe {
  /** As `--only` takes it. */
  readonly name: string;
  readonly title: string;
  readonly figure: string;
  readonly digits: number;
  /** One value a round. */
  readonly measure: (of: {
    readonly directory: string;
    readonly upstream: Upstream;
    readonly rounds: number;
  }) => Promise<readonly number[]>;
}

export interface ProbeSummary {
  readonly name: string;
  readonly title: string;
  readonly figure: string;
  readonly digits: number;
  readonly values: readonly number[];
  readonly spread: Spread | null;
}
