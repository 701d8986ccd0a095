import type { Case } from '../case.ts';
import { cpuPerRequest, ofTraffic } from '../figures.ts';
import { smallJson } from '../upstream.ts';

export const cases: readonly Case[] = [
  {
    name: 'many-grants',
    title: '100,000 grants in rotation, twice as many as memory keeps, beside one grant: keep-alive, 64 tunnels',
    load: { mode: 'keep-alive', connections: 64, path: '/small', expectBytes: smallJson.length },
    contenders: ['alter-100k-grants', 'alter'],
    figures: [cpuPerRequest, ...ofTraffic],
    ratios: [['alter-100k-grants', 'alter']],
    slow: true,
  },
];
