import type { Case } from '../case.ts';
import { cpuPerRequest, ofTraffic, storeCpuPerRequest } from '../figures.ts';
import { smallJson } from '../upstream.ts';

export const cases: readonly Case[] = [
  {
    name: 'audit-and-store',
    title: 'Strict against buffered audit, SQLite against Redis: keep-alive, 64 tunnels',
    load: { mode: 'keep-alive', connections: 64, path: '/small', expectBytes: smallJson.length },
    contenders: ['alter', 'alter-buffered', 'alter-redis', 'alter-redis-buffered'],
    figures: [cpuPerRequest, storeCpuPerRequest, ...ofTraffic],
    ratios: [
      ['alter', 'alter-buffered'],
      ['alter-redis', 'alter-redis-buffered'],
      ['alter-redis', 'alter'],
    ],
  },
];
