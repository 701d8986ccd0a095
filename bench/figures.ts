import type { Figure } from './case.ts';
import type { Sample } from './sample.ts';

const perRequest = (seconds: number | null, { load }: Sample): number | null =>
  seconds === null || load.requests === 0 ? null : (seconds * 1e6) / load.requests;

export const cpuPerRequest: Figure = {
  title: 'CPU µs / request',
  of: (sample) => perRequest(sample.cpuSeconds, sample),
  digits: 1,
  better: 'lower',
};

export const storeCpuPerRequest: Figure = {
  title: 'store CPU µs / request',
  of: (sample) => perRequest(sample.storeCpuSeconds, sample),
  digits: 1,
  better: 'lower',
};

/** Of the body alone, whichever way it goes. */
export const cpuPerGigabyte: Figure = {
  title: 'CPU s / GB',
  of: ({ cpuSeconds, load, uploadBytes }) => {
    const bytes = uploadBytes > 0 ? uploadBytes * load.requests : load.bodyBytes;
    return cpuSeconds === null || bytes === 0 ? null : cpuSeconds / (bytes / 1e9);
  },
  digits: 2,
  better: 'lower',
};

export const requestsPerSecond: Figure = {
  title: 'requests/s',
  of: ({ load }) => load.requestsPerSecond,
  digits: 0,
  better: 'higher',
};

export const p50: Figure = { title: 'p50 ms', of: ({ load }) => load.p50Us / 1e3, digits: 2, better: 'lower' };
export const p99: Figure = { title: 'p99 ms', of: ({ load }) => load.p99Us / 1e3, digits: 2, better: 'lower' };

export const rss: Figure = {
  title: 'RSS MiB',
  of: ({ rssBytes }) => (rssBytes === null ? null : rssBytes / 2 ** 20),
  digits: 0,
  better: 'lower',
};

export const rssPerTunnel: Figure = {
  title: 'RSS KiB / tunnel',
  of: ({ rssBytes, rssBeforeBytes, connections }) =>
    rssBytes === null || rssBeforeBytes === null ? null : (rssBytes - rssBeforeBytes) / 1_024 / connections,
  digits: 1,
  better: 'lower',
};

/** Tells how much cheaper the generator is than what it measures. */
export const generatorCpuPerRequest: Figure = {
  title: 'generator CPU µs / request',
  of: (sample) => perRequest(sample.load.cpuSeconds, sample),
  digits: 1,
  better: 'lower',
};

/** Of ours alone. */
export const eventLoopDelay: Figure = {
  title: 'event loop delay p99 ms',
  of: ({ eventLoopP99Ms }) => eventLoopP99Ms,
  digits: 1,
  better: 'lower',
};

export const ofTraffic = [requestsPerSecond, p50, p99, rss, generatorCpuPerRequest] as const;
