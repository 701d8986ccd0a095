import { availableParallelism } from 'node:os';
import type { Case } from '../case.ts';
import { cpuPerRequest, generatorCpuPerRequest, p50, p99, requestsPerSecond, rss } from '../figures.ts';
import { smallJson } from '../upstream.ts';

/** Two workers, the generator and the upstream each want a core. */
const share =
  availableParallelism() < 4 ? ` (generator and upstream share the ${availableParallelism()} cores with them)` : '';

export const cases: readonly Case[] = [
  {
    name: 'workers',
    title: `Two workers beside one: keep-alive, 64 tunnels${share}`,
    load: { mode: 'keep-alive', connections: 64, path: '/small', expectBytes: smallJson.length },
    contenders: ['alter-2-workers', 'alter'],
    figures: [requestsPerSecond, cpuPerRequest, p50, p99, rss, generatorCpuPerRequest],
    ratios: [['alter-2-workers', 'alter']],
    slow: true,
  },
];
