import { BlockList, isIPv4, isIPv6 } from 'node:net';

/**
 * Addresses that must not be dialled: IANA's special-purpose registries (RFC 6890 and its updates), multicast, and the
 * IPv6 forms that carry an IPv4 address, which would otherwise be a second spelling of a forbidden one.
 */
const forbiddenRanges: readonly (readonly [address: string, prefix: number, family: 'ipv4' | 'ipv6', name: string])[] =
  [
    ['0.0.0.0', 8, 'ipv4', 'this network'],
    ['10.0.0.0', 8, 'ipv4', 'private'],
    ['100.64.0.0', 10, 'ipv4', 'carrier-grade NAT'],
    ['127.0.0.0', 8, 'ipv4', 'loopback'],
    ['169.254.0.0', 16, 'ipv4', 'link-local'],
    ['172.16.0.0', 12, 'ipv4', 'private'],
    ['192.0.0.0', 24, 'ipv4', 'IETF protocol assignments'],
    ['192.0.2.0', 24, 'ipv4', 'documentation'],
    ['192.88.99.0', 24, 'ipv4', '6to4 relay'],
    ['192.168.0.0', 16, 'ipv4', 'private'],
    ['198.18.0.0', 15, 'ipv4', 'benchmarking'],
    ['198.51.100.0', 24, 'ipv4', 'documentation'],
    ['203.0.113.0', 24, 'ipv4', 'documentation'],
    ['224.0.0.0', 4, 'ipv4', 'multicast'],
    ['240.0.0.0', 4, 'ipv4', 'reserved'],
    ['::', 128, 'ipv6', 'unspecified'],
    ['::1', 128, 'ipv6', 'loopback'],
    ['::', 96, 'ipv6', 'IPv4-compatible'],
    ['::ffff:0:0:0', 96, 'ipv6', 'IPv4-translated'],
    ['64:ff9b::', 96, 'ipv6', 'NAT64'],
    ['64:ff9b:1::', 48, 'ipv6', 'NAT64'],
    ['100::', 64, 'ipv6', 'discard-only'],
    ['2001::', 23, 'ipv6', 'IETF protocol assignments'],
    ['2001:db8::', 32, 'ipv6', 'documentation'],
    ['2002::', 16, 'ipv6', '6to4'],
    ['3fff::', 20, 'ipv6', 'documentation'],
    ['5f00::', 16, 'ipv6', 'segment routing'],
    ['fc00::', 7, 'ipv6', 'unique local'],
    ['fe80::', 10, 'ipv6', 'link-local'],
    ['fec0::', 10, 'ipv6', 'site-local'],
    ['ff00::', 8, 'ipv6', 'multicast'],
  ];

const lists = forbiddenRanges.map(([address, prefix, family, name]) => {
  const list = new BlockList();
  list.addSubnet(address, prefix, family);
  return { list, family, name };
});

/** The name of the forbidden range that holds this address, or null where it is an ordinary public one. */
export function findForbiddenRange(address: string): string | null {
  const plain = unmapIpv4(address);
  if (plain === null) return 'not an address';
  const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
  for (const entry of lists) if (entry.family === family && entry.list.check(plain, family)) return entry.name;
  return null;
}

/** `::ffff:a.b.c.d` in any spelling is the IPv4 address that it carries. Null for what is no address, or has a zone. */
export function unmapIpv4(address: string): string | null {
  if (isIPv4(address)) return address;
  if (!isIPv6(address) || address.includes('%')) return null;
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (mapped === null) return canonical;
  const high = Number.parseInt(mapped[1]!, 16);
  const low = Number.parseInt(mapped[2]!, 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** A CIDR with an optional port: `10.0.0.0/8`, `127.0.0.1:8443`, `[::1]:8443`, `fd00::/8`. */
export interface AddressRange {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
  readonly port: number | null;
}

/**
 * Null where the text is no such range. Host bits are allowed, as in `ip route`; they are ignored. A port behind an IPv6
 * address needs brackets or a prefix, since `::1:8443` is an address by itself. IPv4 is written as IPv4: a range inside
 * `::ffff:0:0/96` would never match, because addresses are unmapped before they are looked up.
 */
export function findAddressRange(text: string): AddressRange | null {
  const match = /^(?:\[([^[\]]+)\]|([^[\]/]+?))(?:\/(0|[1-9]\d{0,2}))?(?::([1-9]\d{0,4}))?$/.exec(text);
  if (match === null) return null;
  const [, bracketed, bare = '', prefixText, portText] = match;
  let address = bracketed ?? bare;
  let portDigits = portText;
  if (bracketed === undefined && prefixText === undefined && address.includes(':')) {
    address = text; // an unbracketed IPv6 address: its last group is no port
    portDigits = undefined;
  }
  const family = findFamily(address);
  if (family === null || (bracketed !== undefined && family === 'ipv4')) return null;
  const bits = family === 'ipv4' ? 32 : 128;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  const port = portDigits === undefined ? null : Number(portDigits);
  if (prefix > bits || (port !== null && port > 65_535)) return null;
  return { address, prefix, family, port };
}

/** Null for what is no address, has a zone, or is an IPv4 address in the clothes of IPv6. */
function findFamily(address: string): AddressRange['family'] | null {
  const plain = unmapIpv4(address);
  if (plain === null) return null;
  if (isIPv4(address)) return 'ipv4';
  return isIPv4(plain) ? null : 'ipv6';
}

/** A set of ranges; empty holds nothing. */
export class AddressSet {
  readonly #entries: readonly { list: BlockList; family: 'ipv4' | 'ipv6'; port: number | null }[];
  /** The last question and its answer: a client asks the same one with every request. */
  #lastAddress: string | null = null;
  #lastPort: number | undefined;
  #lastAnswer = false;

  constructor(ranges: readonly AddressRange[]) {
    this.#entries = ranges.map(({ address, prefix, family, port }) => {
      const list = new BlockList();
      list.addSubnet(address, prefix, family);
      return { list, family, port };
    });
  }

  has(address: string, port?: number): boolean {
    if (this.#entries.length === 0) return false;
    if (address !== this.#lastAddress || port !== this.#lastPort) {
      this.#lastAnswer = this.#find(address, port);
      this.#lastAddress = address;
      this.#lastPort = port;
    }
    return this.#lastAnswer;
  }

  #find(address: string, port?: number): boolean {
    const plain = unmapIpv4(address);
    if (plain === null) return false;
    const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
    return this.#entries.some(
      (entry) =>
        entry.family === family && (entry.port === null || entry.port === port) && entry.list.check(plain, family),
    );
  }
}
