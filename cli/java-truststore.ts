import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

/** The password of every truststore that a JDK ships; it protects nothing that is secret. */
const password = 'changeit';
const importTimeoutMs = 20_000;

/**
 * A copy of the JDK's own roots with the proxy's authority added, because Java reads no PEM bundle. `path` is the PATH to
 * look for keytool in. Null where there is no keytool, it has no roots beside it, or it fails.
 */
export async function makeJavaTruststore(of: {
  readonly authorityPem: string;
  readonly directory: string;
  readonly path: string;
}): Promise<string | null> {
  const keytool = of.path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, 'keytool'))
    .find((file) => existsSync(file));
  if (keytool === undefined) return null;
  const roots = join(dirname(dirname(realpathSync(keytool))), 'lib', 'security', 'cacerts');
  if (!existsSync(roots)) return null;
  const { mtimeMs, size } = statSync(roots);
  const digest = createHash('sha256').update(`${of.authorityPem}\0${roots}\0${mtimeMs}\0${size}`).digest('hex');
  const finished = join(of.directory, `truststore-${digest.slice(0, 32)}`);
  if (existsSync(finished)) return finished;
  const workshop = mkdtempSync(join(of.directory, 'truststore-'));
  try {
    const store = join(workshop, 'store');
    const authority = join(workshop, 'ca.pem');
    copyFileSync(roots, store);
    writeFileSync(authority, of.authorityPem);
    const words = ['-importcert', '-noprompt', '-alias', 'alter-egress', '-file', authority, '-keystore', store];
    await promisify(execFile)(keytool, [...words, '-storepass', password], { timeout: importTimeoutMs });
    renameSync(store, finished);
    return finished;
  } catch {
    return null;
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

/** The options that make a JVM use the truststore, after those that were already set. */
export function javaToolOptions(truststore: string, already: string | null): string {
  return [
    ...(already === null ? [] : [already]),
    `-Djavax.net.ssl.trustStore=${quote(truststore)}`,
    `-Djavax.net.ssl.trustStorePassword=${password}`,
    '-Djdk.http.auth.tunneling.disabledSchemes=', // by default Java refuses Basic for a CONNECT, so it could never show its key
  ].join(' ');
}

/** The JVM splits the variable at white space and knows both quotes, but no escapes. */
function quote(path: string): string {
  if (!/[\s"']/.test(path)) return path;
  return path.includes('"') ? `'${path}'` : `"${path}"`;
}
