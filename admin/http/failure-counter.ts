import { isIPv6 } from 'node:net';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { AlterError } from '../../core/errors.ts';

const failuresPerMinute = 20;

/** Counts failed authentications by source, in memory: a source that guesses is refused before anything is hashed or read. */
export class FailureCounter {
  readonly #limiter = new RateLimiterMemory({ points: failuresPerMinute, duration: 60 });

  /** Throws `rate_limited` where the source has failed too often in this minute. */
  async requireFew(address: string): Promise<void> {
    const count = await this.#limiter.get(sourceOf(address));
    if (count === null || count.consumedPoints < failuresPerMinute) return;
    throw new AlterError('rate_limited', {
      detail: 'Too many failed authentications from this address.',
      retryAfterSeconds: Math.max(1, Math.ceil(count.msBeforeNext / 1000)),
    });
  }

  async add(address: string): Promise<void> {
    await this.#limiter.penalty(sourceOf(address));
  }
}

/** One host commonly has a whole /64 to itself (RFC 7934), so that is what one IPv6 source is. */
function sourceOf(address: string): string {
  if (!isIPv6(address)) return address;
  if (address.toLowerCase().startsWith('::ffff:')) return address.slice(7);
  const [head = '', tail] = new URL(`http://[${address.replace(/%.*$/, '')}]/`).hostname.slice(1, -1).split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const tailGroups = tail === '' ? [] : tail.split(':');
    while (groups.length + tailGroups.length < 8) groups.push('0');
    groups.push(...tailGroups);
  }
  return groups.slice(0, 4).join(':');
}
