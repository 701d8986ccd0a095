import { isIP } from 'node:net';

const maxNameLength = 253;

/** A DNS subdomain as RFC 1123 has it, in lower case. */
export function isKubernetesName(text: string): boolean {
  return text.length <= maxNameLength && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(text);
}

/** A key of a Secret or a ConfigMap, which is a file name where it is mounted. */
export function isDataKey(text: string): boolean {
  return text.length <= maxNameLength && /^[A-Za-z0-9_.-]+$/.test(text) && text !== '.' && text !== '..';
}

/** A host name (with a leading dot: all below it), an address or a range, as clients read `NO_PROXY`. */
export function isNoProxyEntry(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  if (isIP(address) !== 0) return rest.length === 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
  return isKubernetesName(text.replace(/^\*?\./, ''));
}
