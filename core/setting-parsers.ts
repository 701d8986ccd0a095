import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { type AddressRange, findAddressRange } from './address.ts';
import { type AppKey, findAppKey } from './app-key.ts';
import { findKmsLocation, type KmsLocation, kmsUrlForms } from './kms-location.ts';
import { isKubernetesName, isNoProxyEntry } from './kubernetes-name.ts';
import { parseHost } from './origin.ts';
import { findStoreDurability, readRedisUrl, redisUrlForms, type StoreDurability } from './store-location.ts';

/*
 * What the text of a setting may be. Each parser gives the value, or says what is wrong in words that follow the name of the setting.
 */

/** What a parser makes of the text of a setting. A problem never quotes the value of a secret one. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };

export interface ListenAddress {
  /** Without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export type StoreLocation =
  | { readonly kind: 'sqlite'; readonly path: string }
  /** As `readRedisUrl` reads it, with the ACL user and password in it. */
  | { readonly kind: 'redis'; readonly url: string };

export function oneOf<const T extends string>(...choices: readonly T[]): (text: string) => Parsed<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    return value === undefined ? { problem: `must be one of ${choices.join(', ')}, not ${quote(text)}` } : { value };
  };
}

export function integer({ min, max }: { min: number; max: number }): (text: string) => Parsed<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return { value };
    return { problem: `must be a whole number from ${min} to ${max}, not ${quote(text)}` };
  };
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** `250ms`, `5s`, `10m`, `1h`; in milliseconds. */
export function duration({ minMs, maxMs }: { minMs: number; maxMs: number }): (text: string) => Parsed<number> {
  return (text) => {
    const match = /^(\d{1,12})(ms|s|m|h)$/.exec(text);
    if (match === null) return { problem: `must be a duration such as 250ms, 5s, 10m or 1h, not ${quote(text)}` };
    const value = Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
    if (value >= minMs && value <= maxMs) return { value };
    return { problem: `must be from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, not ${quote(text)}` };
  };
}

/** `12h`, `90d`; in milliseconds. */
export function parseAge(text: string): Parsed<number> {
  const match = /^(\d{1,5})(h|d)$/.exec(text);
  const value = match === null ? 0 : Number(match[1]) * (match[2] === 'h' ? 1 : 24) * unitMs.h;
  if (value > 0) return { value };
  return { problem: `must be an age such as 12h or 90d, not ${quote(text)}` };
}

function formatDuration(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const)
    if (ms > 0 && ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`;
  return ms === 0 ? '0s' : `${ms}ms`;
}

export function parseStoreUrl(text: string): Parsed<StoreLocation> {
  if (/^sqlite:/i.test(text)) {
    const path = text.slice('sqlite:'.length);
    // `sqlite:///x` is relative in some programs and absolute in others, and a store in memory forgets revocations.
    if (path === '' || path.startsWith('//') || path.startsWith(':') || path.includes('\0'))
      return { problem: 'must be sqlite:PATH; a PATH is a file, such as sqlite:/var/lib/alter/alter.db' };
    return { value: { kind: 'sqlite', path } };
  }
  if (!/^rediss?(?:\+|:)/i.test(text)) return { problem: `must be sqlite:PATH, ${redisUrlForms}` };
  const read = readRedisUrl(text);
  return 'problems' in read ? { problem: read.problems.join('; ') } : { value: { kind: 'redis', url: text } };
}

export function parseStoreDurability(text: string): Parsed<StoreDurability> {
  const value = findStoreDurability(text);
  return value === null
    ? {
        problem: `must be server or wait:N:MS, such as wait:1:500, with N from 1 and MS from 10 to 5000, not ${quote(text)}`,
      }
    : { value };
}

export function parseSentinelAuth(
  text: string,
): Parsed<{ readonly username: string | null; readonly password: string }> {
  const colon = text.indexOf(':');
  const [username, password] = colon === -1 ? [null, text] : [text.slice(0, colon), text.slice(colon + 1)];
  return password === ''
    ? { problem: 'has a user without a password' }
    : { value: { username: username || null, password } };
}

export function parseRootKey(text: string): Parsed<Buffer> {
  const value = Buffer.from(text, 'base64');
  if (value.length === 32 && value.toString('base64') === text) return { value };
  return { problem: 'must be 32 bytes in base64 (44 characters): make one with `openssl rand -base64 32`' };
}

export function parseKmsUrl(text: string): Parsed<KmsLocation> {
  const value = findKmsLocation(text);
  return value === null ? { problem: `must be ${kmsUrlForms}` } : { value };
}

export function word(form: RegExp, wanted: string): (text: string) => Parsed<string> {
  return (text) => (form.test(text) ? { value: text } : { problem: `must be ${wanted}` });
}

export function parseAppKey(text: string): Parsed<AppKey> {
  const value = findAppKey(text);
  return value === null ? { problem: 'must be an app key as `alter apps sidecar-credentials` prints it' } : { value };
}

export function parseListen(text: string): Parsed<ListenAddress> {
  const wanted = { problem: `must be host:port or [IPv6]:port with a port from 0 to 65535, not ${quote(text)}` };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text);
  if (match === null || Number(match[3]) > 65_535) return wanted;
  const [, ipv6, host = '', port] = match;
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { value: { host: ipv6, port: Number(port) } } : wanted;
  const canonical = findHost(host);
  return canonical === null ? wanted : { value: { host: canonical.host, port: Number(port) } };
}

export function parseHostNames(text: string): Parsed<readonly string[]> {
  const hosts: string[] = [];
  for (const item of splitList(text)) {
    const canonical = findHost(item);
    if (canonical === null) return { problem: `${quote(item)} is not a host name (without a port, joined by commas)` };
    hosts.push(canonical.host);
  }
  return { value: hosts };
}

export function parseAddressRanges(text: string): Parsed<readonly AddressRange[]> {
  const ranges: AddressRange[] = [];
  for (const item of splitList(text)) {
    const range = findAddressRange(item);
    if (range === null)
      return { problem: `${quote(item)} is not an address range such as 10.0.0.0/8, 127.0.0.1:8443 or [fd00::1]:443` };
    ranges.push(range);
  }
  return { value: ranges };
}

/** Ranges of peers: a port would be that of the peer, which says nothing. */
export function parseCidrs(text: string): Parsed<readonly AddressRange[]> {
  const parsed = parseAddressRanges(text);
  if ('value' in parsed && parsed.value.every((range) => range.port === null)) return parsed;
  return { problem: `${quote(text)} must be address ranges such as 10.0.0.0/8 or fd00::/8, joined by commas` };
}

export function parseWorkers(text: string): Parsed<number | 'auto'> {
  if (text === 'auto') return { value: text };
  const parsed = integer({ min: 1, max: 256 })(text);
  return 'value' in parsed ? parsed : { problem: `${parsed.problem}; or auto` };
}

export function parseHostsTable(text: string): Parsed<ReadonlyMap<string, string>> {
  const table = new Map<string, string>();
  for (const item of splitList(text)) {
    const [name = '', address = '', ...rest] = item.split('=');
    const canonical = findHost(name);
    if (
      rest.length > 0 ||
      canonical?.kind !== 'name' ||
      !(isIPv4(address) || (isIPv6(address) && !address.includes('%')))
    )
      return { problem: `${quote(item)} is not name=address, such as api.example.com=10.1.2.3` };
    if (table.has(canonical.host)) return { problem: `${quote(canonical.host)} is there twice` };
    table.set(canonical.host, address);
  }
  return { value: table };
}

export function parseAuthorityCertificate(text: string): Parsed<string> {
  const certificates = findCertificates(text);
  if (certificates?.length !== 1) return { problem: 'must be one PEM certificate' };
  if (!certificates[0]!.ca) return { problem: 'is not the certificate of an authority (basicConstraints CA:TRUE)' };
  return { value: text };
}

export function parseCertificates(text: string): Parsed<string> {
  return findCertificates(text) === null
    ? { problem: 'must be PEM certificates, one after the other' }
    : { value: text };
}

/** Null where the text holds no certificate, or one that can't be read. */
function findCertificates(pem: string): X509Certificate[] | null {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null || blocks.length !== pem.split('-----BEGIN').length - 1) return null;
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return null;
  }
}

export function parsePrivateKey(text: string): Parsed<string> {
  try {
    const type = createPrivateKey(text).asymmetricKeyType;
    if (type === 'ec' || type === 'rsa') return { value: text };
    return { problem: 'must be an EC (P-256) or RSA key' };
  } catch {
    return { problem: 'must be an unencrypted private key in PEM' };
  }
}

export function parsePath(text: string): Parsed<string> {
  return text.includes('\0') ? { problem: 'is not a path' } : { value: text };
}

/** A DNS subdomain, which is what Kubernetes wants of the names of its objects. */
export function parseKubernetesName(text: string): Parsed<string> {
  return isKubernetesName(text)
    ? { value: text }
    : { problem: `${quote(text)} is not the name of a Kubernetes object` };
}

export function parseNamespacedName(text: string): Parsed<{ readonly namespace: string; readonly name: string }> {
  const [namespace = '', name = '', ...rest] = text.split('/');
  if (rest.length === 0 && isKubernetesName(namespace) && isKubernetesName(name)) return { value: { namespace, name } };
  return { problem: `${quote(text)} is not NAMESPACE/NAME` };
}

export function parseServiceName(text: string): Parsed<string> {
  const fits = /^[^.]+\.[^.]+\.svc$/.test(text) && isKubernetesName(text);
  return fits ? { value: text } : { problem: `${quote(text)} is not NAME.NAMESPACE.svc` };
}

export function parseImage(text: string): Parsed<string> {
  return /^[A-Za-z0-9][\w.\-/:@]{0,1023}$/.test(text) ? { value: text } : { problem: `${quote(text)} is not an image` };
}

export function parseNoProxy(text: string): Parsed<readonly string[]> {
  const entries = splitList(text);
  const wrong = entries.find((entry) => !isNoProxyEntry(entry));
  return wrong === undefined ? { value: entries } : { problem: `${quote(wrong)} is not a name, address or range` };
}

/** `parts` is all that a proxy URL may have: the key and the user belong to each workload. */
export function parseGateway(text: string): Parsed<string> {
  const parts = /^https?:\/\/(?:\[[0-9a-f:]+\]|[a-z0-9.-]+):\d{1,5}$/.exec(text);
  return parts !== null && URL.canParse(text)
    ? { value: text }
    : { problem: 'must be http://HOST:PORT or https://HOST:PORT' };
}

type Quantities = Readonly<Record<string, Readonly<Record<string, string | number>>>>;

export function parseResources(text: string): Parsed<Quantities> {
  const value = findJsonObject(text);
  const fits =
    value !== null &&
    Object.entries(value).every(
      ([kind, amounts]) =>
        (kind === 'requests' || kind === 'limits') &&
        isRecord(amounts) &&
        Object.values(amounts).every(
          (amount) => typeof amount === 'number' || (typeof amount === 'string' && /^\d[\w.]{0,30}$/.test(amount)),
        ),
    );
  return fits
    ? { value: value as Quantities }
    : { problem: 'must be JSON such as {"requests":{"cpu":"50m"},"limits":{"memory":"256Mi"}}' };
}

export function findJsonObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function splitList(text: string): string[] {
  return text === '' ? [] : text.split(',').map((item) => item.trim());
}

function findHost(text: string): ReturnType<typeof parseHost> | null {
  try {
    return parseHost(text);
  } catch {
    return null;
  }
}

export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
