/**
 * The fields that a record has, each with the check that its value must pass. A record is read back only if it has
 * exactly these fields: what another version or another hand wrote is refused, not guessed at.
 */
export type Shape<T> = { readonly [Field in keyof T]-?: Check };
type Check = (value: unknown) => boolean;

const maxBodyBytes = 1_048_576;
/** More than the longest lists that a policy may have come to. */
export const maxPolicyBytes = 65_536;

/**
 * Null where the bytes are not the JSON of such a record. `absent`: fields that were not kept from the start, each with what
 * a record without it means. A record is sealed, so that nobody but the release that wrote it can have left one out.
 */
export function readShape<T extends object>(
  shape: Shape<T>,
  json: Uint8Array,
  absent: Partial<T> | null = null,
): T | null {
  if (json.length > maxBodyBytes) return null;
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(json));
  } catch {
    return null;
  }
  if (absent !== null && typeof value === 'object' && value !== null && !Array.isArray(value))
    value = completed(value, absent);
  return hasShape(shape, value) ? value : null;
}

/** An own field `__proto__` stays one: it is refused with every other unknown field. */
function completed(record: object, absent: object): object {
  const missing = Object.entries(absent).filter(([field]) => !Object.hasOwn(record, field));
  return missing.length === 0 ? record : Object.fromEntries([...Object.entries(record), ...missing]);
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

export const truth: Check = (value) => typeof value === 'boolean';

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

/** An object of texts. `__proto__` is refused as a name: it would vanish where the object is copied. */
export const textMap =
  (of: { readonly maxEntries: number; readonly maxKey: number; readonly maxValue: number }): Check =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).length <= of.maxEntries &&
    Object.entries(value).every(
      ([key, entry]) => key !== '__proto__' && key.length <= of.maxKey && text(of.maxValue)(entry),
    );

/** Any object that fits into `maxBytes` of JSON: what it says is for those who read it to judge. */
export const document =
  (maxBytes: number): Check =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Buffer.byteLength(JSON.stringify(value)) <= maxBytes;

export const either =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));

/** SHA-256 in lower-case hexadecimal. */
export const hexDigest: Check = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
