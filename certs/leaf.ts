import type { KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { Origin } from '../core/origin.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  encodeName,
  keyIdentifierOf,
  keyUsage,
  randomSerial,
  serverAuthentication,
  signCertificate,
  subjectAltName,
  subjectKeyIdentifier,
} from './certificate.ts';

const hourMs = 3_600_000;

/** Clients whose clock is behind ours by less than this accept a leaf that was just made. */
const backdatedMs = hourMs;

/** From notBefore to notAfter. Short, because a leaf can't be revoked. */
export const leafLifeMs = 7 * 24 * hourMs;

/** Longer common names are cut or refused by clients (X.520 allows 64); the SAN is what they compare. */
const longestCommonName = 63;

/** Who signs a leaf. Times in milliseconds since the epoch. */
export interface LeafIssuer {
  readonly subject: Uint8Array;
  readonly keyIdentifier: Uint8Array;
  readonly privateKey: KeyObject;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface LeafOrder {
  readonly host: Pick<Origin, 'host' | 'kind'>;
  readonly publicKey: KeyObject;
  readonly issuer: LeafIssuer;
  readonly now: number;
}

/** A server certificate for exactly this host, as DER, and when it ends (milliseconds since the epoch). */
export function signLeaf({ host, publicKey, issuer, now }: LeafOrder): { certificate: Buffer; notAfter: number } {
  // Java refuses a certificate that begins before its issuer does; clients agree that it must not outlive it.
  const notBefore = Math.max(now - backdatedMs, issuer.notBefore);
  const notAfter = Math.min(notBefore + leafLifeMs, issuer.notAfter);
  const hasCommonName = host.host.length <= longestCommonName;
  const name = host.kind === 'name' ? { dns: host.host } : { address: addressBytes(host.host) };
  const certificate = signCertificate(
    {
      serial: randomSerial(),
      issuer: issuer.subject,
      subject: encodeName(hasCommonName ? host.host : null),
      notBefore,
      notAfter,
      publicKey,
      extensions: [
        basicConstraints({ isAuthority: false }),
        keyUsage('digitalSignature'),
        serverAuthentication(),
        subjectAltName(name, !hasCommonName),
        subjectKeyIdentifier(keyIdentifierOf(publicKey)),
        authorityKeyIdentifier(issuer.keyIdentifier),
      ],
    },
    issuer.privateKey,
  );
  return { certificate, notAfter };
}

/** The 4 or 16 octets of a canonical address: dotted quad, or IPv6 as WHATWG URL writes it (no embedded dotted quad). */
function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const gap = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return Buffer.from([...left, ...gap, ...right].flatMap((group) => [group >> 8, group & 0xff]));
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}
