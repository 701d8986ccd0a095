import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, inParallel } from '../support/in-parallel.ts';
import { Random } from '../support/mutate.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { ServedRig } from '../support/served-rig.ts';
import { StallingRelay } from '../support/stalling-relay.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/*
 * Two proxy processes on one Redis, each under 100 requests a second, while what they use is taken back through the admin
 * service of the first, one after the other. The time of a revocation is that from its acknowledgement to the last
 * credential that arrived at the upstream. REVOKES says how many, TEST_SEED repeats what is asked.
 */
const revokes = Number(process.env.REVOKES ?? 60);
/** While the second proxy hears nothing of changes. */
const unheard = Math.ceil(revokes / 3);
const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
const random = new Random(seed);
const requestEveryMs = 10;
const revokeEveryMs = 50;
const stalenessMs = 2_000;
/** Requests to one proxy that may be unanswered: where the machine is too busy for all, a backlog would grow without end. */
const maxUnanswered = 100;
/** What was taken back or is going to be next is asked for most. */
const around = 20;

const ways = ['grant', 'key', 'secret'] as const;

interface Lease {
  readonly way: (typeof ways)[number];
  readonly secretId: string;
  readonly grantId: string;
  readonly canary: string;
  readonly keyId: string;
  readonly key: string;
  /** Since the acknowledgement: less what the machine had no time for, and by the clock. */
  elapsed: { readonly ms: () => number; readonly at: number } | null;
  /** When the credential arrived last after that, by proxy. */
  readonly lastMs: [number, number];
  readonly lastByClockMs: [number, number];
}

let redis: Redis;
let relay: StallingRelay;
let rig: ServedRig;
let beside: Awaited<ReturnType<ServedRig['startProxyBeside']>>;
const leases: Lease[] = [];
/** Of `leases`, the first that is not taken back. */
let next = 0;
let load: Load;

/** Asks a proxy at a steady rate, whatever becomes of it. */
class Load {
  readonly answers = new Map<string, number>();
  /** When a credential was last let out, by proxy. */
  readonly usedAt: [number, number] = [0, 0];
  readonly #idle: [Connection[], Connection[]] = [[], []];
  readonly #timer: NodeJS.Timeout;
  readonly #unanswered: [number, number] = [0, 0];
  #asked = 0;

  constructor(ports: readonly [number, number]) {
    this.#timer = setInterval(() => {
      this.#asked++;
      for (const [index, port] of ports.entries()) {
        const proxy = index as 0 | 1;
        if (this.#unanswered[proxy] >= maxUnanswered) continue;
        this.#unanswered[proxy]++;
        void this.#ask(proxy, port)
          .catch(() => undefined)
          .finally(() => this.#unanswered[proxy]--);
      }
    }, requestEveryMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const { socket } of this.#idle.flat()) socket.destroy();
  }

  async #ask(proxy: 0 | 1, port: number): Promise<void> {
    // Every other request is for what was taken back last.
    const last = Math.max(next - 1, 0);
    const at = this.#asked % 2 === 0 ? last : last - around + random.below(2 * around);
    const index = Math.min(Math.max(at, 0), leases.length - 1);
    const lease = leases[index]!;
    const connection = this.#idle[proxy].pop() ?? (await Connection.open(port));
    const head = [
      `GET https://${rig.target}/${index}/${proxy} HTTP/1.1`,
      `Host: ${rig.target}`,
      `Proxy-Authorization: ${basic('x', lease.key)}`,
      `X-Alter-Grant: ${lease.grantId}`,
    ];
    connection.socket.write(`${head.join('\r\n')}\r\n\r\n`);
    const { status, headers, cut } = await connection.reader.next();
    const outcome = `${status} ${headers['x-alter-error'] ?? ''}`.trim();
    this.answers.set(outcome, (this.answers.get(outcome) ?? 0) + 1);
    if (cut || headers.connection === 'close') connection.socket.destroy();
    else this.#idle[proxy].push(connection);
  }
}

class Connection {
  readonly socket: Awaited<ReturnType<typeof connectTo>>;
  readonly reader: AnswerReader;

  private constructor(socket: Awaited<ReturnType<typeof connectTo>>) {
    this.socket = socket;
    this.reader = new AnswerReader(socket);
  }

  static async open(port: number): Promise<Connection> {
    return new Connection(await connectTo(port));
  }
}

beforeAll(async () => {
  redis = await startRedis({ appendonly: true });
  relay = await StallingRelay.open(redis.port, { only: 'XREAD' });
  rig = await ServedRig.open({
    redis,
    settings: {
      ALTER_MAX_STALENESS: `${stalenessMs}ms`,
      ALTER_MAX_KEY_FAILURES_PER_MINUTE: '1000000', // keys that are revoked go on being used
      ALTER_LOG_LEVEL: 'warn',
    },
  });
  beside = await rig.startProxyBeside({ ALTER_STORE_URL: `redis://127.0.0.1:${relay.port}` });
  const shared = await rig.mintKey();
  await inParallel(
    Array.from({ length: revokes + 2 * unheard + around }, (_, index) => index), // enough for the second test to be repeated
    8,
    async (index) => {
      const { id: secretId, grantId, canary } = await rig.storeSecret();
      const way = ways[index % ways.length]!;
      const { id: keyId, key } = way === 'key' ? await rig.mintKey() : shared; // an app may have 1,000 keys
      const since: Pick<Lease, 'elapsed' | 'lastMs' | 'lastByClockMs'> = {
        elapsed: null,
        lastMs: [0, 0],
        lastByClockMs: [0, 0],
      };
      leases.push({ way, secretId, grantId, canary, keyId, key, ...since });
    },
  );
  rig.sink.answer = ({ url = '', headers }, response) => {
    response.end('ok');
    const [, index, by] = url.split('/');
    const lease = leases[Number(index)]!;
    const proxy = Number(by) as 0 | 1;
    if (!JSON.stringify(headers).includes(lease.canary)) return;
    load.usedAt[proxy] = performance.now();
    if (lease.elapsed === null) return;
    lease.lastMs[proxy] = lease.elapsed.ms();
    lease.lastByClockMs[proxy] = performance.now() - lease.elapsed.at;
  };
  load = new Load([rig.proxyPort, beside.port]);
  const begunAt = performance.now();
  await eventually(() => load.usedAt.every((at) => at > begunAt));
}, 600_000);
afterAll(async () => {
  load?.stop();
  beside?.child.kill('SIGKILL');
  await rig?.close();
  await relay?.close();
  await redis?.stop();
});

/** Takes the next one back; resolves when that is acknowledged. */
async function takeBack(): Promise<Lease> {
  const lease = leases[next]!;
  const { way, secretId, grantId, keyId } = lease;
  if (way === 'grant') await rig.admin('POST', `/grants/${grantId}/revoke`);
  else if (way === 'key') await rig.admin('POST', `/keys/${keyId}/revoke`);
  else await rig.admin('DELETE', `/managed-secrets/${secretId}`);
  lease.elapsed = { ms: startStopwatch(rig.child.pid!, beside.child.pid!), at: performance.now() };
  next++;
  return lease;
}

async function takeBackMany(count: number): Promise<readonly Lease[]> {
  const taken: Lease[] = [];
  for (let index = 0; index < count; index++) {
    const dueAt = performance.now() + revokeEveryMs;
    taken.push(await takeBack());
    await sleep(Math.max(0, dueAt - performance.now()));
  }
  return taken;
}

const at = (times: readonly number[], part: number): number =>
  [...times].sort((a, b) => a - b)[Math.ceil(times.length * part) - 1]!;

/** For who asked for a longer run. */
function tell(what: string, of: readonly Lease[]): void {
  if (process.env.REVOKES === undefined) return;
  const times = of.flatMap(({ lastByClockMs }) => lastByClockMs);
  const [half, most, longest] = [0.5, 0.99, 1].map((part) => at(times, part).toFixed(1));
  process.stdout.write(`${what}: ${of.length} taken back, p50 ${half} ms, p99 ${most} ms, longest ${longest} ms\n`);
}

/** A store that a busy machine holds up may be unavailable at any time. */
function judgeAnswers(): void {
  for (const answer of load.answers.keys())
    expect(answer).toMatch(/^(200|403 grant_revoked|407 key_revoked|503 (state|audit)_unavailable)$/);
}

describe(`of what two proxies use at 100 requests a second each (seed ${seed})`, () => {
  it(`${revokes} that are taken back are used by neither a second after it was acknowledged`, async () => {
    const taken = await takeBackMany(revokes);
    await sleep(stalenessMs / 2);
    tell('change feed heard', taken);
    const times = taken.flatMap(({ lastMs }) => lastMs);
    expect(at(times, 0.99)).toBeLessThanOrEqual(1_000);
    expect(Math.max(...times)).toBeLessThanOrEqual(stalenessMs);
    judgeAnswers();
  });

  it(`${unheard} that are taken back while one of them hears of no change are not used longer than it may be stale`, async () => {
    const taken: Lease[] = [];
    const perRound = 20; // about as many as fit into the time for which it goes on
    while (taken.length < unheard) {
      relay.stall();
      const stalledAt = performance.now();
      taken.push(...(await takeBackMany(Math.min(perRound, unheard - taken.length))));
      await eventually(() => performance.now() - Math.max(load.usedAt[1], stalledAt) > stalenessMs / 2);
      const goesOnAt = performance.now();
      relay.goOn();
      await eventually(() => load.usedAt[1] > goesOnAt);
    }
    await sleep(stalenessMs / 2);
    tell('change feed cut off', taken);
    expect(Math.max(...taken.map(({ lastMs }) => lastMs[0]))).toBeLessThanOrEqual(stalenessMs);
    expect(Math.max(...taken.map(({ lastMs }) => lastMs[1]))).toBeLessThanOrEqual(stalenessMs + 1_000);
    // It did go on for a while with what it knew, or nothing was tested; and then said why it did not.
    expect(Math.max(...taken.map(({ lastByClockMs }) => lastByClockMs[1]))).toBeGreaterThan(0);
    expect(load.answers.get('503 state_unavailable')).toBeGreaterThan(0);
    judgeAnswers();
  });
});
