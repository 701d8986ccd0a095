import type { Case } from '../case.ts';
import { besidePeers, peers } from '../contenders.ts';
import { cpuPerRequest, ofTraffic } from '../figures.ts';
import { smallJson } from '../upstream.ts';

function keepAlive(connections: number): Case {
  return {
    name: connections === 64 ? 'keep-alive' : `keep-alive-${connections}`,
    title: `Keep-alive: small JSON over ${connections} kept ${connections === 1 ? 'tunnel' : 'tunnels'}`,
    load: { mode: 'keep-alive', connections, path: '/small', expectBytes: smallJson.length },
    contenders: peers,
    figures: [cpuPerRequest, ...ofTraffic],
    ratios: [...besidePeers, ['alter', 'tunnel']],
    slow: connections !== 64,
  };
}

export const cases: readonly Case[] = [keepAlive(64), keepAlive(1), keepAlive(256)];
