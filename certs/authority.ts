import { createPrivateKey, generateKeyPair, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import type { AuthorityMaterial } from '../core/authority.ts';
import { AlterError } from '../core/errors.ts';
import { type Origin, parseHost } from '../core/origin.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  encodeName,
  keyIdentifierOf,
  keyUsage,
  randomSerial,
  signCertificate,
  subjectKeyIdentifier,
  toPem,
} from './certificate.ts';
import { issuerOf } from './issuer.ts';
import { type LeafIssuer, signLeaf } from './leaf.ts';

export type { AuthorityMaterial } from '../core/authority.ts';

/** A certificate for one host and the key that goes with it. */
export interface Leaf {
  /** The leaf, then every certificate between it and a root: what the server sends. */
  readonly chainPem: string;
  readonly privateKeyPem: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

const dayMs = 24 * 3_600_000;
const backdatedMs = dayMs;
const lifeMs = 3_652 * dayMs;
const smallestRsaBits = 2048;

/** A new P-256 authority for ten years that may sign servers, and nothing that signs in turn. */
export async function createAuthority({ now }: { readonly now: number }): Promise<AuthorityMaterial> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const keyIdentifier = keyIdentifierOf(publicKey);
  const name = encodeName(`Alter Egress CA ${keyIdentifier.toString('hex', 0, 4)}`);
  const certificate = signCertificate(
    {
      serial: randomSerial(),
      issuer: name,
      subject: name,
      // A day back: the machines that install it have clocks of their own.
      notBefore: now - backdatedMs,
      notAfter: now + lifeMs,
      publicKey,
      extensions: [
        basicConstraints({ isAuthority: true }),
        keyUsage('certificateAndCrlSign'),
        subjectKeyIdentifier(keyIdentifier),
        // A root needs none, but OpenSSL's -x509_strict asks for it, and it costs 31 bytes.
        authorityKeyIdentifier(keyIdentifier),
      ],
    },
    privateKey,
  );
  return {
    certificatePem: toPem(certificate),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/**
 * The authority of this material, after having seen that it can do its work: `certificatePem` may hold a chain, its
 * first certificate is the authority. Throws `config_invalid`; nothing of the key is ever in the message.
 */
export function openAuthority(of: AuthorityMaterial & { readonly now: number }): Authority {
  const chain = parseChain(of.certificatePem);
  const certificate = chain[0]!;
  const privateKey = parsePrivateKey(of.privateKeyPem);
  if (!certificate.checkPrivateKey(privateKey))
    throw invalid('The CA certificate and the CA key do not belong together.');
  if (!certificate.ca)
    throw invalid(
      'The CA certificate may not sign certificates: it needs basicConstraints CA and keyUsage keyCertSign.',
    );
  if (certificate.validToDate.getTime() <= of.now) {
    throw invalid(`The CA certificate expired on ${certificate.validToDate.toISOString()}.`);
  }
  if (certificate.validFromDate.getTime() > of.now) {
    throw invalid(`The CA certificate is not valid before ${certificate.validFromDate.toISOString()}.`);
  }
  const authority = new Authority(chain, privateKey);
  // OpenSSL's own reading of names, key identifiers and signature, on a leaf that never leaves this function.
  const trial = new X509Certificate(authority.issueLeaf(parseHost('trial.invalid'), of.now).chainPem);
  if (!trial.checkIssued(certificate) || !trial.verify(certificate.publicKey)) {
    throw invalid('Certificates that this CA signs do not chain to it.');
  }
  return authority;
}

/** Signs leaves. One leaf key serves all of them for the life of the process: it is never the CA's own, and never stored. */
export class Authority {
  readonly certificatePem: string;
  /** SHA-256 of the certificate, upper-case hex with colons, as `openssl x509 -fingerprint -sha256` prints it. */
  readonly fingerprintSha256: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  readonly #issuer: LeafIssuer;
  readonly #leafPublicKey: KeyObject;
  readonly #leafPrivateKeyPem: string;
  readonly #intermediatesPem: string;

  /** Made by {@link openAuthority}, which has checked that key and certificate are fit. */
  constructor(chain: readonly X509Certificate[], privateKey: KeyObject) {
    const certificate = chain[0]!;
    const { subject, keyIdentifier } = issuerOf(certificate);
    this.certificatePem = chain.map((link) => toPem(link.raw)).join('');
    this.fingerprintSha256 = certificate.fingerprint256;
    this.notAfter = certificate.validToDate.getTime();
    this.#issuer = {
      subject,
      keyIdentifier: keyIdentifier ?? keyIdentifierOf(certificate.publicKey),
      privateKey,
      notBefore: certificate.validFromDate.getTime(),
      notAfter: this.notAfter,
    };
    // A client that installed a self-signed CA finds it by name, so that sending it again is 500 bytes for nothing. A CA
    // that is itself signed by a company's root must be sent: the clients have the root only, and OpenSSL takes an
    // intermediate for a trust anchor only where it is told to.
    this.#intermediatesPem = chain
      .filter((link) => !link.checkIssued(link))
      .map((link) => toPem(link.raw))
      .join('');
    const leafKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#leafPublicKey = leafKeys.publicKey;
    this.#leafPrivateKeyPem = leafKeys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  /** A certificate for exactly this host. `now` in milliseconds since the epoch. Throws `config_invalid` once the CA has expired. */
  issueLeaf(host: Pick<Origin, 'host' | 'kind'>, now: number): Leaf {
    if (now >= this.notAfter) throw invalid(`The CA certificate expired on ${new Date(this.notAfter).toISOString()}.`);
    const { certificate, notAfter } = signLeaf({ host, publicKey: this.#leafPublicKey, issuer: this.#issuer, now });
    return { chainPem: toPem(certificate) + this.#intermediatesPem, privateKeyPem: this.#leafPrivateKeyPem, notAfter };
  }
}

function parseChain(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null) throw invalid('The CA certificate is not PEM (no BEGIN CERTIFICATE).');
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw invalid('The CA certificate could not be read.', cause);
  }
}

function parsePrivateKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw invalid('The CA key is not an unencrypted private key in PEM.', cause);
  }
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return key;
  if (key.asymmetricKeyType === 'rsa' && modulusLength !== undefined && modulusLength >= smallestRsaBits) return key;
  throw invalid(`The CA key must be EC P-256, or RSA with at least ${smallestRsaBits} bits.`);
}

function invalid(detail: string, cause?: unknown): AlterError {
  return new AlterError('config_invalid', {
    detail,
    hint: 'Give a CA certificate and its key in ALTER_CA_CERT and ALTER_CA_KEY, or neither to have one created.',
    ...(cause === undefined ? {} : { cause }),
  });
}
