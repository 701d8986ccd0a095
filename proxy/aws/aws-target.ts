/*
 * Path and query of a request to AWS in the forms that Signature V4 asks for. Targets are visible ASCII, as the parser of
 * the request made sure; they are read byte by byte, since a percent-encoded byte need not be part of valid UTF-8.
 */

const other = /[^A-Za-z0-9\-._~]/g;
const otherThanSlash = /[^A-Za-z0-9\-._~/]/g;
const unreserved = /^[A-Za-z0-9\-._~]$/;

/** RFC 3986 unreserved characters stay, all others are encoded. */
function encode(text: string, what: RegExp = other): string {
  return text.replace(what, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/**
 * Encoded exactly once, whatever mixture it was: S3 decodes a key and encodes it again before it looks at the signature.
 * Segments stay as they are, empty ones and dots too, and `%2F` stays within its segment, as policies have seen it.
 */
export function encodeS3Path(path: string): string {
  return path.replace(/%[0-9a-fA-F]{2}|[^A-Za-z0-9\-._~/]/g, (found) => {
    if (found.length === 1) return encode(found);
    const char = String.fromCharCode(Number.parseInt(found.slice(1), 16));
    return unreserved.test(char) ? char : found.toUpperCase();
  });
}

/** `?…` with each name and value encoded exactly once and `+` read as the space it stands for; '' without parameters. */
export function encodeQuery(query: string): string {
  const pieces = query
    .slice(1)
    .split('&')
    .filter((piece) => piece !== '')
    .map((piece) => {
      const equals = piece.indexOf('=');
      if (equals === -1) return encodePart(piece);
      return `${encodePart(piece.slice(0, equals))}=${encodePart(piece.slice(equals + 1))}`;
    });
  return pieces.length === 0 ? '' : `?${pieces.join('&')}`;
}

function encodePart(text: string): string {
  return text.replace(/%[0-9a-fA-F]{2}|[^A-Za-z0-9\-._~]/g, (found) => {
    if (found === '+') return '%20';
    if (found.length === 1) return encode(found);
    const char = String.fromCharCode(Number.parseInt(found.slice(1), 16));
    return unreserved.test(char) ? char : found.toUpperCase();
  });
}

/** The lines of the canonical request for a target whose query, and for S3 whose path, is encoded once. */
export function canonicalTarget(target: string, isS3: boolean): { readonly path: string; readonly query: string } {
  const question = target.indexOf('?');
  const path = question === -1 ? target : target.slice(0, question);
  return {
    path: isS3 ? path : encode(withoutDots(path), otherThanSlash),
    query: question === -1 ? '' : sortedQuery(target.slice(question + 1)),
  };
}

/** RFC 3986 section 5.2.4, and, as AWS does, without empty segments. */
function withoutDots(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}${segments.length > 0 && path.endsWith('/') ? '/' : ''}`;
}

/** By name, then by value; by code unit, which is by byte here. */
function sortedQuery(query: string): string {
  return query
    .split('&')
    .map((piece): [string, string] => {
      const equals = piece.indexOf('=');
      return equals === -1 ? [piece, ''] : [piece.slice(0, equals), piece.slice(equals + 1)];
    })
    .sort(([nameA, valueA], [nameB, valueB]) => order(nameA, nameB) || order(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
