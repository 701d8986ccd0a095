import type { Upstream } from './upstream.ts';

/** How the generator gets to the upstream. */
export interface Route {
  /** On 127.0.0.1: of the proxy, or of the upstream itself. */
  readonly port: number;
  /** Null: there is no CONNECT, TLS begins at once. */
  readonly connect: { readonly authority: string; readonly proxyAuthorization: string | null } | null;
  /** The name that the certificate must be for, and the SNI. */
  readonly name: string;
  readonly host: string;
  /** PEM of the only authority that the certificate may come from; so it also tells who terminates TLS. */
  readonly caFile: string;
  /** What the client sends by itself: the credential only where nothing injects it. */
  readonly headers: readonly string[];
  /** Ids, a line each: every request names the next of them as its grant. */
  readonly grantsFile?: string;
}

export interface Running {
  readonly route: Route;
  /** Roots of the process trees that are the proxy. Empty where there is none. */
  readonly pids: readonly number[];
  /** Of a store that runs beside it, which is measured apart. */
  readonly storePids: readonly number[];
  /** Where `/metrics` is; only ours has it. */
  readonly opsPort?: number;
  stop(): Promise<void>;
}

export interface Surroundings {
  /** Of this start alone; removed afterwards. */
  readonly directory: string;
  readonly upstream: Upstream;
  /** The load is to ever new hosts, the names of `coldHostNames`: they are to resolve. */
  readonly coldHosts?: boolean;
  /** Where it is given, Node writes a CPU profile into this directory; only ours knows how. */
  readonly profileDirectory: string | null;
}

/** One way from the generator to the upstream that is measured beside the others. */
export interface Contender {
  readonly name: string;
  /** What runs and what it does, for the report. */
  readonly description: string;
  /** Its code is compiled while it runs, so that it needs a longer warm-up. */
  readonly compilesLate?: boolean;
  /** Left out of `--quick`. */
  readonly slow?: boolean;
  /** The version that would run, or why it can't. */
  readonly find: () => { readonly version: string } | { readonly missing: string };
  readonly start: (surroundings: Surroundings) => Promise<Running>;
}
