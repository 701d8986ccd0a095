import type { Socket } from 'node:net';
import type { Exchange, Recheck } from '../exchange.ts';
import type { Tunnel } from '../tunnel.ts';
import type { Watched } from './watchdog.ts';

/** One connection of a workload, from accept to close, through everything that is opened inside it. */
export interface Client {
  /** The TCP connection; `watched.socket` is the one that HTTP is read from. */
  readonly socket: Socket;
  readonly watched: Watched;
  /** The peer, or who it says is behind it. */
  address: string;
  /** Whose connections this one is counted among. */
  readonly keyIds: string[];
  /** Whether it counts among the open tunnels, blind ones included. */
  isTunnel: boolean;
  tunnel: Tunnel | null;
  exchange: Exchange | null;
  /** The policy of a blind tunnel, which has no exchange. */
  recheck: Recheck | null;
}
