import type { Case, Figure } from './case.ts';
import type { Sample } from './sample.ts';

/** The median of the rounds, and between which values they all were. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface ContenderSummary {
  readonly contender: string;
  readonly rounds: number;
  readonly requests: number;
  readonly errors: number;
  readonly firstError: string | null;
  /** By the title of the figure. */
  readonly figures: Readonly<Record<string, Spread | null>>;
}

export interface RatioSummary {
  readonly of: string;
  readonly to: string;
  readonly figure: string;
  readonly better: Figure['better'];
  /** Of the quotients of single rounds: both had theirs within seconds of each other. */
  readonly ratio: Spread | null;
}

export interface CaseSummary {
  readonly name: string;
  readonly title: string;
  readonly contenders: readonly ContenderSummary[];
  /** Those that did not get to work in this case, with what they said. */
  readonly failures: Readonly<Record<string, string>>;
  readonly ratios: readonly RatioSummary[];
}

export function summarize(
  subject: Case,
  samples: ReadonlyMap<string, readonly Sample[]>,
  failures: ReadonlyMap<string, string> = new Map(),
): CaseSummary {
  return {
    name: subject.name,
    title: subject.title,
    contenders: [...samples].map(([contender, rounds]) => ({
      contender,
      rounds: rounds.length,
      requests: rounds.reduce((sum, { load }) => sum + load.requests, 0),
      errors: rounds.reduce((sum, { load }) => sum + load.errors, 0),
      firstError: rounds.find(({ load }) => load.errors > 0)?.load.firstError ?? null,
      figures: Object.fromEntries(
        subject.figures.map((figure) => [figure.title, spreadOf(rounds.map((round) => figure.of(round)))]),
      ),
    })),
    failures: Object.fromEntries(failures),
    ratios: subject.ratios
      .filter(([of, to]) => samples.has(of) && samples.has(to))
      .flatMap(([of, to]) => ratiosOf(subject, samples, { of, to })),
  };
}

/** Of the first figure, and of the throughput where it is one of the case's. */
function ratiosOf(
  subject: Case,
  samples: ReadonlyMap<string, readonly Sample[]>,
  pair: { readonly of: string; readonly to: string },
): RatioSummary[] {
  const throughput = subject.figures.filter(({ better }) => better === 'higher');
  return [subject.figures[0], ...throughput].map((figure) => {
    const others = samples.get(pair.to)!;
    const quotients = samples.get(pair.of)!.map((sample, round) => {
      const own = figure.of(sample);
      const other = others[round] === undefined ? null : figure.of(others[round]);
      return own === null || other === null || other === 0 ? null : own / other;
    });
    return { ...pair, figure: figure.title, better: figure.better, ratio: spreadOf(quotients) };
  });
}

export function spreadOf(values: readonly (number | null)[]): Spread | null {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}
