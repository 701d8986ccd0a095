import { AlterError } from './errors.ts';
import { formatAuthority, type Origin, parseAuthority } from './origin.ts';

/**
 * One entry of a secret's allowed hosts: `api.stripe.com`, `*.stripe.com` (any depth below, never the apex), each with an
 * optional `:port` (default 443).
 */
export interface HostPattern {
  readonly wildcard: boolean;
  /** The exact host, or what stands after `*.`. */
  readonly host: string;
  readonly kind: Origin['kind'];
  readonly port: number;
}

/** Throws `validation_failed` with a message that names the pattern. */
export function parseHostPattern(text: string): HostPattern {
  const wildcard = text.startsWith('*.');
  const rest = wildcard ? text.slice(2) : text;
  if (rest.includes('*')) throw invalid(text, 'the only wildcard is a leading "*."');
  let origin: Origin;
  try {
    origin = parseAuthority(rest, 'https', 443);
  } catch {
    throw invalid(
      text,
      'it must be a plain host name with an optional port, such as api.example.com or *.example.com:8443',
    );
  }
  if (rest.replace(/:\d+$/, '').endsWith('.')) throw invalid(text, 'write it without the trailing dot');
  if (wildcard && origin.kind !== 'name') throw invalid(text, 'an address takes no wildcard');
  if (wildcard && !origin.host.includes('.'))
    throw invalid(text, 'a wildcard over a whole top-level domain is too wide');
  return { wildcard, host: origin.host, kind: origin.kind, port: origin.port };
}

/** The canonical spelling: default port left out. */
export function formatHostPattern(pattern: HostPattern): string {
  const full = formatAuthority({ scheme: 'https', ...pattern });
  return (pattern.wildcard ? '*.' : '') + (pattern.port === 443 ? full.slice(0, -4) : full);
}

export function matchesHost(pattern: HostPattern, origin: Origin): boolean {
  if (pattern.port !== origin.port) return false;
  if (!pattern.wildcard) return pattern.host === origin.host && pattern.kind === origin.kind;
  return (
    origin.kind === 'name' && origin.host.length > pattern.host.length + 1 && origin.host.endsWith(`.${pattern.host}`)
  );
}

/** Whether one of a secret's allowed hosts, as they are stored, is this origin. One that can't be read allows nothing. */
export function someAllows(patterns: readonly string[], origin: Origin): boolean {
  for (const pattern of readPatterns(patterns)) if (matchesHost(pattern, origin)) return true;
  return false;
}

/** By the list of the record in memory, which every change replaces: reading a pattern costs far more than asking it. */
const read = new WeakMap<readonly string[], readonly HostPattern[]>();

function readPatterns(patterns: readonly string[]): readonly HostPattern[] {
  const known = read.get(patterns);
  if (known !== undefined) return known;
  const found: HostPattern[] = [];
  for (const text of patterns) {
    try {
      found.push(parseHostPattern(text));
    } catch {
      // Left out.
    }
  }
  read.set(patterns, found);
  return found;
}

/** Every pattern, in canonical spelling, that could allow this origin: what an index of patterns is asked for. */
export function patternsThatAllow(origin: Origin): string[] {
  const port = origin.port;
  const patterns = [formatHostPattern({ wildcard: false, host: origin.host, kind: origin.kind, port })];
  if (origin.kind === 'name') {
    for (let dot = origin.host.indexOf('.'); dot !== -1; dot = origin.host.indexOf('.', dot + 1)) {
      const host = origin.host.slice(dot + 1);
      if (host.includes('.')) patterns.push(formatHostPattern({ wildcard: true, host, kind: 'name', port }));
    }
  }
  return patterns;
}

function invalid(text: string, why: string): AlterError {
  return new AlterError('validation_failed', {
    detail: `"${text.slice(0, 100)}" is not a host that can be allowed: ${why}.`,
    problems: [{ field: 'allowed_hosts', message: `"${text.slice(0, 100)}": ${why}` }],
  });
}
