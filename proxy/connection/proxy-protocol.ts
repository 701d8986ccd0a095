import { isIPv4, isIPv6 } from 'node:net';

/** Where a load balancer says that a connection comes from. */
export type ProxyHeader =
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed' }
  /** `source` is null where the balancer speaks for itself (health checks), or knows no address. */
  | { readonly kind: 'read'; readonly source: string | null; readonly bytes: number };

const incomplete: ProxyHeader = { kind: 'incomplete' };
const malformed: ProxyHeader = { kind: 'malformed' };

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const v1Start = Buffer.from('PROXY ', 'latin1');
const v1MaxBytes = 107;
const v2FixedBytes = 16;
/** The addresses and some extensions; the specification allows 64 KiB, which nobody sends. */
const v2MaxRestBytes = 4_096;
const v2AddressBytes: Readonly<Record<number, number>> = { 1: 12, 2: 36 };

/**
 * Reads the PROXY protocol header, version 1 or 2, at the start of what a connection sent so far. Nothing is guessed:
 * bytes that can't become a header any more are malformed at once.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, signature)) return bytes.length < v2FixedBytes ? incomplete : readVersion2(bytes);
  if (startsLike(bytes, v1Start)) return readVersion1(bytes);
  return malformed;
}

/** Whether `bytes` agree with `start` as far as both go. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function readVersion1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, v1MaxBytes).indexOf('\r\n', 0, 'latin1');
  if (end === -1) return bytes.length >= v1MaxBytes ? malformed : incomplete;
  const line = bytes.toString('latin1', 0, end);
  const read = end + 2;
  // Whatever stands behind UNKNOWN must be ignored, up to the end of the line.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { kind: 'read', source: null, bytes: read };
  const [, family, source = '', destination = '', ...ports] = line.split(' ');
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIpv6 : null;
  if (isAddress === null || !isAddress(source) || !isAddress(destination)) return malformed;
  if (ports.length !== 2 || !ports.every(isPort)) return malformed;
  return { kind: 'read', source, bytes: read };
}

function readVersion2(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes[12]!;
  const family = bytes[13]! >> 4;
  const transport = bytes[13]! & 15;
  const restBytes = bytes.readUInt16BE(14);
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return malformed;
  if (family > 3 || transport > 2 || restBytes > v2MaxRestBytes) return malformed;
  const end = v2FixedBytes + restBytes;
  if (bytes.length < end) return incomplete;
  if (versionAndCommand === 0x20) return { kind: 'read', source: null, bytes: end }; // LOCAL: the rest means nothing
  if (family === 0 && transport === 0) return { kind: 'read', source: null, bytes: end };
  const addressBytes = v2AddressBytes[family];
  if (addressBytes === undefined || transport !== 1 || restBytes < addressBytes) return malformed; // no TCP over IP
  const rest = bytes.subarray(v2FixedBytes, end);
  if (!areExtensions(rest.subarray(addressBytes))) return malformed;
  return { kind: 'read', source: family === 1 ? formatIpv4(rest) : formatIpv6(rest), bytes: end };
}

/** Type, length and value, one after the other, to exactly the end. */
function areExtensions(bytes: Buffer): boolean {
  let at = 0;
  while (at < bytes.length) {
    if (at + 3 > bytes.length) return false;
    at += 3 + bytes.readUInt16BE(at + 1);
  }
  return at === bytes.length;
}

function formatIpv4(bytes: Buffer): string {
  return bytes.subarray(0, 4).join('.');
}

function formatIpv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(group * 2).toString(16));
  return groups.join(':');
}

/** A zone would name an interface of another machine. */
function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}
