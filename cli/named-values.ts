import { usageFailure } from './failure.ts';

/** `NAME=VALUE`, given several times, as one object. Throws a usage failure for anything else, and for a name given twice. */
export function parseNamedValues(given: readonly string[], input: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const text of given) {
    const equals = text.indexOf('=');
    // The text is not quoted: without an = it may be a credential.
    if (equals < 1) throw usageFailure(`${input} takes NAME=VALUE.`);
    const name = text.slice(0, equals);
    if (Object.hasOwn(values, name)) throw usageFailure(`${input}: "${name}" is given twice.`);
    Object.defineProperty(values, name, { value: text.slice(equals + 1), enumerable: true });
  }
  return values;
}
