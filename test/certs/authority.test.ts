import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { createAuthority, openAuthority } from '../../certs/authority.ts';
import { AlterError } from '../../core/errors.ts';
import { parseHost } from '../../core/origin.ts';
import { openssl, withFiles } from './openssl.ts';

const now = Date.now();
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const material = await createAuthority({ now });

/** A name of exactly this many characters, in legal labels. */
function nameOfLength(length: number): string {
  let name = 'a'.repeat(length);
  for (let dot = length - 2; dot > 0; dot -= 60) name = `${name.slice(0, dot)}.${name.slice(dot + 1)}`;
  return name;
}

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof AlterError && error.code === 'config_invalid') return error.detail;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** A self-signed certificate made by openssl, with the extensions that are given. */
async function madeByOpenssl(keyArgs: string[], extensions: string[], days = '30') {
  return withFiles({}, async (pathOf) => {
    await openssl(
      ...['req', '-x509', '-nodes', ...keyArgs, '-keyout', pathOf('key'), '-out', pathOf('cert'), '-days', days],
      ...['-subj', '/C=DE/O=Example/CN=Corporate', ...extensions.flatMap((extension) => ['-addext', extension])],
    );
    const text = async (name: string): Promise<string> => (await openssl('enc', '-in', pathOf(name))).toString();
    return { certificatePem: await text('cert'), privateKeyPem: await text('key') };
  });
}

/** Opens the authority, has it sign, and lets openssl judge the leaf. */
function verifyLeafOf(pair: { certificatePem: string; privateKeyPem: string }, ...options: string[]): Promise<string> {
  const leaf = openAuthority({ ...pair, now: Date.now() }).issueLeaf(parseHost('api.example.com'), Date.now());
  return withFiles({ ca: pair.certificatePem, leaf: leaf.chainPem }, (pathOf) =>
    openssl('verify', '-purpose', 'sslserver', ...options, '-CAfile', pathOf('ca'), pathOf('leaf')),
  );
}

const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const caExtensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'];

describe('a new authority', () => {
  it('has the profile of a root that signs servers only', async () => {
    const text = await withFiles({ ca: material.certificatePem }, (pathOf) =>
      openssl('x509', '-in', pathOf('ca'), '-noout', '-text'),
    );
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign/);
    expect(text).toMatch(/Subject: CN = Alter Egress CA [0-9a-f]{8}/);
    expect(text).toContain('ASN1 OID: prime256v1');
    expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256');
    const keyIdentifiers = text.match(/(?:[0-9A-F]{2}:){19}[0-9A-F]{2}/g);
    expect(keyIdentifiers).toHaveLength(2);
    expect(keyIdentifiers?.[0]).toBe(keyIdentifiers?.[1]);
  });

  it('lives for ten years and has a serial number of its own', async () => {
    const certificate = new X509Certificate(material.certificatePem);
    expect(certificate.validToDate.getTime() - now).toBeGreaterThan(3_651 * dayMs);
    expect(certificate.validFromDate.getTime()).toBeLessThan(now);
    const other = new X509Certificate((await createAuthority({ now })).certificatePem);
    expect(certificate.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    expect(other.serialNumber).not.toBe(certificate.serialNumber);
    expect(other.subject).not.toBe(certificate.subject);
  });

  it('is a valid trust anchor past the year 2050', async () => {
    const late = Date.parse('2049-06-01T00:00:00Z');
    const authority = openAuthority({ ...(await createAuthority({ now: late })), now: late });
    expect(new Date(authority.notAfter).getUTCFullYear()).toBe(2059);
  });
});

describe('opening an authority', () => {
  it('tells its fingerprint and its end', () => {
    const authority = openAuthority({ ...material, now });
    const certificate = new X509Certificate(material.certificatePem);
    expect(authority.fingerprintSha256).toBe(certificate.fingerprint256);
    expect(authority.notAfter).toBe(certificate.validToDate.getTime());
    expect(authority.certificatePem).toBe(material.certificatePem);
  });

  it('refuses a key of another certificate, and a key that is none', async () => {
    const other = await createAuthority({ now });
    expect(refusal(() => openAuthority({ ...material, privateKeyPem: other.privateKeyPem, now }))).toMatch(/belong/);
    expect(refusal(() => openAuthority({ ...material, privateKeyPem: 'none', now }))).toMatch(/private key in PEM/);
    expect(refusal(() => openAuthority({ ...material, certificatePem: 'none', now }))).toMatch(/not PEM/);
  });

  it('refuses material outside its time', () => {
    expect(refusal(() => openAuthority({ ...material, now: now + 3_700 * dayMs }))).toMatch(/expired on/);
    expect(refusal(() => openAuthority({ ...material, now: now - 2 * dayMs }))).toMatch(/not valid before/);
  });

  it('refuses a certificate that may not sign, and keys that are too weak or of another kind', async () => {
    const open = (pair: { certificatePem: string; privateKeyPem: string }) => () =>
      openAuthority({ ...pair, now: Date.now() });
    const server = await madeByOpenssl(p256, ['basicConstraints=critical,CA:FALSE']);
    expect(refusal(open(server))).toMatch(/basicConstraints CA/);
    const noSigning = await madeByOpenssl(p256, ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,cRLSign']);
    expect(refusal(open(noSigning))).toMatch(/keyCertSign/);
    const p384 = await madeByOpenssl(['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'], caExtensions);
    expect(refusal(open(p384))).toMatch(/P-256/);
    const weak = await madeByOpenssl(['-newkey', 'rsa:1024'], caExtensions);
    expect(refusal(open(weak))).toMatch(/2048/);
  });

  it('never says anything of the key', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const detail = refusal(() => openAuthority({ ...material, privateKeyPem, now }));
    for (const line of privateKeyPem.split('\n').slice(1, -2)) expect(detail).not.toContain(line);
  });
});

describe('a leaf', () => {
  const authority = openAuthority({ ...material, now });
  const hosts = [1, 2, 62, 63, 64, 65, 128, 252, 253]
    .map(nameOfLength)
    .concat('xn--bcher-kva.example', '192.0.2.7', '[2001:db8::1]');

  it.each(hosts)('for %s is accepted by openssl in strict mode, for this host and no other', async (text) => {
    const host = parseHost(text);
    const { chainPem } = authority.issueLeaf(host, now);
    await withFiles({ ca: material.certificatePem, leaf: chainPem }, async (pathOf) => {
      const verify = (option: string, name: string) =>
        openssl(
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          '-CAfile',
          pathOf('ca'),
          option,
          name,
          pathOf('leaf'),
        );
      const option = host.kind === 'name' ? '-verify_hostname' : '-verify_ip';
      await expect(verify(option, host.host)).resolves.toMatch(/: OK/);
      const other = { name: `b.${host.host.slice(2)}`, ipv4: '192.0.2.8', ipv6: '2001:db8::2' }[host.kind];
      await expect(verify(option, other)).rejects.toThrow(/mismatch/);
    });
  });

  it('names exactly the host', () => {
    const namesOf = (text: string) => {
      const certificate = new X509Certificate(authority.issueLeaf(parseHost(text), now).chainPem);
      return [certificate.subject, certificate.subjectAltName];
    };
    expect(namesOf('api.example.com')).toEqual(['CN=api.example.com', 'DNS:api.example.com']);
    expect(namesOf('192.0.2.7')).toEqual(['CN=192.0.2.7', 'IP Address:192.0.2.7']);
    expect(namesOf('[2001:db8::1]')[1]).toBe('IP Address:2001:DB8:0:0:0:0:0:1');
    expect(namesOf('[::ffff:c000:207]')[1]).toBe('IP Address:0:0:0:0:0:FFFF:C000:207');
    expect(namesOf('[::]')[1]).toBe('IP Address:0:0:0:0:0:0:0:0');
    const long = nameOfLength(64);
    expect(namesOf(long)).toEqual([undefined, `DNS:${long}`]);
  });

  it('has the profile of a server certificate', async () => {
    const textOf = (host: string) =>
      withFiles({ leaf: authority.issueLeaf(parseHost(host), now).chainPem }, (pathOf) =>
        openssl('x509', '-in', pathOf('leaf'), '-noout', '-text'),
      );
    const text = await textOf('api.example.com');
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/);
    expect(text).toMatch(/X509v3 Extended Key Usage: ?\s+TLS Web Server Authentication\n/);
    expect(text).toMatch(/X509v3 Subject Key Identifier/);
    expect(text).toMatch(/X509v3 Authority Key Identifier/);
    expect(text).toMatch(/X509v3 Subject Alternative Name: ?\n/);
    expect(await textOf(nameOfLength(64))).toMatch(/X509v3 Subject Alternative Name: critical\n/);
  });

  it('lives for at most seven days from an hour ago, and not beyond the authority', () => {
    const certificate = new X509Certificate(authority.issueLeaf(parseHost('a.example'), now).chainPem);
    const begin = certificate.validFromDate.getTime();
    expect(Math.abs(now - hourMs - begin)).toBeLessThan(1_000);
    expect(certificate.validToDate.getTime() - begin).toBe(7 * dayMs);
    const late = authority.notAfter - dayMs;
    const last = new X509Certificate(authority.issueLeaf(parseHost('a.example'), late).chainPem);
    expect(last.validToDate.getTime()).toBe(authority.notAfter);
    expect(refusal(() => authority.issueLeaf(parseHost('a.example'), authority.notAfter))).toMatch(/expired/);
  });

  it('has one key for all hosts that is not the key of the authority, and a serial number of its own', () => {
    const leaves = ['a.example', 'b.example'].map((host) => authority.issueLeaf(parseHost(host), now));
    const [first, second] = leaves.map((leaf) => new X509Certificate(leaf.chainPem));
    expect(first?.publicKey.equals(second!.publicKey)).toBe(true);
    expect(first?.publicKey.equals(createPublicKey(material.privateKeyPem))).toBe(false);
    expect(leaves[0]?.privateKeyPem).not.toBe(material.privateKeyPem);
    expect(first?.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    expect(first?.serialNumber).not.toBe(second?.serialNumber);
  });

  it('is sent alone below a self-signed authority', () => {
    expect(authority.issueLeaf(parseHost('a.example'), now).chainPem.match(/BEGIN/g)).toHaveLength(1);
  });
});

describe('an authority of the operator', () => {
  it('may have an RSA key', async () => {
    const pair = await madeByOpenssl(['-newkey', 'rsa:2048'], caExtensions);
    await expect(verifyLeafOf(pair, '-x509_strict')).resolves.toMatch(/: OK/);
  });

  it('may lack a key identifier', async () => {
    const none = ['subjectKeyIdentifier=none', 'authorityKeyIdentifier=none'];
    const pair = await madeByOpenssl(p256, [...caExtensions, ...none]);
    await expect(verifyLeafOf(pair)).resolves.toMatch(/: OK/);
  });

  it('that another one signed is sent along, so that clients need the root only', async () => {
    const root = await madeByOpenssl(p256, caExtensions);
    await withFiles({ root: root.certificatePem, rootKey: root.privateKeyPem }, async (pathOf) => {
      await openssl(
        ...['req', '-x509', '-nodes', ...p256, '-keyout', pathOf('key'), '-out', pathOf('sub'), '-days', '20'],
        ...['-subj', '/CN=Sub', '-CA', pathOf('root'), '-CAkey', pathOf('rootKey')],
        ...caExtensions.flatMap((extension) => ['-addext', extension]),
      );
      const read = (name: string) => openssl('enc', '-in', pathOf(name));
      const certificatePem = (await read('sub')) + root.certificatePem;
      const authority = openAuthority({ certificatePem, privateKeyPem: await read('key'), now: Date.now() });
      const { chainPem } = authority.issueLeaf(parseHost('api.example.com'), Date.now());
      expect(chainPem.match(/BEGIN/g)).toHaveLength(2);
      await withFiles({ chain: chainPem }, async (chainPath) => {
        const chain = chainPath('chain');
        const verified = openssl('verify', '-x509_strict', '-CAfile', pathOf('root'), '-untrusted', chain, chain);
        await expect(verified).resolves.toMatch(/: OK/);
      });
    });
  });
});
