import { AlterError } from '../../core/errors.ts';

/** A revision as a strong entity tag (RFC 9110, section 8.8.3). */
export function formatEtag(revision: number): string {
  return `"${revision}"`;
}

/**
 * The revision that `If-Match` demands; undefined where the header is absent or `*`. A tag that no revision can have (a
 * weak one never matches, RFC 9110 section 13.1.1) throws `revision_conflict`; two tags or other text `request_malformed`.
 */
export function parseIfMatch(header: string | null): number | undefined {
  if (header === null || header.trim() === '*') return undefined;
  const match = /^(W\/)?"([\x21\x23-\x7e]{0,64})"$/.exec(header.trim());
  if (match === null)
    throw new AlterError('request_malformed', {
      detail: 'If-Match must be one entity tag, as the ETag header gave it.',
      hint: 'Send If-Match: "N" with the revision that you read, or leave it out.',
    });
  const revision = /^[1-9]\d{0,14}$/.test(match[2]!) ? Number(match[2]) : null;
  if (match[1] !== undefined || revision === null) throw new AlterError('revision_conflict');
  return revision;
}

/** Throws `revision_conflict` where a revision is expected and this is another. */
export function requireRevision(current: { readonly revision: number }, expectedRevision: number | undefined): void {
  if (expectedRevision !== undefined && current.revision !== expectedRevision)
    throw new AlterError('revision_conflict');
}
