/**
 * The fields that a record has, each with the check that its value must pass. A record is read back only if it has
 * exactly these fields: what another version or another hand wrote is refused, not guessed at.
 */
export type Shape<T> = { readonly [Field in keyof T]-?: Check };
type Check = (value: unknown) => boolean;

const maxBodyBytes = 1_048_576;

/** Null where the bytes are not the JSON of such a record. */
export function readShape<T extends object>(shape: Shape<T>, json: Uint8Array): T | null {
  if (json.length > maxBodyBytes) return null;
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(json));
  } catch {
    return null;
  }
  return hasShape(shape, value) ? value : null;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

export function hasShape<T extends object>(shape: Shape<T>, value: unknown): value is T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  // JSON.parse makes `__proto__` an own field like any other, so that it is counted here, and refused.
  const fields = Object.keys(shape) as (keyof T & string)[];
  if (Object.keys(value).length !== fields.length) return false;
  return fields.every((field) => Object.hasOwn(value, field) && shape[field]((value as T)[field]));
}

/** The fields whose value can't be kept. */
export function fieldsOutOfShape<T extends object>(shape: Shape<T>, value: T): string[] {
  return (Object.keys(shape) as (keyof T & string)[]).filter((field) => !shape[field](value[field]));
}

/** At most `max` UTF-16 units. */
export const text =
  (max: number): Check =>
  (value) =>
    typeof value === 'string' && value.length <= max;

/** From 0: a time in milliseconds since the epoch, a count, a version. */
export const whole: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;

export const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

export const listOf =
  (check: Check, max: number): Check =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(check);

export const oneOf =
  (values: readonly string[]): Check =>
  (value) =>
    typeof value === 'string' && values.includes(value);

export const objectOf =
  <T extends object>(shape: Shape<T>): Check =>
  (value) =>
    hasShape(shape, value);

export const either =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));

/** SHA-256 in lower-case hexadecimal. */
export const hexDigest: Check = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
