import type { Case } from '../case.ts';
import { besidePeers, interceptors } from '../contenders.ts';
import { cpuPerGigabyte, ofTraffic, requestsPerSecond, rss } from '../figures.ts';
import { acknowledgementBytes, bulkBytes, largeBytes } from '../upstream.ts';

const common = {
  contenders: interceptors,
  figures: [cpuPerGigabyte, ...ofTraffic],
  ratios: besidePeers,
} as const;

/** Few at a time: each of them takes a second or so. */
const large = {
  figures: [cpuPerGigabyte, requestsPerSecond, rss],
  ratios: besidePeers,
  contenders: [...interceptors, 'tunnel'],
  slow: true,
} as const;

export const cases: readonly Case[] = [
  {
    ...common,
    name: 'bulk-down',
    title: '1 MiB down, 8 kept tunnels',
    load: { mode: 'keep-alive', connections: 8, path: '/bulk', expectBytes: bulkBytes },
  },
  {
    ...common,
    name: 'bulk-up',
    title: '1 MiB up, 8 kept tunnels',
    load: {
      mode: 'keep-alive',
      connections: 8,
      method: 'PUT',
      path: '/upload',
      uploadBytes: bulkBytes,
      expectBytes: acknowledgementBytes,
    },
  },
  {
    ...large,
    name: 'large-down',
    title: '100 MiB down, 2 kept tunnels',
    load: { mode: 'keep-alive', connections: 2, path: '/large', expectBytes: largeBytes },
  },
  {
    ...large,
    name: 'large-up',
    title: '100 MiB up, 2 kept tunnels',
    load: {
      mode: 'keep-alive',
      connections: 2,
      method: 'PUT',
      path: '/upload-large',
      uploadBytes: largeBytes,
      expectBytes: acknowledgementBytes,
    },
  },
];
