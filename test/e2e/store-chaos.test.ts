import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Service } from '../../serve/service.ts';
import { eventually, insist } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { Rig } from '../support/rig.ts';
import { StallingRelay } from '../support/stalling-relay.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

interface AuditPage {
  readonly items: readonly { readonly grant_id: string }[];
  readonly next: string | null;
}

/*
 * Faults of the store one after the other, at random, under requests and changes. Nothing is judged while it runs: at the
 * end the upstream's log, the answers that were acknowledged and the store itself have to fit together.
 * `npm run chaos`: TEST_CHAOS_SECONDS says how long, TEST_SEED repeats the order of the faults.
 */
const seconds = Number(process.env.TEST_CHAOS_SECONDS ?? 4);
const seed = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const stalenessMs = 1_000;
const boundMs = stalenessMs + 250;

/** mulberry32 */
function makeRandom(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Kept {
  readonly id: string;
  readonly grantId: string;
  readonly canary: string;
  /** When the change was acknowledged, of `performance.now()`; null as long as it was not. */
  revokedAt: number | null;
  /** Asked for, whatever became of it. */
  revokeAsked: boolean;
}

let redis: Redis;
let relays: readonly [StallingRelay, StallingRelay];
let rig: Rig;
let other: Service;
beforeAll(async () => {
  redis = await startRedis({ appendonly: true, args: ['--enable-debug-command', 'yes', '--save', '1 1'] });
  relays = [await StallingRelay.open(redis.port), await StallingRelay.open(redis.port)];
  const [near, far] = relays.map(({ port }) => `redis://127.0.0.1:${port}`);
  rig = await Rig.open({ settings: { ALTER_STORE_URL: near!, ALTER_MAX_STALENESS: `${stalenessMs}ms` } });
  other = await rig.startBeside('proxy', { ALTER_STORE_URL: far! });
});
afterAll(async () => {
  for (const relay of relays) relay.goOn();
  await other?.close();
  await rig?.close();
  for (const relay of relays) await relay.close();
  await redis?.stop();
});

it(
  `keeps its promises through ${seconds} seconds of faults (TEST_SEED=${seed})`,
  async () => {
    const random = makeRandom(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const secrets: Kept[] = [];
    const arrivals: { readonly canary: string; readonly at: number }[] = [];
    rig.sink().answer = (request, response) => {
      const canary = /canary-[0-9a-f]{36}/.exec(JSON.stringify(request.headers))?.[0];
      if (canary !== undefined) arrivals.push({ canary, at: performance.now() });
      response.end('ok');
    };
    const { key } = await rig.mintKey();
    const make = async (): Promise<void> => {
      const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
      secrets.push({ ...secret, revokedAt: null, revokeAsked: false });
    };
    for (let index = 0; index < 4; index++) await make();

    let isOver = false;
    const ports = [rig.proxyPort, other.proxy!.address.port];
    const statuses = new Map<string, number>();
    const request = async (port: number): Promise<void> => {
      const target = rig.authorityOf();
      while (!isOver) {
        const { grantId } = secrets[Math.floor(Math.random() * secrets.length)]!;
        const socket = await connectTo(port);
        const reader = new AnswerReader(socket);
        const head = [`GET https://${target}/ HTTP/1.1`, `Host: ${target}`, `Proxy-Authorization: ${basic('x', key)}`];
        socket.write(`${[...head, `X-Alter-Grant: ${grantId}`].join('\r\n')}\r\n\r\n`);
        const { status, headers } = await reader.next();
        socket.destroy();
        const outcome = `${status} ${headers['x-alter-error'] ?? ''}`.trim();
        statuses.set(outcome, (statuses.get(outcome) ?? 0) + 1);
        await sleep(10);
      }
    };
    const change = async (): Promise<void> => {
      while (!isOver) {
        await sleep(60);
        const live = secrets.filter(({ revokeAsked }) => !revokeAsked);
        try {
          if (live.length < 4) await make();
          else {
            const secret = live[Math.floor(Math.random() * live.length)]!;
            secret.revokeAsked = true;
            await rig.admin('POST', `/grants/${secret.grantId}/revoke`);
            secret.revokedAt = performance.now();
          }
        } catch {
          // Not acknowledged: it may have happened or not.
        }
      }
    };
    const otherPassword = ['-a', 'other', '--no-auth-warning'];
    const faults: readonly (() => Promise<() => unknown>)[] = [
      async () => {
        await redis.kill();
        return () => redis.restart();
      },
      async () => {
        redis.pause();
        return () => redis.resume();
      },
      async () => {
        const relay = pick(relays);
        relay.stall();
        return () => relay.goOn();
      },
      async () => {
        await redis.cli('CONFIG', 'SET', 'maxmemory', '1');
        return () => redis.cli('CONFIG', 'SET', 'maxmemory', '0');
      },
      async () => {
        await redis.cli('REPLICAOF', '127.0.0.1', '1');
        return () => redis.cli('REPLICAOF', 'NO', 'ONE');
      },
      async () => {
        await redis.cli('CONFIG', 'SET', 'requirepass', 'other');
        await redis.cli(...otherPassword, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        return () => redis.cli(...otherPassword, 'CONFIG', 'SET', 'requirepass', '');
      },
      async () => {
        await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        return () => undefined;
      },
      async () => {
        await redis.cli('SCRIPT', 'FLUSH');
        return () => undefined;
      },
    ];
    const lanes = [...ports, ...ports].map(request);
    lanes.push(change());
    const end = performance.now() + seconds * 1_000;
    while (performance.now() < end) {
      await sleep(200 + random() * 600);
      const heal = await pick(faults)();
      await sleep(100 + random() * 1_500);
      await heal();
    }
    const healedAt = performance.now();
    await sleep(50);
    const before = arrivals.length;
    await make().catch(() => undefined);
    await eventually(() => arrivals.length > before + 5, 6_000);
    expect(performance.now() - healedAt).toBeLessThan(6_000);
    isOver = true;
    await Promise.all(lanes);

    // Nothing was used later than the bound after its revocation was acknowledged.
    const late = secrets.flatMap(({ canary, revokedAt }) =>
      arrivals.filter((use) => use.canary === canary && revokedAt !== null && use.at > revokedAt + boundMs),
    );
    expect(late).toEqual([]);

    // What was acknowledged is there. The store may still be about to come back.
    for (const { id, grantId, revokedAt } of secrets) {
      await insist(() => rig.admin('GET', `/managed-secrets/${id}`));
      const grant = await insist(() =>
        rig.admin<{ status?: string; revoked_at?: string | null }>('GET', `/grants/${grantId}`),
      );
      if (revokedAt !== null) expect(JSON.stringify(grant)).toMatch(/"revoked/);
    }

    // Every use has a decision of its own on record, and the record is whole.
    const decided = new Map<string, number>();
    let after: string | null = null;
    do {
      const query: string = `event=request.decided&decision=allow&order=asc&limit=200${after === null ? '' : `&after=${after}`}`;
      const page: AuditPage = await insist(() => rig.admin<AuditPage>('GET', `/audit?${query}`));
      for (const { grant_id: id } of page.items) decided.set(id, (decided.get(id) ?? 0) + 1);
      after = page.next;
    } while (after !== null);
    for (const { grantId, canary } of secrets) {
      const uses = arrivals.filter((use) => use.canary === canary).length;
      expect(uses).toBeLessThanOrEqual(decided.get(grantId) ?? 0);
    }
    expect(await rig.admin('POST', '/audit/verify', {})).toMatchObject({ intact: true });
    expect(arrivals.length).toBeGreaterThan(20);
    for (const status of statuses.keys())
      expect(status).toMatch(/^(200|503 (state|audit)_unavailable|403 grant_revoked)$/);

    // No credential, key or token stands in what Redis wrote, or in what the service logged.
    await redis.cli('SAVE');
    const media = readdirSync(redis.directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
    expect(media.some((text) => text.includes('alter:{'))).toBe(true);
    for (const canary of rig.canaries)
      expect([rig.logText, ...media].some((text) => text.includes(canary))).toBe(false);
  },
  (seconds + 60) * 1_000,
);
