import type { Case } from '../case.ts';
import { besidePeers, peers } from '../contenders.ts';
import { cpuPerGigabyte, ofTraffic } from '../figures.ts';
import { acknowledgementBytes, bulkBytes } from '../upstream.ts';

const common = {
  contenders: peers,
  figures: [cpuPerGigabyte, ...ofTraffic],
  ratios: besidePeers,
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
];
