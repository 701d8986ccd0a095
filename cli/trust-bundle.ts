import { createHash, X509Certificate } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { exitCodes, Failure, systemCodeOf } from './failure.ts';

const pemBlock = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/**
 * The certificates of an authority, without anything else that the text may hold, such as a private key. `source` is named
 * in the failure: exit code 2 where there is no certificate, or one that is not of an authority.
 */
export function parseAuthorityPem(text: string, source: string): string {
  const blocks = text.match(pemBlock) ?? [];
  const isSound = blocks.length > 0 && blocks.every(isAuthority);
  if (!isSound)
    throw new Failure({
      exit: exitCodes.usage,
      code: 'ca_invalid',
      detail: `${source} holds no PEM certificate of an authority.`,
      hint: 'Use the ca.pem that the service wrote, or what `alter ca show --fields certificate` prints.',
    });
  return blocks.map((block) => `${block}\n`).join('');
}

function isAuthority(block: string): boolean {
  try {
    return new X509Certificate(block).ca;
  } catch {
    return false;
  }
}

/** The roots that this machine trusts, and what NODE_EXTRA_CA_CERTS adds; Mozilla's where the machine has none (slim images). */
export async function systemRoots(): Promise<readonly string[]> {
  const { getCACertificates } = await import('node:tls');
  const system = getCACertificates('system');
  return [...(system.length > 0 ? system : getCACertificates('bundled')), ...getCACertificates('extra')];
}

/** One PEM text, each certificate once. The authority of the proxy comes first, where a person looks. */
export function formatTrustBundle(authorityPem: string, roots: readonly string[]): string {
  const blocks = [...authorityPem.matchAll(pemBlock)].map(([block]) => block);
  return [...new Set([...blocks, ...roots.map((root) => root.trim())])].map((block) => `${block}\n`).join('');
}

/**
 * Writes a file that other programs of this user read, named after its content, so that runs at the same time share it and
 * none reads half of one. The first of the directories that can be made, or is there, and belongs to nobody else takes it:
 * in a directory that others can write, they could replace the roots that we are about to trust.
 *
 * Returns the path. Throws with exit code 1 where no directory will do.
 */
export function storeFile(of: {
  readonly directories: readonly string[];
  readonly name: string;
  readonly extension: string;
  readonly content: string | Uint8Array;
}): string {
  const directory = privateDirectory(of.directories);
  const digest = createHash('sha256').update(of.content).digest('hex').slice(0, 32);
  const path = join(directory, `${of.name}-${digest}.${of.extension}`);
  const content = Buffer.from(of.content);
  if (findFile(path)?.equals(content) === true) return path;
  const temporary = `${path}.${process.pid}`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, content, { mode: 0o644, flag: 'wx' });
  renameSync(temporary, path);
  return path;
}

/** Throws with exit code 1 where none of the directories will do. */
export function privateDirectory(directories: readonly string[]): string {
  const found = directories.find((directory) => {
    try {
      makeDirectory(dirname(directory));
      makeDirectory(directory);
      const stats = lstatSync(directory);
      return stats.isDirectory() && stats.uid === (process.getuid?.() ?? stats.uid) && (stats.mode & 0o022) === 0;
    } catch {
      return false;
    }
  });
  if (found !== undefined) return found;
  throw new Failure({
    exit: exitCodes.error,
    code: 'cache_unwritable',
    detail: `The CA bundle can't be stored: none of ${directories.join(', ')} can be made, or it belongs to somebody else.`,
    hint: 'Set XDG_CACHE_HOME to a directory of yours.',
  });
}

/** One level: `recursive` would make a home that does not exist, and never returns where the kernel refuses names, as in /proc. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
  }
}

function findFile(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}
