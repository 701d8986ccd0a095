import type { Case } from '../case.ts';
import { besidePeers, distantPeers, interceptors, peers } from '../contenders.ts';
import { cpuPerRequest, eventLoopDelay, ofTraffic } from '../figures.ts';
import { smallJson } from '../upstream.ts';

function keepAlive(connections: number): Case {
  return {
    name: connections === 64 ? 'keep-alive' : `keep-alive-${connections}`,
    title: `Keep-alive: small JSON over ${connections} kept ${connections === 1 ? 'tunnel' : 'tunnels'}`,
    load: { mode: 'keep-alive', connections, path: '/small', expectBytes: smallJson.length },
    contenders: connections === 64 ? [...peers, ...distantPeers] : interceptors,
    figures: [cpuPerRequest, ...ofTraffic, eventLoopDelay],
    ratios: connections === 64 ? [...besidePeers, ['alter', 'tunnel']] : besidePeers,
    slow: connections !== 64,
  };
}

export const cases: readonly Case[] = [keepAlive(64), keepAlive(1), keepAlive(256)];
