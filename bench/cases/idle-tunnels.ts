import type { Case } from '../case.ts';
import { besidePeers, interceptors } from '../contenders.ts';
import { rss, rssPerTunnel } from '../figures.ts';
import { smallJson } from '../upstream.ts';

function idleTunnels(connections: number): Case {
  return {
    name: connections === 1_000 ? 'idle-tunnels' : `idle-tunnels-${connections}`,
    title: `${connections.toLocaleString('en')} idle tunnels, each after one request, and each used once more afterwards`,
    load: { mode: 'idle', connections, path: '/small', expectBytes: smallJson.length },
    contenders: connections === 1_000 ? [...interceptors, 'tunnel'] : interceptors,
    figures: [rssPerTunnel, rss],
    ratios: besidePeers,
    restart: true,
    slow: connections !== 1_000,
  };
}

export const cases: readonly Case[] = [idleTunnels(1_000), idleTunnels(5_000)];
