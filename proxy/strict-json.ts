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
  return hasUniqueMembers(text) ? (value as Record<string, unknown>) : null;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Of text that is known to be JSON: a string directly before a colon is the name of a member. */
function hasUniqueMembers(text: string): boolean {
  const open: (Set<string> | null)[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*:?|[{}[\]]/g)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : null);
      if (open.length > maxDepth) return false;
    } else if (token === '}' || token === ']') open.pop();
    else if (token.endsWith(':')) {
      const names = open.at(-1);
      const name = JSON.parse(token.slice(0, -1)) as string; // `\u0073ub` is `sub` as well
      if (names === undefined || names === null || names.has(name)) return false;
      names.add(name);
    }
  }
  return true;
}
