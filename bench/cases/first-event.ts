import type { Case } from '../case.ts';
import { besidePeers, peers } from '../contenders.ts';
import { cpuPerRequest, p50, p99, requestsPerSecond } from '../figures.ts';
import { firstEvent } from '../streams.ts';

export const cases: readonly Case[] = [
  {
    name: 'first-event',
    title: 'Server-sent events: from the request to the first event of a stream that then stays silent, 8 at a time',
    load: {
      mode: 'tunnel',
      connections: 8,
      firstByte: true,
      path: '/events',
      expectBytes: firstEvent.length,
    },
    contenders: [...peers, 'mitmproxy'],
    // The CPU time is that of a new tunnel, too.
    figures: [p50, p99, requestsPerSecond, cpuPerRequest],
    ratios: besidePeers,
    slow: true,
  },
];
