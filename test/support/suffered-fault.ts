import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, insist } from './in-parallel.ts';
import { type Redis, startRedis } from './redis.ts';
import { Rig } from './rig.ts';
import { StallingRelay } from './stalling-relay.ts';
import { startStopwatch } from './stopwatch.ts';
import { Traffic } from './traffic.ts';

export const stalenessMs = 1_000;
/** Longer than an answer of the store may take. */
export const brokenMs = stalenessMs + 1_500;

export interface Fault {
  /** Resolves when the store is broken; `healed` when it is whole again by itself. */
  readonly strike: (redis: Redis, relay: StallingRelay) => Promise<{ readonly healed: Promise<unknown> } | null>;
  readonly heal?: (redis: Redis, relay: StallingRelay) => unknown;
}

export interface Outcome {
  readonly usesBefore: number;
  /** After the fault. */
  readonly lastUseMs: number;
  readonly firstRefusalMs: number;
  readonly refusals: readonly string[];
  readonly wasUnready: boolean;
  /** After the healing; null where nothing heals it. */
  readonly recoveryMs: number | null;
  readonly readyMs: number | null;
  readonly canariesInLog: number;
}

interface Opened {
  readonly redis: Redis;
  readonly relay: StallingRelay;
  readonly rig: Rig;
  close(): Promise<void>;
}

/** A store that breaks and heals, under requests that go on. */
export async function suffer(fault: Fault, audit: 'strict' | 'buffered'): Promise<Outcome> {
  const opened = await insist(() => open(audit)); // a busy machine may hold up a start for too long
  try {
    return await sufferAt(opened, fault);
  } finally {
    await opened.close();
  }
}

async function open(audit: 'strict' | 'buffered'): Promise<Opened> {
  const redis = await startRedis({ appendonly: true, args: ['--enable-debug-command', 'yes'] });
  const relay = await StallingRelay.open(redis.port);
  const settings = {
    ALTER_STORE_URL: `redis://127.0.0.1:${relay.port}`,
    ALTER_MAX_STALENESS: `${stalenessMs}ms`,
    ALTER_AUDIT: audit,
  };
  const close = async (): Promise<void> => {
    await relay.close();
    await redis.stop();
  };
  try {
    const rig = await Rig.open({ settings });
    return { redis, relay, rig, close: () => rig.close().then(close) };
  } catch (error) {
    await close();
    throw error;
  }
}

async function sufferAt({ redis, relay, rig }: Opened, fault: Fault): Promise<Outcome> {
  const secret = await insist(() => rig.storeSecret({ hosts: [rig.authorityOf()] }));
  const { key } = await insist(() => rig.mintKey());
  const isReady = async () => (await fetch(`http://127.0.0.1:${rig.service.ops.port}/readyz`)).status === 200;
  const traffic = new Traffic({ rig, secret, key, proxyPorts: [rig.proxyPort, rig.proxyPort] });
  await eventually(() => traffic.answers.filter(({ status }) => status === 200).length > 10);
  const usesBefore = traffic.answers.length;
  const struck = await fault.strike(redis, relay);
  const struckAt = performance.now();
  const elapsedMs = startStopwatch();
  const brokenUntil = struckAt + brokenMs;
  let wasUnready = false;
  while (performance.now() < brokenUntil) {
    wasUnready ||= !(await isReady());
    await sleep(50);
  }
  await (struck === null ? fault.heal?.(redis, relay) : struck.healed);
  const healedAt = performance.now();
  const heldUpMs = healedAt - struckAt - elapsedMs();
  const elapsedSinceMs = startStopwatch();
  const heals = struck !== null || fault.heal !== undefined;
  // Not of what came after: a store that heals by itself serves the proxy before this process is told.
  const lastUseAt = traffic.lastUseBefore(brokenUntil);
  let recoveryMs: number | null = null;
  let readyMs: number | null = null;
  if (heals) {
    await eventually(() => traffic.firstAfter(healedAt, ({ status }) => status === 200) !== undefined);
    recoveryMs = elapsedSinceMs();
    await eventually(isReady);
    readyMs = elapsedSinceMs();
  }
  await traffic.stop();
  const refused = traffic.answers.filter(({ status, answeredAt }) => status !== 200 && answeredAt < healedAt);
  return {
    usesBefore,
    lastUseMs: lastUseAt - struckAt - heldUpMs,
    firstRefusalMs: (refused[0]?.answeredAt ?? Number.POSITIVE_INFINITY) - struckAt - heldUpMs,
    refusals: [...new Set(refused.map(({ status, code }) => `${status} ${code}`))],
    wasUnready,
    recoveryMs,
    readyMs,
    canariesInLog: rig.canaries.filter((canary) => rig.logText.includes(canary)).length,
  };
}
