import { usageFailure } from './failure.ts';

const unitSeconds = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90s`, `5m`, `2h` or `30d` in seconds. Throws a usage failure that names the flag. */
export function parseTimeToLive(text: string, input: string): number {
  const [, count, unit] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw usageFailure(`${input}: "${text}" is not a length of time.`, 'For example 90s, 5m, 2h or 30d.');
  return Number(count) * unitSeconds[unit as keyof typeof unitSeconds];
}
