import { isId } from './id.ts';

/**
 * `Stripe (EU) Live` → `stripe-eu-live`. At most 63 characters; `secret` when nothing usable is left. A name that is an
 * id gets a prefix: commands take a slug or an id, and one must never stand for two secrets.
 */
export function slugify(name: string): string {
  const slug = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  if (isId(slug)) return `secret-${slug}`;
  return slug === '' ? 'secret' : slug;
}

/** The n-th candidate for a slug (n from 1): the slug itself, then `-2`, `-3`… within the same 63 characters. */
export function slugCandidate(slug: string, n: number): string {
  if (n === 1) return slug;
  const suffix = `-${n}`;
  return slug.slice(0, 63 - suffix.length) + suffix;
}

export function isSlug(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}
