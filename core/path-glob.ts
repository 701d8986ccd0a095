/**
 * `*` stands for any text within one segment, and alone for a segment that is not empty; `**` stands for whole segments:
 * none or more between two others, one or more at the end. So `/v1/charges/**` is everything below, but neither
 * `/v1/charges` nor `/v1/charges/`, which many servers read alike; and the glob that is nothing else is every path. The rest is
 * literal and compared byte by byte, letter case too.
 */
export interface PathGlob {
  /** A final `**` wants one segment that is not empty, and so stands behind a `*`, unless it is the whole glob. */
  readonly segments: readonly GlobSegment[];
  /** What nearly every glob is, compared as text: a path without a star, or (`below`) one such followed by a final `/**`. */
  readonly literal: string | null;
  readonly below: string | null;
}

/** The literal pieces between the stars, at least one; or `**`. Split once, since a path may be compared many times. */
type GlobSegment = readonly string[] | '**';

const maxGlobLength = 512;
/** Bounds the work for one segment of a path: a path of 50 KiB takes at most some 20 ms. */
const maxGlobSegments = 16;

/** Null where the text is no such glob, or one that no unambiguous path could match. */
export function findPathGlob(text: string): PathGlob | null {
  if (text.length > maxGlobLength || !/^\/[\x21-\x7e]*$/.test(text)) return null;
  if (/[?#]/.test(text) || findPathAmbiguity(text) !== null) return null;
  const segments = text.slice(1).split('/');
  if (segments.length > maxGlobSegments) return null;
  if (segments.some((segment) => segment.includes('**') && segment !== '**')) return null;
  const parts = segments.map((segment): GlobSegment => (segment === '**' ? segment : segment.split('*')));
  const stars = text.indexOf('*');
  const isBelow = parts.length > 1 && parts.at(-1) === '**';
  return {
    segments: isBelow ? [...parts.slice(0, -1), anySegment, '**'] : parts,
    literal: stars === -1 ? text : null,
    below: isBelow && stars === text.length - 2 ? text.slice(0, -2) : null,
  };
}

/** What nearly every path is: seen at one look, where the checks below take seven. */
const plainPath = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~!$&'()*+,=:@-]+)+\/?$/;

/**
 * Why servers could read this path differently from each other, or null. `path` as sent, without the query. Encoded dots
 * and slashes, empty and dot segments, and `;` are resolved by some servers before they route and by others never; a
 * second round of percent-encoding is undone by those that decode twice.
 */
export function findPathAmbiguity(path: string): string | null {
  // The policies of every level ask about the path of one request.
  if (path !== askedLast) {
    ambiguityLast = lookForAmbiguity(path);
    askedLast = path;
  }
  return ambiguityLast;
}

let askedLast = '';
let ambiguityLast: string | null = lookForAmbiguity(askedLast);

function lookForAmbiguity(path: string): string | null {
  if (plainPath.test(path)) return null;
  if (!/^\/[\x21-\x7e]*$/.test(path)) return 'it does not begin with a slash, or holds characters that need encoding';
  if (/[\\;#?]/.test(path)) return 'it holds a backslash, a semicolon, or the beginning of a query or fragment';
  if (path.includes('//')) return 'it holds an empty segment';
  if (/\/\.{1,2}(?:\/|$)/.test(path)) return 'it holds a dot segment';
  const delimiter = /%(?:[01][0-9a-f]|7f|2e|2f|5c|3b)/i.exec(path);
  if (delimiter !== null) return `it holds ${delimiter[0]}, an encoded delimiter or control character`;
  try {
    return /%[0-9a-f]{2}/i.test(decodeURIComponent(path)) ? 'it is percent-encoded twice' : null;
  } catch {
    return 'its percent-encoding is broken, or no UTF-8';
  }
}

/**
 * Whether the glob covers a path that is not ambiguous. Takes time in proportion to the length of the path: only the last
 * `**`, and within a segment only the last `*`, is ever tried again, and a glob has a bounded number of segments.
 */
export function matchesPath(glob: PathGlob, path: string): boolean {
  const { segments: wanted, literal, below } = glob;
  if (literal !== null) return path === literal;
  if (below !== null) return path.length > below.length && path.startsWith(below) && path[below.length] !== '/';
  if (wanted.length === 1 && wanted[0] === '**') return true;
  const segments = path.slice(1).split('/');
  let at = 0;
  let next = 0;
  let retryPattern = -1;
  let retryPath = -1;
  while (at < segments.length) {
    const one = wanted[next];
    if (one === '**') {
      retryPattern = ++next;
      retryPath = at;
    } else if (one !== undefined && matchesSegment(one, segments[at]!)) {
      at++;
      next++;
    } else if (retryPattern !== -1) {
      at = ++retryPath;
      next = retryPattern;
    } else return false;
  }
  while (wanted[next] === '**') next++;
  return next === wanted.length;
}

/** `*` */
const anySegment: GlobSegment = ['', ''];

/** The pieces are looked for from left to right; the leftmost place of each leaves most for the rest. */
function matchesSegment(pieces: readonly string[], segment: string): boolean {
  const first = pieces[0]!;
  if (pieces.length === 1) return segment === first;
  const last = pieces[pieces.length - 1]!;
  if (pieces.length === 2 && first === '' && last === '') return segment !== '';
  const end = segment.length - last.length;
  if (end < first.length || !segment.startsWith(first) || !segment.endsWith(last)) return false;
  let from = first.length;
  for (let index = 1; index < pieces.length - 1; index++) {
    const found = segment.indexOf(pieces[index]!, from);
    if (found === -1 || found + pieces[index]!.length > end) return false;
    from = found + pieces[index]!.length;
  }
  return true;
}
