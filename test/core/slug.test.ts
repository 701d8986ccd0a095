import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { issueId } from '../../core/id.ts';
import { isSlug, slugCandidate, slugify } from '../../core/slug.ts';

describe('a slug', () => {
  it.each([
    ['Stripe (EU) Live', 'stripe-eu-live'],
    ['stripe', 'stripe'],
    ['  Stripe  ', 'stripe'],
    ['Crème Brûlée', 'creme-brulee'],
    ['GitHub_PAT', 'github-pat'],
    ['a--b', 'a-b'],
    ['---', 'secret'],
    ['', 'secret'],
    ['日本語', 'secret'],
    ['日本 API', 'api'],
    ['ﬁne', 'fine'],
    ['../../etc/passwd', 'etc-passwd'],
    ['a\r\nb\0c', 'a-b-c'],
    ['x'.repeat(100), 'x'.repeat(63)],
    [`${'x'.repeat(62)} y`, 'x'.repeat(62)],
  ])('%j becomes %s', (name, slug) => {
    expect(slugify(name)).toBe(slug);
  });

  it('is one, whatever the name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.integer({ min: 1, max: 99_999 }), (name, n) => {
        const slug = slugify(name);
        expect(isSlug(slug)).toBe(true);
        expect(slugify(slug)).toBe(slug);
        expect(isSlug(slugCandidate(slug, n))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('gets -2 and -3 within the same 63 characters', () => {
    expect([1, 2, 3, 10].map((n) => slugCandidate('stripe', n))).toEqual([
      'stripe',
      'stripe-2',
      'stripe-3',
      'stripe-10',
    ]);
    expect(slugCandidate('x'.repeat(63), 12)).toBe(`${'x'.repeat(60)}-12`);
  });

  it('has candidates that all differ', () => {
    for (const slug of ['a', 'x'.repeat(63)])
      expect(new Set(Array.from({ length: 500 }, (_, index) => slugCandidate(slug, index + 1))).size).toBe(500);
  });

  it.each(['', '-', '-a', 'a-', 'A', 'a_b', 'a b', 'a.b', 'é', 'a\n', 'x'.repeat(64), '../a', '*'])(
    '%j is not one',
    (text) => {
      expect(isSlug(text)).toBe(false);
    },
  );

  it('never looks like an id, so that a look-up by either cannot meet the other', () => {
    const id = issueId(0);
    expect(slugify(id)).toBe(`secret-${id}`);
    expect(slugify(id.toUpperCase())).toBe(`secret-${id}`);
  });
});
