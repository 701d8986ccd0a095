/** What the generator says of a run. */
export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  readonly errors: number;
  readonly firstError: string;
  readonly handshakes: number;
  readonly resumed: number;
  /** Of kept connections that the other side closed between two requests. */
  readonly reconnects: number;
  readonly bodyBytes: number;
  /** Of the generator itself. */
  readonly cpuSeconds: number;
  readonly tls: string;
  readonly cipher: string;
  readonly issuer: string;
}

/** One round of one contender. */
export interface Sample {
  readonly load: LoadResult;
  readonly connections: number;
  readonly uploadBytes: number;
  /** utime + stime of every process and thread of the proxy, over the round. Null: there is no proxy. */
  readonly cpuSeconds: number | null;
  readonly storeCpuSeconds: number | null;
  readonly upstreamCpuSeconds: number;
  /** Of all processes of the proxy: before the generator came, and while it was there. */
  readonly rssBeforeBytes: number | null;
  readonly rssBytes: number | null;
  /** Of ours: by how much a timer of the event loop was late, at most, 99 times out of 100. */
  readonly eventLoopP99Ms: number | null;
}
