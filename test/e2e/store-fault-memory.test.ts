import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { issueId } from '../../core/id.ts';
import { eventually } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { ServedRig } from '../support/served-rig.ts';
import { StallingRelay } from '../support/stalling-relay.ts';
import { basic, exchangeRaw } from '../support/tunnel-client.ts';

/*
 * Requests come at a steady rate on a connection each, however long the ones before wait: what waits for a store that hangs
 * must not grow with the time for which it hangs. STORE_HANGS_SECONDS says how long that is.
 */
const hangsMs = 1_000 * Number(process.env.STORE_HANGS_SECONDS ?? 4);
const perSecond = 200;
/** Until the memory of a process that serves has become what it stays. */
const warmUpMs = 2_000;
const stalenessMs = 1_000;
const mayGrowMib = 50;
/** Fewer than the connections that one key may have. */
const mayWait = 800;
/**
 * Where what is young lives a little longer, V8 takes some 100 MiB more for it, and gives them back as late as it likes.
 * Kept from that, what the process holds is what it needs.
 */
const frugal = '--max-old-space-size=128 --max-semi-space-size=2';

const faults = {
  'hangs (SIGSTOP)': { strike: (redis: Redis) => redis.pause(), heal: (redis: Redis) => redis.resume() },
  'is cut off, with connections that stay open': {
    strike: (_: Redis, relay: StallingRelay) => relay.stall(),
    heal: (_: Redis, relay: StallingRelay) => relay.goOn(),
  },
};

function residentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024;
}

class Flood {
  /** How often each was the answer. */
  readonly answers = new Map<string, number>();
  waiting = 0;
  mostWaiting = 0;
  readonly #ask: (number: number) => Promise<string>;
  readonly #timer: NodeJS.Timeout;

  constructor(ask: (number: number) => Promise<string>) {
    this.#ask = ask;
    const begunAt = performance.now();
    let asked = 0;
    // A timer that came late makes up for it.
    this.#timer = setInterval(() => {
      for (; asked < ((performance.now() - begunAt) * perSecond) / 1_000; asked++)
        if (this.waiting < mayWait) void this.#one(asked);
    }, 5);
  }

  forget(): void {
    this.answers.clear();
    this.mostWaiting = this.waiting;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await eventually(() => this.waiting === 0);
  }

  async #one(number: number): Promise<void> {
    this.waiting++;
    this.mostWaiting = Math.max(this.mostWaiting, this.waiting);
    const outcome = await this.#ask(number);
    this.waiting--;
    this.answers.set(outcome, (this.answers.get(outcome) ?? 0) + 1);
  }
}

const cases = [
  { name: 'hangs (SIGSTOP)', audit: 'strict' },
  { name: 'is cut off, with connections that stay open', audit: 'buffered' },
] as const;

// One of them where it is waited for.
it.each(process.env.STORE_HANGS_SECONDS === undefined ? cases.slice(0, 1) : cases)(
  `a store that $name for ${hangsMs / 1_000} seconds of requests does not make memory grow ($audit)`,
  async ({ name, audit }) => {
    const redis = await startRedis({ appendonly: true });
    const relay = await StallingRelay.open(redis.port);
    const rig = await ServedRig.open({
      redis,
      settings: {
        ALTER_STORE_URL: `redis://127.0.0.1:${relay.port}`,
        ALTER_MAX_STALENESS: `${stalenessMs}ms`,
        ALTER_AUDIT: audit,
        NODE_OPTIONS: frugal,
      },
    });
    let flood: Flood | null = null;
    let watch: NodeJS.Timeout | undefined;
    try {
      const { grantId } = await rig.storeSecret();
      const { key } = await rig.mintKey();
      const body = 'x'.repeat(64 * 1_024);
      flood = new Flood(async (number) => {
        // What is in memory, with and without a body that waits with it; and what the store has to be asked for.
        const kind = number % 3;
        const head = [
          `${kind === 1 ? 'POST' : 'GET'} https://${rig.target}/ HTTP/1.1`,
          `Host: ${rig.target}`,
          `Proxy-Authorization: ${basic('x', key)}`,
          `X-Alter-Grant: ${kind === 2 ? issueId(Date.now()) : grantId}`,
          ...(kind === 1 ? [`Content-Length: ${body.length}`] : []),
        ];
        const bytes = `${head.join('\r\n')}\r\n\r\n${kind === 1 ? body : ''}`;
        const { status, headers } = await exchangeRaw(rig.proxyPort, bytes);
        return `${status} ${headers['x-alter-error'] ?? ''}`.trim();
      });
      const pid = rig.child.pid!;
      let peakMib = 0;
      watch = setInterval(() => {
        peakMib = Math.max(peakMib, residentMib(pid));
      }, 50);
      await sleep(warmUpMs);
      expect(flood.answers.get('200')).toBeGreaterThan(0);
      const beforeMib = peakMib;

      faults[name].strike(redis, relay);
      flood.forget();
      await sleep(hangsMs);
      const duringMib = peakMib;
      const { mostWaiting } = flood;
      const during = new Map(flood.answers);
      faults[name].heal(redis, relay);
      flood.forget();
      await eventually(() => flood!.answers.has('200'));
      if (process.env.STORE_HANGS_SECONDS !== undefined) {
        const figures = [beforeMib, duringMib, peakMib].map((mib) => mib.toFixed(0));
        process.stdout.write(
          `before, during, after: ${figures.join(', ')} MiB; ${mostWaiting} waited; ${JSON.stringify([...during])}\n`,
        );
      }

      expect(peakMib - beforeMib).toBeLessThan(mayGrowMib);
      // 0: a client on a busy machine read its answer so late that the proxy had hung up.
      const refusals = [...during.keys()].filter((outcome) => !/^(200|403 grant_not_found|0)$/.test(outcome));
      expect(refusals.length).toBeGreaterThan(0);
      for (const outcome of refusals) expect(outcome).toMatch(/^503 (state|audit)_unavailable$/);
    } finally {
      clearInterval(watch);
      await flood?.stop();
      await rig.close();
      await relay.close();
      await redis.stop();
    }
  },
  hangsMs + 60_000,
);
