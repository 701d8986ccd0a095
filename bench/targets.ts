import type { Results } from './results.ts';
import type { Spread } from './summary.ts';

/** Of what a target speaks: a ratio of a case's contenders, a figure of ours in a case, or a probe. */
type Measured =
  | { readonly case: string; readonly of: string; readonly to: string; readonly figure?: string }
  | { readonly case: string; readonly contender: string; readonly figure: string }
  | { readonly probe: string };

export interface Target {
  readonly title: string;
  readonly measured: Measured;
  readonly is: 'at most' | 'at least';
  readonly limit: number;
  readonly unit?: string;
  /** Wished for; the others are promised. */
  readonly isStretch?: boolean;
}

const beside = (subject: string, to: string, title: string, limit = 1, isStretch = false): Target => ({
  title: `${title}: alter ÷ ${to}`,
  measured: { case: subject, of: 'alter', to },
  is: 'at most',
  limit,
  isStretch,
});

/** What we set ourselves, with all features on. */
export const targets: readonly Target[] = [
  beside('keep-alive', 'squid', 'CPU of a request over a kept tunnel'),
  beside('keep-alive', 'go', 'CPU of a request over a kept tunnel'),
  beside('keep-alive', 'nginx', 'CPU of a request over a kept tunnel', 1.7, true),
  beside('new-tunnel', 'squid', 'CPU of a new tunnel'),
  beside('new-tunnel', 'go', 'CPU of a new tunnel', 1, true),
  beside('bulk-down', 'squid', 'CPU of a byte down, 1 MiB'),
  beside('bulk-up', 'squid', 'CPU of a byte up, 1 MiB'),
  beside('large-down', 'squid', 'CPU of a byte down, 100 MiB'),
  beside('large-up', 'squid', 'CPU of a byte up, 100 MiB'),
  {
    title: 'CPU of a request with strict audit on Redis: alter-redis ÷ alter-redis-buffered',
    measured: { case: 'audit-and-store', of: 'alter-redis', to: 'alter-redis-buffered' },
    is: 'at most',
    limit: 1.15,
  },
  { title: 'Policies at three levels', measured: { probe: 'policy' }, is: 'at most', limit: 3, unit: 'µs' },
  {
    title: 'Questions to the store for look-ups of a warm grant',
    measured: { probe: 'warm-grant' },
    is: 'at most',
    limit: 0,
  },
  {
    title: 'Delay of the event loop under full load, p99',
    measured: { case: 'keep-alive', contender: 'alter', figure: 'event loop delay p99 ms' },
    is: 'at most',
    limit: 20,
    unit: 'ms',
  },
  beside('idle-tunnels', 'squid', 'Memory of an idle tunnel'),
  {
    title: 'Memory of an idle tunnel',
    measured: { case: 'idle-tunnels', contender: 'alter', figure: 'RSS KiB / tunnel' },
    is: 'at most',
    limit: 32,
    unit: 'KiB',
    isStretch: true,
  },
  { title: 'Ready after its start', measured: { probe: 'ready' }, is: 'at most', limit: 400, unit: 'ms' },
  {
    title: 'Requests/s with two workers: alter-2-workers ÷ alter',
    measured: { case: 'workers', of: 'alter-2-workers', to: 'alter', figure: 'requests/s' },
    is: 'at least',
    limit: 1.7,
  },
];

/** What was measured of it; null where this run did not. */
export function findSpread({ measured }: Target, { cases, probes }: Results): Spread | null {
  if ('probe' in measured) return probes.find(({ name }) => name === measured.probe)?.spread ?? null;
  const summary = cases.find(({ name }) => name === measured.case);
  if ('contender' in measured) {
    const found = summary?.contenders.find(({ contender }) => contender === measured.contender);
    return found?.figures[measured.figure] ?? null;
  }
  const { of, to, figure } = measured;
  return (
    summary?.ratios.find((one) => one.of === of && one.to === to && one.figure === (figure ?? one.figure))?.ratio ??
    null
  );
}

/** Met by the median or not; and where single rounds say otherwise, so. */
export function judge({ is, limit }: Target, { median, min, max }: Spread): string {
  const meets = (value: number): boolean => (is === 'at most' ? value <= limit : value >= limit);
  if (meets(median)) return meets(min) && meets(max) ? 'met' : 'met, not in every round';
  return meets(min) || meets(max) ? 'not met, though in some rounds' : 'not met';
}

/** As a table in Markdown; empty where this run measured nothing of it. */
export function describeTargets(results: Results): string[] {
  const rows = targets.map((target) => {
    const spread = findSpread(target, results);
    const { title, is, limit, unit, isStretch } = target;
    const ending = unit === undefined ? '' : ` ${unit}`;
    const value = (of: number): string => of.toFixed(unit === 'ms' || unit === 'KiB' ? 1 : 2);
    const row = [
      isStretch === true ? `${title} (stretch)` : title,
      `${is === 'at most' ? '≤' : '≥'} ${limit}${ending}`,
      spread === null ? '–' : `${value(spread.median)} (${value(spread.min)}–${value(spread.max)})${ending}`,
      spread === null ? 'not measured in this run' : judge(target, spread),
    ];
    return { spread, line: `| ${row.join(' | ')} |` };
  });
  if (rows.every(({ spread }) => spread === null)) return [];
  return [
    '## Targets',
    '',
    'Medians of the rounds of this run, with the smallest and the largest. A ratio is made round by round.',
    '',
    '| target | limit | measured | |',
    '|---|--:|--:|---|',
    ...rows.map(({ line }) => line),
    '',
  ];
}
