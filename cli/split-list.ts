import { usageFailure } from './failure.ts';

/** `a,b` and `c` as one list. Throws a usage failure for an empty entry, which is a slip more often than a wish. */
export function splitList(given: readonly string[], input: string): readonly string[] {
  const entries = given.flatMap((text) => text.split(',')).map((entry) => entry.trim());
  if (entries.includes('')) throw usageFailure(`${input} holds an empty entry.`);
  return entries;
}
