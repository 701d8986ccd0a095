import { randomBytes } from 'node:crypto';
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { trustBundle } from '../certs/trust-bundle.ts';
import { AlterError } from '../core/errors.ts';

/**
 * Writes what workloads must trust, for those that share a volume with the proxy: readable by all, and whole at any time.
 * Throws `config_invalid` where the file can't be written.
 */
export function writeTrustBundle(path: string, authorityPem: string): void {
  // The workload may write into the same volume: at a name that it can't guess, and never through a link that it left there.
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    writeFileSync(draft, trustBundle(authorityPem), { flag: 'wx', flush: true });
    chmodSync(draft, 0o644); // whatever the umask is
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    const message = `can't be written (${(error as NodeJS.ErrnoException).code ?? 'unknown error'}): ${path}`;
    throw new AlterError('config_invalid', { problems: [{ field: 'ALTER_TRUST_BUNDLE_FILE', message }] });
  }
}
