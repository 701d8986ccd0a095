import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import type forge from 'node-forge';
// Not the whole of node-forge: its ciphers and parsers are 30 ms of loading that nobody here has a use for.
import asn1 from 'node-forge/lib/asn1.js';

/** What stands in a certificate; {@link signCertificate} gives it its form. Times in milliseconds since the epoch. */
export interface CertificateContent {
  readonly serial: Uint8Array;
  /** Names as DER: an issuer must be repeated byte for byte, whatever string types its maker chose. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly publicKey: KeyObject;
  readonly extensions: readonly forge.asn1.Asn1[];
}

const { BITSTRING, BOOLEAN, GENERALIZEDTIME, INTEGER, NULL, OCTETSTRING, OID, SEQUENCE, SET, UTCTIME, UTF8 } =
  asn1.Type;

const oids = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  sha256WithRsaEncryption: '1.2.840.113549.1.1.11',
} as const;

/** The bits of KeyUsage (RFC 5280, section 4.2.1.3) that are used here: the value of the last octet and its unused bits. */
const keyUsages = {
  digitalSignature: { octet: 0x80, unused: 7 },
  certificateAndCrlSign: { octet: 0x06, unused: 1 },
} as const;

/** The certificate as DER, signed by the issuer's key: ECDSA or RSA (PKCS #1 v1.5), with SHA-256. */
export function signCertificate(content: CertificateContent, issuerKey: KeyObject): Buffer {
  const algorithm = signatureAlgorithm(issuerKey);
  const tbs = sequence(
    tagged(0, true, [leaf(INTEGER, asn1.integerToDer(2).getBytes())]),
    leaf(INTEGER, binary(content.serial)),
    algorithm,
    fromDer(content.issuer),
    sequence(time(content.notBefore), time(content.notAfter)),
    fromDer(content.subject),
    fromDer(spkiOf(content.publicKey)),
    tagged(3, true, [sequence(...content.extensions)]),
  );
  const signature = sign('sha256', encode(tbs), issuerKey);
  return encode(sequence(tbs, algorithm, bitString(signature, 0)));
}

export function toPem(certificateDer: Uint8Array): string {
  const lines =
    Buffer.from(certificateDer)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** 126 random bits in 16 octets: always positive, and never with a leading zero octet that DER would forbid. */
export function randomSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial;
}

/** RFC 7093, section 2, method 4 with SHA-256, cut to the usual 160 bits: needs no SHA-1, which FIPS builds refuse. */
export function keyIdentifierOf(publicKey: KeyObject): Buffer {
  return createHash('sha256').update(spkiOf(publicKey)).digest().subarray(0, 20);
}

/** A distinguished name of one common name, or the empty name. */
export function encodeName(commonName: string | null): Buffer {
  if (commonName === null) return encode(sequence());
  const text = leaf(UTF8, binary(Buffer.from(commonName, 'utf8')));
  return encode(sequence(node(SET, [sequence(oid(oids.commonName), text)])));
}

export function basicConstraints(of: { readonly isAuthority: boolean }): forge.asn1.Asn1 {
  // DER leaves out a default, and FALSE is the default of cA.
  const value = of.isAuthority
    ? sequence(leaf(BOOLEAN, '\xff'), leaf(INTEGER, asn1.integerToDer(0).getBytes()))
    : sequence();
  return extension(oids.basicConstraints, true, value);
}

export function keyUsage(usage: keyof typeof keyUsages): forge.asn1.Asn1 {
  const { octet, unused } = keyUsages[usage];
  return extension(oids.keyUsage, true, bitString(Uint8Array.of(octet), unused));
}

export function serverAuthentication(): forge.asn1.Asn1 {
  return extension(oids.extendedKeyUsage, false, sequence(oid(oids.serverAuth)));
}

export function subjectKeyIdentifier(keyIdentifier: Uint8Array): forge.asn1.Asn1 {
  return extension(oids.subjectKeyIdentifier, false, leaf(OCTETSTRING, binary(keyIdentifier)));
}

export function authorityKeyIdentifier(keyIdentifier: Uint8Array): forge.asn1.Asn1 {
  return extension(oids.authorityKeyIdentifier, false, sequence(tagged(0, false, binary(keyIdentifier))));
}

/** Exactly one name. `critical` where the subject is empty (RFC 5280, section 4.2.1.6). */
export function subjectAltName(
  name: { readonly dns: string } | { readonly address: Uint8Array },
  critical: boolean,
): forge.asn1.Asn1 {
  const entry = 'dns' in name ? tagged(2, false, name.dns) : tagged(7, false, binary(name.address));
  return extension(oids.subjectAltName, critical, sequence(entry));
}

function extension(id: string, critical: boolean, value: forge.asn1.Asn1): forge.asn1.Asn1 {
  const octets = leaf(OCTETSTRING, asn1.toDer(value).getBytes());
  return critical ? sequence(oid(id), leaf(BOOLEAN, '\xff'), octets) : sequence(oid(id), octets);
}

function signatureAlgorithm(key: KeyObject): forge.asn1.Asn1 {
  // RFC 4055 wants NULL parameters with RSA, RFC 5758 none at all with ECDSA.
  return key.asymmetricKeyType === 'rsa'
    ? sequence(oid(oids.sha256WithRsaEncryption), leaf(NULL, ''))
    : sequence(oid(oids.ecdsaWithSha256));
}

/** RFC 5280, section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
function time(at: number): forge.asn1.Asn1 {
  const date = new Date(at);
  return date.getUTCFullYear() < 2050
    ? leaf(UTCTIME, asn1.dateToUtcTime(date).toString())
    : leaf(GENERALIZEDTIME, asn1.dateToGeneralizedTime(date).toString());
}

function bitString(bytes: Uint8Array, unusedBits: number): forge.asn1.Asn1 {
  return leaf(BITSTRING, String.fromCharCode(unusedBits) + binary(bytes));
}

function oid(id: string): forge.asn1.Asn1 {
  return leaf(OID, asn1.oidToDer(id).getBytes());
}

function sequence(...children: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return node(SEQUENCE, children);
}

function node(type: forge.asn1.Type, children: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, true, children);
}

function leaf(type: forge.asn1.Type, bytes: string): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, bytes);
}

function tagged(tag: number, constructed: boolean, value: string | forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, constructed, value);
}

/** Puts DER that node:crypto wrote, or took from a certificate that it parsed, into the tree. */
function fromDer(der: Uint8Array): forge.asn1.Asn1 {
  return asn1.fromDer(binary(der));
}

function spkiOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' });
}

function encode(tree: forge.asn1.Asn1): Buffer {
  return Buffer.from(asn1.toDer(tree).getBytes(), 'latin1');
}

/** forge keeps bytes in strings, one character an octet. */
function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
