import { hasUniqueMembers } from '../../core/unique-members.ts';

const maxDepth = 16;

/**
 * The JSON object in these bytes; null where they hold anything else, are not UTF-8, name a member twice or are nested
 * deeply. `JSON.parse` takes the last of two members of one name and other readers the first, so that a token with two
 * `sub` would be one person here and another there.
 */
export function findStrictJson(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  let value: unknown;
  let text: string;
  try {
    text = decoder.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return hasUniqueMembers(text, maxDepth) ? (value as Record<string, unknown>) : null;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
