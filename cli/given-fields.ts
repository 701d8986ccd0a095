import type { JsonObject } from './present.ts';

/** The fields of a request that were given; one that is undefined was not. */
export function givenFields(fields: JsonObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
