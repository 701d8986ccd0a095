import type { X509Certificate } from 'node:crypto';

/** What a certificate that is signed below this one must repeat of it. */
export interface Issuer {
  /** The subject as DER, byte for byte: a name that is spelled with another string type does not chain in every client. */
  readonly subject: Buffer;
  /** The subject key identifier, or null where the certificate has none. */
  readonly keyIdentifier: Buffer | null;
}

interface Element {
  readonly tag: number;
  readonly body: Buffer;
  /** Tag and length included. */
  readonly whole: Buffer;
}

const subjectKeyIdentifierOid = Buffer.from([0x55, 0x1d, 0x0e]);
const versionTag = 0xa0;
const extensionsTag = 0xa3;

/**
 * node:crypto parses and judges the certificate, but does not hand out these two fields as bytes. This only finds their
 * place; X509Certificate refused already whatever is not a well-formed certificate.
 */
export function issuerOf(certificate: X509Certificate): Issuer {
  const tbs = childrenOf(childrenOf(childrenOf(certificate.raw)[0]!.body)[0]!.body);
  // version?, serial, signature, issuer, validity, subject, …
  const subject = tbs[tbs[0]!.tag === versionTag ? 5 : 4]!.whole;
  const extensions = tbs.find((field) => field.tag === extensionsTag);
  return { subject, keyIdentifier: extensions === undefined ? null : findKeyIdentifier(extensions) };
}

function findKeyIdentifier(extensions: Element): Buffer | null {
  for (const extension of childrenOf(childrenOf(extensions.body)[0]!.body)) {
    const parts = childrenOf(extension.body);
    if (parts[0]!.body.equals(subjectKeyIdentifierOid)) return childrenOf(parts.at(-1)!.body)[0]!.body;
  }
  return null;
}

function childrenOf(der: Buffer): Element[] {
  const elements: Element[] = [];
  let offset = 0;
  while (offset < der.length) {
    let length = der[offset + 1]!;
    let start = offset + 2;
    if (length >= 0x80) {
      const octets = length - 0x80;
      length = der.readUIntBE(start, octets);
      start += octets;
    }
    elements.push({
      tag: der[offset]!,
      body: der.subarray(start, start + length),
      whole: der.subarray(offset, start + length),
    });
    offset = start + length;
  }
  return elements;
}
