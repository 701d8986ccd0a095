import { getCACertificates } from 'node:tls';

/**
 * The roots that this machine trusts, as PEM, each once: the system's store (SSL_CERT_FILE and SSL_CERT_DIR count), or
 * Mozilla's list as it ships with Node where the system has none, as in a slim container.
 */
export function systemRoots(): string[] {
  const system = getCACertificates('system');
  return [...new Set(system.length > 0 ? system : getCACertificates('bundled'))];
}

/**
 * One PEM text of everything a workload behind the proxy must trust: the CA, then `extraPem`, then the system's roots.
 * Most clients *replace* their roots with such a file, so that the CA alone would break every host that is not intercepted.
 */
export function trustBundle(caPem: string, extraPem?: string): string {
  return [caPem, ...(extraPem === undefined ? [] : [extraPem]), ...systemRoots()]
    .map((pem) => `${pem.trim()}\n`)
    .join('');
}
