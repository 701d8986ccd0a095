import { describe, expect, it } from '@jest/globals';
import { isId, issueId } from '../../core/id.ts';

const now = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

describe('an id', () => {
  it('is a UUIDv7 that carries the time of its issue', () => {
    const id = issueId(now);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(id.replace('-', '').slice(0, 12), 16)).toBe(now);
    expect(isId(id)).toBe(true);
  });

  it('sorts by the time of its issue', () => {
    const ids = Array.from({ length: 500 }, (_, index) => issueId(now + index));
    expect([...ids].sort()).toEqual(ids);
  });

  it('is another one each time, in the same millisecond too', () => {
    expect(new Set(Array.from({ length: 5_000 }, () => issueId(now))).size).toBe(5_000);
  });

  it('can be issued at the beginning and at the end of time', () => {
    expect(isId(issueId(0))).toBe(true);
    expect(issueId(2 ** 48 - 1).slice(0, 13)).toBe('ffffffff-ffff');
  });

  it.each([
    ...[
      '',
      'x',
      '019b7c1e-0000-7000-8000-00000000000',
      '019b7c1e-0000-7000-8000-0000000000000',
      '019B7C1E-0000-7000-8000-000000000000',
    ],
    ...[
      '{019b7c1e-0000-7000-8000-000000000000}',
      '019b7c1e00007000800000000000000',
      ' 019b7c1e-0000-7000-8000-000000000000',
    ],
    ...[
      '019b7c1e-0000-7000-8000-000000000000\n',
      '019b7c1e-0000-7000-8000-00000000000g',
      '../../etc/passwd',
      '__proto__',
      '*',
    ],
  ])('%j is not one', (text) => {
    expect(isId(text)).toBe(false);
  });
});
