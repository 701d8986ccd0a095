import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../certs/authority.ts';
import { systemRoots, trustBundle } from '../../certs/trust-bundle.ts';

const { certificatePem } = await createAuthority({ now: Date.now() });

function certificatesOf(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? [];
}

describe('the trust bundle', () => {
  it('holds the CA, the extra roots and every root of the system, each readable and once', async () => {
    const extra = (await createAuthority({ now: Date.now() })).certificatePem;
    const certificates = certificatesOf(trustBundle(certificatePem, extra.trim()));
    expect(certificates).toHaveLength(systemRoots().length + 2);
    const fingerprints = certificates.map((pem) => new X509Certificate(pem).fingerprint256);
    expect(new Set(fingerprints).size).toBe(fingerprints.length);
    expect(certificates[0]).toBe(certificatePem);
    expect(certificates[1]).toBe(extra);
  });

  it('falls back to the roots that ship with Node where the system has none', async () => {
    const script = `const { systemRoots } = await import('${new URL('../../certs/trust-bundle.ts', import.meta.url).href}');
      process.stdout.write(String(systemRoots().length));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env: { SSL_CERT_FILE: '/nonexistent', SSL_CERT_DIR: '/nonexistent' },
    });
    expect(Number(stdout)).toBeGreaterThan(50);
  });
});
