/**
 * What one proxied request costs in audit: `node bench/audit-cost.ts [seconds]`. 64 callers in a closed loop record a
 * decision, wait for it, and record an outcome, over each store and in each mode. Figures are CPU microseconds per request,
 * of the main thread and of all others, above those of the same loop without audit.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueId } from '../core/id.ts';
import { parseAuthority } from '../core/origin.ts';
import type { Caller } from '../core/runtime-key.ts';
import { AuditTrail } from '../proxy/audit.ts';
import type { Verdict } from '../proxy/authorize.ts';
import { startRedis } from '../test/support/redis.ts';
import { AuditLog } from '../vault/audit/audit-log.ts';
import { openLocalKms } from '../vault/keys/kms-local.ts';
import type { Store } from '../vault/store/store.ts';
import { openRedisStore } from '../vault/store/store-redis.ts';
import { openSqliteStore } from '../vault/store/store-sqlite.ts';
import { openVault } from '../vault/vault.ts';

const callers = 64;
/** What the rest of the proxy does for a request before the decision, and after it: the loop is never free at once. */
const roundsBefore = 16_000;
const roundsAfter = 12_000;
/** Connections that one turn of the event loop finds readable. */
const perTurn = 8;

type Mode = 'none' | 'buffered' | 'strict';

/** Runs what is queued, `perTurn` a turn of the event loop, as sockets that became readable would. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #pending = false;

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#pending) return;
    this.#pending = true;
    setImmediate(() => {
      this.#pending = false;
      for (const run of this.#waiting.splice(0, perTurn)) run();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }
}

/** Rounds of work, not time: a thread that was preempted still has its work to do. About 10 ns each. */
function spin(rounds: number): number {
  let x = 1;
  for (let i = 0; i < rounds; i++) x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + i;
  return x;
}

async function measure(
  store: Store,
  mode: Mode,
  seconds: number,
): Promise<{ main: number; others: number; rps: number; perAppend: number }> {
  const clock = Date.now;
  const vault = await openVault({ store, kms: openLocalKms({ rootKey }), clock });
  const appId = (await vault.apps.create({ name: issueId(clock()) })).value.id;
  await vault.keyring.of(appId);
  const log = new AuditLog({ vault, writer: 'bench', mode: mode === 'none' ? 'strict' : mode });
  const targets = { log, file: null, uses: null, clock };
  const origin = parseAuthority('api.example.com:443', 'https', 443);
  const grantId = issueId(clock());
  const tags = { grant: grantId, reason: null, caller: 'bench', context: null, userToken: null };
  const caller = { key: { appId, id: 'k7Tq2mXw9LpR', agentId: null } } as unknown as Caller;
  const verdict = {
    delegation: null,
    grant: { id: grantId, principal: { type: 'system' } },
    secret: { id: issueId(clock()), slug: 'stripe-live', version: 3 },
    refusal: null,
    leave: { grant: null, rates: [] },
  } as unknown as Verdict;
  const turns = new Turns();
  let appends = 0;
  const append = store.append.bind(store);
  store.append = (...of) => {
    appends++;
    return append(...of);
  };
  let requests = 0;
  let running = true;
  const loop = async (): Promise<void> => {
    while (running) {
      await turns.next();
      spin(roundsBefore);
      if (mode === 'none') {
        await turns.next();
        spin(roundsAfter);
      } else {
        const trail = new AuditTrail(targets, 'request', '127.0.0.1');
        trail.sawRequest('GET', origin, '/v1/charges', tags as never);
        trail.sawCaller(caller);
        trail.sawUser(null);
        await trail.decide(verdict);
        await turns.next();
        spin(roundsAfter);
        trail.complete({ status: 200, end: 'complete' }, verdict.leave!);
      }
      requests++;
    }
  };
  const loops = Array.from({ length: callers }, loop);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const from = { requests, appends, at: performance.now(), all: process.cpuUsage(), main: process.threadCpuUsage() };
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const all = process.cpuUsage(from.all);
  const main = process.threadCpuUsage(from.main);
  const count = requests - from.requests;
  const elapsed = (performance.now() - from.at) / 1000;
  running = false;
  await Promise.all(loops);
  await log.close();
  const mainUs = main.user + main.system;
  return {
    main: mainUs / count,
    others: (all.user + all.system - mainUs) / count,
    rps: count / elapsed,
    perAppend: count / (appends - from.appends),
  };
}

const rootKey = randomBytes(32);
const seconds = Number(process.argv[2] ?? 3);
const only = process.argv[3];
const directory = mkdtempSync(join(tmpdir(), 'alter-audit-cost-'));
const redis = await startRedis({ appendonly: true });
const stores = {
  sqlite: await openSqliteStore({ path: join(directory, 'alter.db') }),
  redis: await openRedisStore({ url: redis.url }),
};
try {
  for (const [name, store] of Object.entries(stores)) {
    const rows = [];
    for (const mode of ['none', 'buffered', 'strict'] as const)
      if (only === undefined || only === `${name}-${mode}` || mode === 'none')
        rows.push({ mode, ...(await measure(store, mode, seconds)) });
    for (const { mode, main, others, rps, perAppend } of rows.slice(1)) {
      const [base] = rows;
      process.stdout.write(
        `${name} ${mode}: main ${(main - base!.main).toFixed(1)} µs, other threads ${(others - base!.others).toFixed(1)} µs a request (${Math.round(rps)} requests/s, ${perAppend.toFixed(1)} an append, without audit ${base!.main.toFixed(1)} µs)\n`,
      );
    }
  }
} finally {
  for (const store of Object.values(stores)) await store.close();
  await redis.stop();
  rmSync(directory, { recursive: true });
}
