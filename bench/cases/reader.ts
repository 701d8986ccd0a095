import type { Case } from '../case.ts';
import { cpuPerRequest, ofTraffic } from '../figures.ts';
import { smallJson } from '../upstream.ts';

const common = {
  contenders: ['alter', 'alter-node-reader'],
  figures: [cpuPerRequest, ...ofTraffic],
  ratios: [['alter', 'alter-node-reader']],
  slow: true,
} as const;

export const cases: readonly Case[] = [
  {
    ...common,
    name: 'reader',
    title: "Our own reader of HTTP beside Node's: keep-alive, 64 tunnels",
    load: { mode: 'keep-alive', connections: 64, path: '/small', expectBytes: smallJson.length },
  },
  {
    ...common,
    name: 'reader-new-tunnel',
    title: "Our own reader of HTTP beside Node's: a new tunnel for every request",
    load: { mode: 'tunnel', connections: 16, path: '/small', expectBytes: smallJson.length },
  },
];
