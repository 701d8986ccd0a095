import { randomFillSync } from 'node:crypto';

const bytesPerId = 16;
/** Random bytes are drawn for many ids at once: a draw of 16 costs as much as one of thousands. */
const pool = Buffer.alloc(256 * bytesPerId);
let used = pool.length;
const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * A UUIDv7 (RFC 9562, section 5.7): 48 bits of `now`, then random bits. Ids sort by creation time, to the millisecond.
 * `now` in milliseconds since the epoch.
 */
export function issueId(now: number): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const at = used;
  used += bytesPerId;
  pool.writeUIntBE(now, at, 6);
  pool[at + 6] = (pool[at + 6]! & 0x0f) | 0x70;
  pool[at + 8] = (pool[at + 8]! & 0x3f) | 0x80;
  let id = '';
  for (let i = 0; i < bytesPerId; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) id += '-';
    id += hexOf[pool[at + i]!];
  }
  return id;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Only the canonical lower-case form counts, so that one object has one id. */
export function isId(text: string): boolean {
  return uuid.test(text);
}
