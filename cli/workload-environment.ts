import { bundleVariables, directVariables, proxyVariables } from '../core/workload-variables.ts';
import type { Environment } from './environment.ts';

export interface WorkloadSettings {
  readonly proxyUrl: URL;
  /** The user name for the proxy: grant ids joined by commas, `auto` or `x`. */
  readonly user: string;
  readonly key: string;
  /** A PEM file with the system's roots and the proxy's authority. */
  readonly bundlePath: string;
  /** JAVA_TOOL_OPTIONS, or null to leave it as it is. */
  readonly javaOptions: string | null;
}

const alwaysDirect = ['localhost', '127.0.0.1', '::1'];

/** The variables that send a workload through the proxy and make it trust the proxy's certificates. */
export function workloadVariables(settings: WorkloadSettings, present: Environment): Readonly<Record<string, string>> {
  const { proxyUrl, user, key, bundlePath, javaOptions } = settings;
  // URL.host leaves out a default port, and clients have defaults of their own for proxies: curl takes 1080.
  const port = proxyUrl.port === '' ? (proxyUrl.protocol === 'https:' ? '443' : '80') : proxyUrl.port;
  const proxy = `${proxyUrl.protocol}//${user}:${key}@${proxyUrl.hostname}:${port}`;
  const direct = [...alwaysDirect, ...listOf(present.NO_PROXY), ...listOf(present.no_proxy)];
  const noProxy = [...new Set(direct)].join(',');
  return {
    ...Object.fromEntries(proxyVariables.flat().map((name) => [name, proxy])),
    ...Object.fromEntries(directVariables.map((name) => [name, noProxy])),
    NODE_USE_ENV_PROXY: '1',
    ...Object.fromEntries(bundleVariables.map((name) => [name, bundlePath])),
    ...(javaOptions === null ? {} : { JAVA_TOOL_OPTIONS: javaOptions }),
  };
}

/**
 * What a workload gets to see: our own environment without anything that begins with ALTER_ (the token and address of the
 * operator, root keys, keys under a name of ours), and with `variables` laid over it.
 */
export function workloadEnvironment(
  present: Environment,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  const kept = Object.entries(present).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].toUpperCase().startsWith('ALTER_'),
  );
  return { ...Object.fromEntries(kept), ...variables };
}

/** `export NAME='value'` lines for a POSIX shell. */
export function formatExports(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('');
}

function listOf(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
