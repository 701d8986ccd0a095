import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel } from '../support/in-parallel.ts';
import type { Redis } from '../support/redis.ts';
import { root } from '../support/source-files.ts';
import type { StallingRelay } from '../support/stalling-relay.ts';
import { brokenMs, type Fault, type Outcome, stalenessMs, suffer } from '../support/suffered-fault.ts';

/*
 * The store fails in every way that it has, under requests that go on. What is judged is when the credential reached the
 * upstream, by the upstream's clock, and what the client got.
 */
const other = ['-a', 'other', '--no-auth-warning'];

/** A fault that something heals. */
function one(strike: (redis: Redis, relay: StallingRelay) => unknown): Fault['strike'] {
  return async (redis, relay) => {
    await strike(redis, relay);
    return null;
  };
}

const config = (redis: Redis, ...words: string[]) => redis.cli('CONFIG', 'SET', ...words);

const faults = {
  'dies (SIGKILL)': { strike: one((redis) => redis.kill()), heal: (redis) => redis.restart() },
  'hangs (SIGSTOP)': { strike: one((redis) => redis.pause()), heal: (redis) => redis.resume() },
  'is busy (DEBUG SLEEP)': {
    strike: (redis) => begin(redis, `DEBUG SLEEP ${brokenMs / 1_000}`),
  },
  'is cut off, with connections that stay open (half-open)': {
    strike: one((_, relay) => relay.stall()),
    heal: (_, relay) => relay.goOn(),
  },
  'is full (maxmemory)': {
    strike: one((redis) => config(redis, 'maxmemory', '1')),
    heal: (redis) => config(redis, 'maxmemory', '0'),
  },
  'loads its data (-LOADING)': {
    strike: async (redis) => {
      const keys = Number(await redis.cli('DBSIZE'));
      await config(redis, 'key-load-delay', String(Math.round((brokenMs * 1_000) / keys)));
      await config(redis, 'loading-process-events-interval-bytes', '1024');
      return begin(redis, 'DEBUG RELOAD');
    },
  },
  'becomes a read-only replica of nobody': {
    strike: one((redis) => redis.cli('REPLICAOF', '127.0.0.1', '1')),
    heal: (redis) => redis.cli('REPLICAOF', 'NO', 'ONE'),
  },
  'wants another password': {
    strike: one(async (redis) => {
      await config(redis, 'requirepass', 'other');
      await redis.cli(...other, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    }),
    heal: (redis) => redis.cli(...other, 'CONFIG', 'SET', 'requirepass', ''),
  },
  'was emptied (FLUSHALL)': { strike: one((redis) => redis.cli('FLUSHALL')) },
} satisfies Readonly<Record<string, Fault>>;

/**
 * Begins a command that keeps the server from everything else. Through a connection that stands already, so that it begins
 * now and not when a program has started.
 */
async function begin(redis: Redis, command: string): Promise<{ readonly healed: Promise<void> }> {
  const socket = connect(redis.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`${command}\r\n`);
  return { healed: once(socket, 'data').then(() => void socket.destroy()) };
}

type FaultName = keyof typeof faults;
const all = Object.keys(faults) as FaultName[];
/** Where a record is waited for, most faults refuse at once; all of them with TEST_LONG. */
const ofStrict: readonly FaultName[] =
  process.env.TEST_LONG === undefined ? ['dies (SIGKILL)', 'hangs (SIGSTOP)', 'is full (maxmemory)'] : all;
const cases = [
  ...ofStrict.map((name) => ({ name, audit: 'strict' as const })),
  ...all.map((name) => ({ name, audit: 'buffered' as const })),
];

const canDrop =
  process.getuid?.() === 0 &&
  ['nft', 'unshare', 'ip'].every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0) &&
  spawnSync('unshare', ['--net', 'nft', 'list', 'ruleset']).status === 0;

function judge(name: string, outcome: Outcome): void {
  expect(outcome.lastUseMs).toBeLessThanOrEqual(stalenessMs + 250);
  expect(outcome.firstRefusalMs).toBeLessThanOrEqual(stalenessMs + 2_000);
  const expected = name.includes('FLUSHALL')
    ? /^503 (state_|audit_unavailable)/
    : /^503 (state_unavailable|audit_unavailable)$/;
  for (const refusal of outcome.refusals) expect(refusal).toMatch(expected);
  expect(outcome.recoveryMs ?? 0).toBeLessThanOrEqual(5_000);
  expect(outcome.readyMs ?? 0).toBeLessThanOrEqual(5_000);
  // Readiness tells of what can't be read; what can't be written is refused and counted.
  if (!/full|read-only/.test(name)) expect(outcome.wasUnready).toBe(true);
  expect(outcome.canariesInLog).toBe(0);
}

describe('when the store', () => {
  const outcomes = new Map<string, Outcome | Error>();
  beforeAll(async () => {
    await inParallel(cases, 4, async ({ name, audit }) => {
      outcomes.set(`${audit} ${name}`, await suffer(faults[name], audit).catch((error: Error) => error));
    });
  }, 180_000);

  it.each(cases)(
    '$name, no credential leaves beyond ALTER_MAX_STALENESS, and it recovers ($audit)',
    ({ name, audit }) => {
      const outcome = outcomes.get(`${audit} ${name}`)!;
      if (outcome instanceof Error) throw outcome;
      judge(name, outcome);
    },
  );

  (canDrop ? it : it.skip)(
    'is cut off by a network that loses every packet, no credential leaves beyond ALTER_MAX_STALENESS, and it recovers (needs root and nft)',
    async () => {
      const { stdout } = await promisify(execFile)('unshare', [
        ...['--net', process.execPath, '--disable-warning=ExperimentalWarning'],
        join(root, 'test/support/dropped-packets.ts'),
      ]);
      judge('half-open', JSON.parse(stdout) as Outcome);
    },
  );
});
