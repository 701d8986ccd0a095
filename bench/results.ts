import type { Machine } from './machine.ts';
import type { Effort } from './measure.ts';
import type { ProbeSummary } from './probe.ts';
import type { Sample } from './sample.ts';
import type { CaseSummary } from './summary.ts';

export interface ContenderNote {
  readonly name: string;
  readonly description: string;
  /** Null where it was not there; then `missing` says why. */
  readonly version: string | null;
  readonly missing: string | null;
}

/** Everything that one run found out: what the JSON file holds, and the Markdown and the picture are made of. */
export interface Results {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly effort: Effort;
  readonly machine: Machine;
  readonly contenders: readonly ContenderNote[];
  readonly probes: readonly ProbeSummary[];
  readonly cases: readonly (CaseSummary & { readonly samples: Readonly<Record<string, readonly Sample[]>> })[];
}
