import { usageFailure } from './failure.ts';

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30d`, `12h`, `5m` as milliseconds. Throws a usage failure that names `input`. */
export function parseDuration(text: string, input: string): number {
  const match = /^([1-9]\d{0,5})([dhm])$/.exec(text);
  if (match === null)
    throw usageFailure(`${input}: "${text}" is not a duration.`, 'Write a number with d, h or m: 30d, 12h, 5m.');
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}
