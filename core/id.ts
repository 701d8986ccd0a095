import { randomFillSync } from 'node:crypto';

/** Random bytes are drawn for many ids at once: a draw of 10 costs as much as one of thousands. */
const digitsPerId = 20;
const pool = Buffer.alloc(256 * (digitsPerId / 2));
let digits = '';
let used = 0;
/** By the character code of a hexadecimal digit: the two bits of the variant, then the two lowest of the digit. */
const variants: string[] = [];
for (const digit of '0123456789abcdef') variants[digit.charCodeAt(0)] = '89ab'[Number.parseInt(digit, 16) & 3]!;
let timeOf = Number.NaN;
let time = '';

/**
 * A UUIDv7 (RFC 9562, section 5.7): 48 bits of `now`, then random bits. Ids sort by creation time, to the millisecond.
 * `now` in milliseconds since the epoch.
 */
export function issueId(now: number): string {
  if (used === digits.length) {
    digits = randomFillSync(pool).toString('hex');
    used = 0;
  }
  if (now !== timeOf) {
    const hex = Math.trunc(now).toString(16).padStart(12, '0');
    time = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
    timeOf = now;
  }
  const at = used;
  used += digitsPerId;
  const variant = variants[digits.charCodeAt(at)]!;
  return `${time}${digits.slice(at + 1, at + 4)}-${variant}${digits.slice(at + 4, at + 7)}-${digits.slice(at + 7, at + 19)}`;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Only the canonical lower-case form counts, so that one object has one id. */
export function isId(text: string): boolean {
  return uuid.test(text);
}
