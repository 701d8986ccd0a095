import type { Problem } from '../core/errors.ts';

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const maxAheadMs = 3_660 * unitMs.d;

/** `30d`, `12h`, `5m`, `20s` in milliseconds. The form was checked by the schema. */
export function durationMs(text: string): number {
  return Number(text.slice(0, -1)) * unitMs[text.at(-1) as keyof typeof unitMs];
}

/** An end that lies in the past, or so far ahead that it means no end, is a mistake. */
export function checkEnd(at: number | null, of: { field: string; now: number }): Problem[] {
  if (at === null) return [];
  if (at <= of.now) return [{ field: of.field, message: 'must be in the future' }];
  if (at > of.now + maxAheadMs)
    return [{ field: of.field, message: 'is more than ten years ahead; leave it out for no end' }];
  return [];
}

/** Undefined and null mean no end. */
export function endOf(expiresAt: string | null | undefined): number | null {
  return expiresAt === undefined || expiresAt === null ? null : Date.parse(expiresAt);
}
