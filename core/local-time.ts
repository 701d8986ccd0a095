export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Weekday = (typeof weekdays)[number];

/** What a clock on the wall of a zone shows. */
export interface LocalTime {
  readonly weekday: Weekday;
  /** Minutes since midnight by that clock, 0 to 1439, so that daylight saving is followed and not computed. */
  readonly minute: number;
}

/** A formatter costs about 50 µs to make. The IANA list is bounded, but its names may be written in any letter case. */
const formatters = new Map<string, Intl.DateTimeFormat>();
const maxFormatters = 256;

/** An IANA name, not an offset: an offset knows nothing of daylight saving. */
export function isTimeZone(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name) && findFormatter(name) !== null;
}

/** `timeZone` must be one by {@link isTimeZone}; throws a RangeError otherwise. */
export function localTime(timeZone: string, now: number): LocalTime {
  const formatter = findFormatter(timeZone);
  if (formatter === null) throw new RangeError('not a time zone');
  // In this locale and with these fields: `Mon 09:05`.
  const match = /^(\w{3}) (\d\d):(\d\d)$/.exec(formatter.format(now));
  const weekday = weekdays.find((name) => name === match?.[1]?.toLowerCase());
  if (match === null || weekday === undefined) throw new RangeError('not a time');
  return { weekday, minute: Number(match[2]) * 60 + Number(match[3]) };
}

export function dayBefore(weekday: Weekday): Weekday {
  return weekdays[(weekdays.indexOf(weekday) + 6) % 7]!;
}

function findFormatter(timeZone: string): Intl.DateTimeFormat | null {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  try {
    const formatter = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    if (formatters.size >= maxFormatters) formatters.clear();
    formatters.set(timeZone, formatter);
    return formatter;
  } catch {
    return null;
  }
}
