import { type AddressSet, unmapIpv4 } from '../../core/address.ts';
import { AlterError } from '../../core/errors.ts';

/**
 * The client of a request that came from `peer`: where the peer is trusted and says so in `X-Forwarded-For`, the rightmost
 * address that is not itself a trusted hop. What stands to the left of that was written by the client, and is not read.
 * Where every hop is trusted, the first one is the client. `rawHeaders` are flat; addresses are in their plain form.
 *
 * Throws `request_malformed` where a trusted peer sends what can't be read.
 */
export function findClientAddress(rawHeaders: readonly string[], peer: string, trusted: AddressSet): string {
  if (!trusted.has(peer)) return peer;
  let client = peer;
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    if (!isForwardedFor(rawHeaders[i]!)) continue;
    const hops = rawHeaders[i + 1]!.split(',');
    for (let hop = hops.length - 1; hop >= 0; hop--) {
      client = parseHop(hops[hop]!.trim());
      if (!trusted.has(client)) return client;
    }
  }
  return client;
}

/** What a trusted hop said was said to this proxy: the upstream learns no inner addresses from it. */
export function withoutForwardedFor(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (!isForwardedFor(rawHeaders[i]!)) kept.push(rawHeaders[i]!, rawHeaders[i + 1]!);
  return kept;
}

function isForwardedFor(name: string): boolean {
  return name.length === 15 && name.toLowerCase() === 'x-forwarded-for';
}

/** An address, with a port behind it where the hop writes one: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`. */
function parseHop(text: string): string {
  const [, bracketed, ipv4] = /^(?:\[([^[\]]{2,45})\](?::\d{1,5})?|([\d.]{7,15}):\d{1,5})$/.exec(text) ?? [];
  const address =
    bracketed === undefined ? unmapIpv4(ipv4 ?? text) : bracketed.includes(':') ? unmapIpv4(bracketed) : null;
  if (address !== null) return address;
  throw new AlterError('request_malformed', {
    detail: 'X-Forwarded-For, of a proxy in front that is trusted to set it, holds something that is no address.',
    hint: 'Let the proxy in front append the address of its client, or take it out of ALTER_FORWARDED_FOR_FROM.',
  });
}
