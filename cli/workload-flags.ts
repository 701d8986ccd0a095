import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Flags } from '@oclif/core';
import { isId } from '../core/id.ts';
import { findToken } from '../core/token.ts';
import { looksLikeToken } from '../core/workload-identity.ts';
import type { AdminClient } from './admin-client.ts';
import { adminFlags } from './base-command.ts';
import { findVariable, getEnvironment } from './environment.ts';
import { exitCodes, Failure, usageFailure } from './failure.ts';
import { readTextFile } from './file-argument.ts';
import { findLogin } from './login-file.ts';
import { formatTrustBundle, parseAuthorityPem, privateDirectory, storeFile, systemRoots } from './trust-bundle.ts';
import { workloadVariables } from './workload-environment.ts';

const defaultProxyUrl = 'http://127.0.0.1:3128';

/** Of every command that needs the proxy's authority. */
export const authorityFlags = {
  ca: Flags.string({
    description:
      "The proxy's CA certificate; otherwise ALTER_CA_FILE, otherwise it is fetched from the admin API with ALTER_PAT.",
    helpValue: 'FILE',
  }),
  ...adminFlags,
};

/** Of `run` and `env`. */
export const workloadFlags = {
  grant: Flags.string({
    description:
      'The grant to use, or several joined by commas. Otherwise auto: the grant that fits the host. x: only what a request names itself.',
    helpValue: 'G',
  }),
  'key-file': Flags.string({
    description: 'A file that holds the key, or the projected token of a pod; otherwise it is read from ALTER_KEY.',
    helpValue: 'F',
  }),
  'proxy-url': Flags.string({
    description: `Where the proxy is; otherwise ALTER_PROXY_URL, otherwise ${defaultProxyUrl}.`,
    helpValue: 'URL',
  }),
  ...authorityFlags,
};

export interface WorkloadChoice {
  readonly grant?: string | undefined;
  readonly 'key-file'?: string | undefined;
  readonly 'proxy-url'?: string | undefined;
  readonly ca?: string | undefined;
}

/**
 * The PEM of the proxy's authority: from `--ca`, ALTER_CA_FILE or the admin API, in this order. It is never picked up from
 * a directory: whoever controls a directory would decide whom the workload trusts.
 */
export async function readAuthority(
  flags: { readonly ca?: string | undefined },
  openAdmin: () => AdminClient,
): Promise<string> {
  if (flags.ca !== undefined) return parseAuthorityPem(readTextFile(flags.ca, '--ca'), flags.ca);
  const file = findVariable('ALTER_CA_FILE');
  if (file !== null) return parseAuthorityPem(readTextFile(file, 'ALTER_CA_FILE'), file);
  if (findVariable('ALTER_PAT') === null && findLogin() === null)
    throw usageFailure(
      "--ca is missing: the proxy's CA certificate is not known.",
      'Give --ca FILE or ALTER_CA_FILE (the service writes it to .alter/ca.pem), or set ALTER_PAT or sign in to fetch it.',
    );
  const { certificate } = await openAdmin().get('/v1/ca');
  return parseAuthorityPem(typeof certificate === 'string' ? certificate : '', 'The answer of the admin service');
}

/** Everything that `run` and `env` set. Throws a failure that names the input where one is missing or wrong. */
export async function readWorkloadVariables(
  flags: WorkloadChoice,
  openAdmin: () => AdminClient,
): Promise<Readonly<Record<string, string>>> {
  const proxyUrl = parseProxyUrl(proxyUrlOf(flags));
  const user = parseGrants(flags.grant ?? 'auto');
  const key = readKey(flags['key-file']);
  const authorityPem = await readAuthority(flags, openAdmin);
  const directories = cacheDirectories();
  const content = formatTrustBundle(authorityPem, await systemRoots());
  const bundlePath = storeFile({ directories, name: 'ca-bundle', extension: 'pem', content });
  const { javaToolOptions, makeJavaTruststore } = await import('./java-truststore.ts');
  const truststore = await makeJavaTruststore({
    authorityPem,
    directory: privateDirectory(directories),
    path: findVariable('PATH') ?? '',
  });
  const javaOptions = truststore === null ? null : javaToolOptions(truststore, findVariable('JAVA_TOOL_OPTIONS'));
  return workloadVariables({ proxyUrl, user, key, bundlePath, javaOptions }, getEnvironment());
}

function readKey(file: string | undefined): string {
  const text = findKey(file);
  if (text === null)
    throw usageFailure(
      '--key-file is missing: there is no key.',
      'Give --key-file F, or set ALTER_KEY. `alter keys mint` makes a key.',
    );
  return text;
}

/** The key from `--key-file` or ALTER_KEY, or null. Throws a usage failure for what is no key. */
export function findKey(file: string | undefined): string | null {
  const text = file === undefined ? findVariable('ALTER_KEY') : readTextFile(file, '--key-file').trim();
  if (text === null) return null;
  if (looksLikeToken(text)) return text; // of a workload identity: the proxy says whether it will do
  const kind = findToken(text)?.kind ?? null;
  if (kind !== null && kind !== 'pat') return text;
  const source = file === undefined ? 'ALTER_KEY' : '--key-file';
  throw new Failure({
    exit: exitCodes.usage,
    code: 'usage',
    detail:
      kind === 'pat'
        ? `${source} holds a personal access token; a workload needs a key.`
        : `${source} does not hold a key, or it is mistyped.`,
    hint: 'Use the key as `alter keys mint` printed it.',
  });
}

function parseGrants(text: string): string {
  if (text === 'auto' || text === 'x' || text.split(',').every(isId)) return text;
  throw usageFailure(
    `--grant: "${text}" is not a grant id.`,
    'Use the grant_id that `alter managed-secrets grants list <secret>` shows, or auto.',
  );
}

export function proxyUrlOf(flags: { readonly 'proxy-url'?: string | undefined }): string {
  return flags['proxy-url'] ?? findVariable('ALTER_PROXY_URL') ?? defaultProxyUrl;
}

export function parseProxyUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.username === '' &&
    url.password === '' &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === '';
  if (isPlain) return url;
  throw usageFailure(
    '--proxy-url is not the plain address of a proxy.',
    `For example ${defaultProxyUrl}, without user and password.`,
  );
}

function cacheDirectories(): readonly string[] {
  const base = findVariable('XDG_CACHE_HOME') ?? join(findVariable('HOME') ?? homedir(), '.cache');
  return [join(base, 'alter'), join(tmpdir(), `alter-${process.getuid?.() ?? 'user'}`)];
}
