import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../../certs/authority.ts';

/** A P-256 authority for a peer that makes its own leaves. */
export async function writeAuthority(directory: string): Promise<{ readonly cert: string; readonly key: string }> {
  const material = await createAuthority({ now: Date.now() });
  const cert = join(directory, 'ca.pem');
  const key = join(directory, 'ca.key');
  writeFileSync(cert, material.certificatePem);
  writeFileSync(key, material.privateKeyPem);
  return { cert, key };
}
