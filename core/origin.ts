import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { AlterError } from './errors.ts';

/**
 * Where a request goes, in one canonical spelling. Everything that names a host (CONNECT target, SNI, Host, absolute
 * form, the dialled name, the audit record) goes through {@link parseHost}, so that two parts of the proxy can't
 * read one name differently.
 */
export interface Origin {
  readonly scheme: 'https' | 'http';
  /** Lower-case A-label, dotted IPv4, or IPv6 without brackets; no trailing dot. */
  readonly host: string;
  readonly kind: 'name' | 'ipv4' | 'ipv6';
  readonly port: number;
}

// Tested before letters are lowered: toLowerCase() turns U+212A (Kelvin sign) into `k`, a second spelling of a name.
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const looksNumeric = /^(?:\d+|0x[0-9a-f]*)$/;

/**
 * Refuses instead of repairing: no user info, no empty label, no underscore, no percent-encoding, no non-ASCII, no
 * number forms of IPv4 other than the dotted quad, no zone ids. Exactly one trailing dot is removed and letters are
 * lowered, since RFC 9110 section 4.2.3 makes those equal.
 *
 * Throws `request_malformed`.
 */
export function parseHost(text: string): Pick<Origin, 'host' | 'kind'> {
  if (text.startsWith('[')) {
    if (!text.endsWith(']')) throw malformedHost();
    return parseIpv6(text.slice(1, -1));
  }
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name.length === 0 || name.length > 253) throw malformedHost();
  for (const part of name.split('.')) if (!label.test(part)) throw malformedHost();
  const host = name.toLowerCase();
  if (looksNumeric.test(host.slice(host.lastIndexOf('.') + 1))) {
    // WHATWG URL and inet_aton read `127.1`, `0x7f.1` and `2130706433` as addresses; only the dotted quad is unambiguous.
    if (text.endsWith('.') || !isIPv4(host)) throw malformedHost();
    return { host, kind: 'ipv4' };
  }
  if (host.includes('xn--') && !isCanonicalALabel(host)) throw malformedHost();
  return { host, kind: 'name' };
}

function parseIpv6(text: string): Pick<Origin, 'host' | 'kind'> {
  if (!isIPv6(text) || text.includes('%')) throw malformedHost();
  return { host: new URL(`http://[${text}]/`).hostname.slice(1, -1), kind: 'ipv6' };
}

/**
 * An `xn--` label must be the very A-label that UTS #46 gives for its Unicode form; anything else is a second spelling
 * of a name to those who decode it. WHATWG URL no longer refuses labels that don't decode, it leaves them as they are.
 */
function isCanonicalALabel(host: string): boolean {
  const unicode = domainToUnicode(host);
  return !/(?:^|\.)xn--/.test(unicode) && domainToASCII(unicode) === host;
}

/**
 * `host:port`, `host`, `[v6]:port`. Without a port: `defaultPort`, or, where that is null (CONNECT, RFC 9110 section
 * 9.3.6), a refusal. Throws `request_malformed`.
 */
export function parseAuthority(text: string, scheme: Origin['scheme'], defaultPort: number | null): Origin {
  const split = /^(\[[^\]]*\]|[^:[\]]*)(?::(.*))?$/s.exec(text);
  if (split === null) throw malformedHost();
  const [, hostText = '', portText] = split;
  let port = defaultPort;
  if (portText !== undefined) {
    if (!/^[1-9]\d{0,4}$/.test(portText)) throw malformedHost();
    port = Number(portText);
  }
  if (port === null || port > 65_535) throw malformedHost();
  return { scheme, ...parseHost(hostText), port };
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAuthority(origin: Origin): string {
  return `${formatHost(origin)}:${origin.port}`;
}

/** As it stands in a Host header: the port is left out where it is the default of the scheme. */
export function formatHostHeader(origin: Origin): string {
  const isDefault = origin.port === (origin.scheme === 'https' ? 443 : 80);
  return isDefault ? formatHost(origin) : formatAuthority(origin);
}

function formatHost(origin: Pick<Origin, 'host' | 'kind'>): string {
  return origin.kind === 'ipv6' ? `[${origin.host}]` : origin.host;
}

export function sameAuthority(a: Origin, b: Origin): boolean {
  return a.host === b.host && a.port === b.port && a.kind === b.kind;
}

function malformedHost(): AlterError {
  return new AlterError('request_malformed', {
    detail: 'The host is not a plain DNS name, IPv4 or bracketed IPv6 address with an optional port.',
    hint: 'Write the host as its ASCII name, for example api.example.com or api.example.com:8443.',
  });
}
