export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Weekday = (typeof weekdays)[number];

/** What a clock on the wall of a zone shows. */
export interface LocalTime {
  readonly weekday: Weekday;
  /** Minutes since midnight by that clock, 0 to 1439, so that daylight saving is followed and not computed. */
  readonly minute: number;
}

/** A formatter costs about 50 µs to make. The IANA list is bounded, but its names may be written in any letter case. */
const zones = new Map<string, Zone>();
const maxZones = 256;

interface Zone {
  readonly formatter: Intl.DateTimeFormat;
  /** What it showed in the minute that was asked for last: formatting costs 1.4 µs. */
  minute: number;
  shown: LocalTime | null;
}

/** From then on every zone is whole minutes from UTC, so that no clock turns within a minute of UTC. */
const wholeMinutesSince = Date.UTC(1980);

/** An IANA name, not an offset: an offset knows nothing of daylight saving. */
export function isTimeZone(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name) && findZone(name) !== null;
}

/** `timeZone` must be one by {@link isTimeZone}; throws a RangeError otherwise. */
export function localTime(timeZone: string, now: number): LocalTime {
  const zone = findZone(timeZone);
  if (zone === null) throw new RangeError('not a time zone');
  if (now < wholeMinutesSince) return show(zone, now);
  const minute = Math.floor(now / 60_000);
  if (zone.shown === null || zone.minute !== minute) {
    zone.shown = show(zone, now);
    zone.minute = minute;
  }
  return zone.shown;
}

function show({ formatter }: Zone, now: number): LocalTime {
  // In this locale and with these fields: `Mon 09:05`.
  const match = /^(\w{3}) (\d\d):(\d\d)$/.exec(formatter.format(now));
  const weekday = weekdays.find((name) => name === match?.[1]?.toLowerCase());
  if (match === null || weekday === undefined) throw new RangeError('not a time');
  return { weekday, minute: Number(match[2]) * 60 + Number(match[3]) };
}

export function dayBefore(weekday: Weekday): Weekday {
  return weekdays[(weekdays.indexOf(weekday) + 6) % 7]!;
}

function findZone(timeZone: string): Zone | null {
  const known = zones.get(timeZone);
  if (known !== undefined) return known;
  try {
    const formatter = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    if (zones.size >= maxZones) zones.clear();
    const zone: Zone = { formatter, minute: 0, shown: null };
    zones.set(timeZone, zone);
    return zone;
  } catch {
    return null;
  }
}
