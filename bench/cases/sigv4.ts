import type { Case } from '../case.ts';
import { cpuPerRequest, ofTraffic } from '../figures.ts';
import { smallJson } from '../upstream.ts';

export const cases: readonly Case[] = [
  {
    name: 'sigv4',
    title: 'AWS Signature V4 for every request, beside a token: keep-alive, 64 tunnels',
    load: { mode: 'keep-alive', connections: 64, path: '/small', expectBytes: smallJson.length },
    contenders: ['alter-sigv4', 'alter'],
    figures: [cpuPerRequest, ...ofTraffic],
    ratios: [['alter-sigv4', 'alter']],
    slow: true,
  },
];
