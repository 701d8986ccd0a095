import type { Socket } from 'node:net';
import type { Config } from '../../core/config.ts';

/**
 * What a client connection is doing. A server that is fed by `emit('connection')` keeps none of Node's own timers, and a
 * socket after CONNECT has none either, so this is the only thing that ends a stalled one.
 */
export type Phase =
  /** Connected, or a tunnel was opened: the first byte has not come. */
  | 'first-byte'
  /** A head began to arrive. */
  | 'head'
  | 'handshake'
  /** Between two requests. */
  | 'idle'
  /** The proxy is deciding, dialling or waiting for an upstream's head. */
  | 'answer'
  /** A body moves, and the client should send or read. */
  | 'body'
  /** The answer has begun and pauses. */
  | 'stream'
  /** A blind tunnel. */
  | 'tunnel';

export type PhaseLimits = Readonly<Record<Phase, number>>;

/** Which setting ends which phase. */
export function phaseLimits(timeouts: Config['timeouts']): PhaseLimits {
  return {
    'first-byte': timeouts.firstByteMs,
    head: timeouts.headerMs,
    handshake: timeouts.tlsMs,
    idle: timeouts.tunnelIdleMs,
    answer: timeouts.responseMs,
    body: timeouts.bodyIdleMs,
    stream: timeouts.streamIdleMs,
    tunnel: timeouts.tunnelIdleMs,
  };
}

export interface Watched {
  /** Where bytes are counted; changes from the TCP to the TLS socket once that is up. */
  socket: Socket;
  phase: Phase;
  /** What the first byte begins. */
  behindFirstByte: 'head' | 'handshake';
  /** One more with every request that began or ended: two sweeps may see `idle` with a whole request in between. */
  turn: number;
  /** Asked on every sweep while a request is under way. */
  current: (() => Phase) | null;
  /** Called once when the time of the phase is over; then the connection is no longer watched. */
  expired: (phase: Phase) => void;
}

interface State {
  sinceMs: number;
  bytes: number;
  phase: Phase;
  turn: number;
}

/** Phases in which a byte is progress. A head has a time of its own, however slowly it drips. */
const renewedByBytes: ReadonlySet<Phase> = new Set(['body', 'stream', 'tunnel', 'answer']);

/** One sweep over all connections instead of a timer for each: nothing is armed or cleared on the path of a request. */
export class Watchdog {
  readonly #watched = new Map<Watched, State>();
  readonly #limits: PhaseLimits;
  readonly #timer: NodeJS.Timeout;
  readonly #alsoOnSweep: (nowMs: number) => void;

  /** `limits` in milliseconds. */
  constructor(limits: PhaseLimits, alsoOnSweep: (nowMs: number) => void) {
    this.#limits = limits;
    this.#alsoOnSweep = alsoOnSweep;
    const shortest = Math.min(...Object.values(limits));
    this.#timer = setInterval(() => this.sweep(performance.now()), Math.min(1_000, Math.max(25, shortest / 4)));
    this.#timer.unref();
  }

  /** A connection that was just accepted. */
  watch(watched: Watched): void {
    this.#watched.set(watched, {
      sinceMs: performance.now(),
      bytes: 0,
      phase: watched.phase,
      turn: watched.turn,
    });
  }

  forget(watched: Watched): void {
    this.#watched.delete(watched);
  }

  sweep(nowMs: number): void {
    for (const [watched, state] of this.#watched) {
      const bytes = bytesOf(watched.socket);
      const moved = bytes !== state.bytes;
      state.bytes = bytes;
      const turned = watched.turn !== state.turn;
      state.turn = watched.turn;
      if (watched.current !== null) watched.phase = watched.current();
      else if (moved && !turned && watched.phase === 'idle') watched.phase = 'head';
      else if (moved && !turned && watched.phase === 'first-byte') watched.phase = watched.behindFirstByte;
      if (turned || watched.phase !== state.phase || (moved && renewedByBytes.has(watched.phase))) {
        state.phase = watched.phase;
        state.sinceMs = nowMs;
      } else if (nowMs - state.sinceMs >= this.#limits[watched.phase]) {
        this.#watched.delete(watched);
        watched.expired(watched.phase);
      }
    }
    this.#alsoOnSweep(nowMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#watched.clear();
  }
}

function bytesOf(socket: Socket): number {
  return socket.bytesRead + socket.bytesWritten;
}
