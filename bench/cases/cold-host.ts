import type { Case } from '../case.ts';
import { cpuPerRequest, ofTraffic } from '../figures.ts';
import { smallJson } from '../upstream.ts';

export const cases: readonly Case[] = [
  {
    name: 'cold-host',
    title: 'A host that was never asked for, every time: a leaf is made, and a connection to the upstream',
    load: { mode: 'tunnel', connections: 8, cold: true, path: '/small', expectBytes: smallJson.length },
    contenders: ['alter', 'squid', 'go', 'mitmproxy'],
    figures: [cpuPerRequest, ...ofTraffic],
    ratios: [
      ['alter', 'squid'],
      ['alter', 'go'],
    ],
    slow: true,
  },
];
