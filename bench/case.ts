import type { Sample } from './sample.ts';

/** What is asked of the generator in one round. */
export interface Load {
  readonly mode: 'keep-alive' | 'tunnel' | 'idle' | 'socket';
  readonly connections: number;
  /** TLS sessions are resumed where the proxy offers it. */
  readonly resume?: boolean;
  /** Timed is only until the first byte of the body, and the connection is closed then. */
  readonly firstByte?: boolean;
  /** Every connection is to a host that the contender has not seen before. */
  readonly cold?: boolean;
  readonly method?: 'GET' | 'PUT';
  readonly path: string;
  readonly uploadBytes?: number;
  /** Bytes of the body of the answer; anything else is an error. Without it there is none to count. */
  readonly expectBytes?: number;
}

/** A figure of a sample. Null: it can't be told. */
export interface Figure {
  readonly title: string;
  readonly of: (sample: Sample) => number | null;
  readonly digits: number;
  readonly better: 'lower' | 'higher';
}

/**
 * One measurement. Every file in `cases/` exports a list of them as `cases`, and that is all it takes to add one.
 */
export interface Case {
  /** As `--only` takes it. */
  readonly name: string;
  readonly title: string;
  readonly load: Load;
  /** Names of files' contenders, in the order of the table. */
  readonly contenders: readonly string[];
  /** The first figure is the one that the ratios are about. */
  readonly figures: readonly [Figure, ...Figure[]];
  /** Pairs: the figure of the first divided by that of the second, round by round. */
  readonly ratios: readonly (readonly [string, string])[];
  /** A fresh process for every round, for memory: what was freed once would hide what is needed the next time. Half as many rounds. */
  readonly restart?: boolean;
  /** Left out of `--quick`. */
  readonly slow?: boolean;
}
