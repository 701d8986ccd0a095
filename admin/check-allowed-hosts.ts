import { parse } from 'tldts';
import { type AddressSet, findForbiddenRange } from '../core/address.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import { formatHostPattern, type HostPattern, parseHostPattern } from '../core/host-pattern.ts';

/** Suffixes that only an inner network resolves: a wildcard over one hands the credential to every service of the cluster. */
const innerSuffixes = ['svc', 'cluster.local', 'local', 'internal'];

/**
 * Every host in canonical spelling, each once, and every problem of those that must not receive a credential. This guards
 * against mistakes at the moment of writing; the proxy classifies the resolved address again on every connection.
 */
export function checkAllowedHosts(
  hosts: readonly string[],
  of: { field: string; allowAddresses: AddressSet },
): { readonly hosts: readonly string[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const canonical = new Set<string>();
  hosts.forEach((text, index) => {
    const field = `${of.field}[${index}]`;
    try {
      const pattern = parseHostPattern(text);
      const objection = findObjection(pattern, of.allowAddresses);
      if (objection === null) canonical.add(formatHostPattern(pattern));
      else problems.push({ field, message: objection });
    } catch (error) {
      if (!(error instanceof AlterError)) throw error;
      problems.push({ field, message: error.problems?.[0]?.message ?? 'is not a host that can be allowed' });
    }
  });
  return { hosts: [...canonical], problems };
}

function findObjection(pattern: HostPattern, allowAddresses: AddressSet): string | null {
  const { host, port } = pattern;
  if (pattern.kind !== 'name') {
    const range = findForbiddenRange(host);
    if (range === null || allowAddresses.has(host, port)) return null;
    return `is an address that must not be dialled (${range}); ALTER_ALLOW_ADDRESSES can allow it`;
  }
  if (host === 'localhost' || host.endsWith('.localhost')) {
    if (allowAddresses.has('127.0.0.1', port) || allowAddresses.has('::1', port)) return null;
    return 'is the machine of the proxy itself; ALTER_ALLOW_ADDRESSES can allow 127.0.0.1 or ::1 with this port';
  }
  if (!host.includes('.')) return 'is a single label, which resolves differently from one network to the next';
  if (!pattern.wildcard) return null;
  if (innerSuffixes.some((suffix) => host === suffix || host.endsWith(`.${suffix}`)))
    return 'is a wildcard over names of an inner network; name each host';
  const { publicSuffix, isIcann } = parse(host, { allowPrivateDomains: false });
  if (isIcann === true && publicSuffix === host)
    return 'is a wildcard over a public suffix, where anybody can register a name';
  return null;
}
