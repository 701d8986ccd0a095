import { url as debuggerUrl } from 'node:inspector';
import type { Problem } from '../core/errors.ts';

const checks: readonly { readonly what: RegExp; readonly why: string }[] = [
  { what: /--tls-keylog/, why: 'writes the keys of every TLS connection to a file' },
  {
    what: /--inspect|--debug-port|--experimental-network-inspection/,
    why: 'opens a debugger that can read every credential',
  },
  { what: /--insecure-http-parser/, why: 'accepts requests that two readers frame differently' },
  { what: /--trace-tls/, why: 'prints what TLS connections carry' },
  { what: /--(?:heapsnapshot|heap-prof|report-on|report-uncaught)/, why: 'writes the memory of the process to a file' },
];

/** Ways to start Node that leak credentials or weaken what is promised. The service does not start under any of them. */
export function findUnsafeRuntime(runtime: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly execArgv: readonly string[];
}): Problem[] {
  const { env, execArgv } = runtime;
  const problems: Problem[] = [];
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
    problems.push({
      field: 'NODE_TLS_REJECT_UNAUTHORIZED',
      message: 'turns off the verification of upstreams: unset it, and add a private CA with ALTER_UPSTREAM_CA',
    });
  }
  const debug = env.NODE_DEBUG?.split(',').map((part) => part.trim().toLowerCase()) ?? [];
  if (debug.some((section) => /^(?:\*|https?2?\*?|net|tls|stream|undici|fetch)$/.test(section))) {
    problems.push({ field: 'NODE_DEBUG', message: 'prints requests with their credentials: unset it' });
  }
  if (env.SSLKEYLOGFILE !== undefined && env.SSLKEYLOGFILE !== '') {
    problems.push({ field: 'SSLKEYLOGFILE', message: 'asks for the keys of every TLS connection: unset it' });
  }
  for (const [field, text] of [
    ['NODE_OPTIONS', env.NODE_OPTIONS ?? ''],
    ['the options of node', execArgv.join(' ')],
  ] as const) {
    for (const { what, why } of checks) {
      const found = what.exec(text);
      if (found !== null) problems.push({ field, message: `has ${found[0]}, which ${why}` });
    }
  }
  return problems;
}

/**
 * Takes SIGUSR1 away from Node, which opens a debugger on it: a process of the same user could then read every credential.
 * Tried with Node 24: whoever listens for the signal gets it, and no port is opened. What was opened before this ran is a
 * problem; `--disable-sigusr1` closes that gap as well.
 */
export function closeDebugger(): Problem[] {
  process.on('SIGUSR1', () => {});
  const opened = debuggerUrl();
  return opened === undefined ? [] : [{ field: 'the debugger', message: `is open at ${opened}: start without it` }];
}
