import type { Case } from '../case.ts';
import { besidePeers, distantPeers, interceptors, peers } from '../contenders.ts';
import { cpuPerRequest, ofTraffic } from '../figures.ts';
import { smallJson } from '../upstream.ts';

function newTunnel(resume: boolean): Case {
  return {
    name: resume ? 'new-tunnel-resumed' : 'new-tunnel',
    title: `A new tunnel for every request: TCP, CONNECT, TLS 1.3 with P-256${resume ? ', sessions resumed where offered' : ''}`,
    load: { mode: 'tunnel', connections: 16, resume, path: '/small', expectBytes: smallJson.length },
    contenders: resume ? interceptors : [...peers, ...distantPeers],
    figures: [cpuPerRequest, ...ofTraffic],
    ratios: besidePeers,
    slow: resume,
  };
}

export const cases: readonly Case[] = [newTunnel(false), newTunnel(true)];
