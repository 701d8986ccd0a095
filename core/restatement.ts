/**
 * What a request asks a server to take it for instead of what its first line says. Frameworks obey such headers, and
 * `_method` in the query, so that a policy which looked at the first line alone could be talked around.
 */
export interface Restatement {
  /** Other methods that it is to be taken for, in capital letters. */
  readonly methods: readonly string[];
  /** Whether it names another path. */
  readonly path: boolean;
}

export const nothingRestated: Restatement = { methods: [], path: false };

const methodHeaders = ['x-http-method-override', 'x-http-method', 'x-method-override'];
const pathHeaders = ['x-original-url', 'x-rewrite-url'];
const lengths = new Set([...methodHeaders, ...pathHeaders].map((name) => name.length));

/** `headers` flat, names and values by turns; `target` with its query, as sent. */
export function findRestatement(headers: readonly string[], target: string): Restatement {
  const methods = readQuery(target);
  let path = false;
  for (let i = 0; i < headers.length; i += 2) {
    if (!lengths.has(headers[i]!.length)) continue;
    const name = headers[i]!.toLowerCase().replaceAll('_', '-'); // servers in the manner of CGI read both as one
    if (methodHeaders.includes(name)) methods.push(headers[i + 1]!.trim().toUpperCase());
    else if (pathHeaders.includes(name)) path = true;
  }
  return methods.length === 0 && !path ? nothingRestated : { methods, path };
}

function readQuery(target: string): string[] {
  const question = target.indexOf('?');
  if (question === -1 || !/_method|%/i.test(target.slice(question))) return [];
  const methods: string[] = [];
  for (const [name, value] of new URLSearchParams(target.slice(question)))
    if (name.toLowerCase() === '_method') methods.push(value.trim().toUpperCase());
  return methods;
}
