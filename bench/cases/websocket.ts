import type { Case } from '../case.ts';
import { besidePeers, peers } from '../contenders.ts';
import { cpuPerRequest, ofTraffic } from '../figures.ts';

export const cases: readonly Case[] = [
  {
    name: 'websocket',
    title: 'WebSocket echo: frames of 100 bytes over 64 kept WebSockets; a request is a frame and its echo',
    load: { mode: 'socket', connections: 64, path: '/socket' },
    contenders: [...peers, 'mitmproxy'],
    figures: [cpuPerRequest, ...ofTraffic],
    ratios: [...besidePeers, ['alter', 'tunnel']],
    slow: true,
  },
];
