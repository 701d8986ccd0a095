/**
 * Whether no object in this text, which is known to be JSON, names a member twice or is nested deeper than `maxDepth`.
 * `JSON.parse` takes the last of two members of one name and other readers the first: what was checked in front of us would
 * not be what counts here.
 */
export function hasUniqueMembers(text: string, maxDepth: number): boolean {
  const open: (Set<string> | null)[] = [];
  // A string directly before a colon is the name of a member.
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
