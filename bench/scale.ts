/**
 * What the number of grants and secrets costs, on one Redis: `node bench/scale.ts [grants,grants,…]` (10000,100000 unless
 * given; a million takes minutes and some gigabytes of memory for Redis). A tenth as many secrets. The service is a process
 * of its own. Written to bench/results.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inParallel } from '../test/support/in-parallel.ts';
import { startRedis } from '../test/support/redis.ts';
import { ServedRig } from '../test/support/served-rig.ts';
import { AnswerReader, basic, connectTo } from '../test/support/tunnel-client.ts';
import { openLocalKms } from '../vault/keys/kms-local.ts';
import { ReadModel } from '../vault/read-model.ts';
import { SecretValue } from '../vault/secret-value.ts';
import type { Store } from '../vault/store/store.ts';
import { openStore } from '../vault/store/store-url.ts';
import { openVault } from '../vault/vault.ts';
import { describeMachine } from './machine.ts';

const sizes = (process.argv[2] ?? '10000,100000').split(',').map(Number);
const grantsPerSecret = 10;
const asked = 300;

interface Row {
  readonly grants: number;
  readonly secrets: number;
  readonly loadedPerSecond: number;
  readonly redisMiB: number;
  readonly startedMiB: number;
  readonly servingMiB: number;
  readonly coldMs: number;
  readonly connectingMs: number;
  readonly hotMs: number;
  readonly coldRoundTrips: number;
  readonly hotRoundTrips: number;
  readonly firstPageMs: number;
  readonly lastPageMs: number;
  readonly ofOneSecretMs: number;
  readonly guard: GuardCost;
}

/** Of the same read and the same change, by way of epochs and floors, and past them. */
interface GuardCost {
  readonly readMs: number;
  readonly guardedReadMs: number;
  readonly commitMs: number;
  readonly guardedCommitMs: number;
}

/** Counts what is asked of a store to read. */
function counting(store: Store): { readonly store: Store; readonly count: () => number } {
  let count = 0;
  const counted = new Set<PropertyKey>(['get', 'findByName', 'findByTags', 'list']);
  const proxy = new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (counted.has(name)) count++;
      return value.bind(target);
    },
  });
  return { store: proxy, count: () => count };
}

/** What it takes when nothing else is in the way: other programs on the machine only ever add to a time. */
const lowerDecile = (times: readonly number[]): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length / 10)] ?? 0;
const round = (value: number): number => Math.round(value * 100) / 100;

function residentMiB(pid: number): number {
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);
}

/** In turns, so that a slow moment of the machine hits both. */
async function measureGuard(of: {
  readonly guarded: Store;
  readonly bare: Store;
  readonly space: string;
  readonly grantIds: readonly string[];
}): Promise<GuardCost> {
  const times = {
    read: [] as number[],
    guardedRead: [] as number[],
    commit: [] as number[],
    guardedCommit: [] as number[],
  };
  const timed = async (into: number[], work: () => Promise<unknown>): Promise<void> => {
    const begunAt = performance.now();
    await work();
    into.push(performance.now() - begunAt);
  };
  const put = (id: string, expectedRevision: number) =>
    [{ kind: 'put', type: 'bench', id, expectedRevision, body: Buffer.alloc(300, 1), tags: [], names: [] }] as const;
  for (const id of of.grantIds) {
    const place = [{ type: 'grant', id }];
    await timed(times.read, () => of.bare.get(of.space, place));
    await timed(times.guardedRead, () => of.guarded.get(of.space, place));
    await of.bare.commit('bench', put(id, 0));
    await of.guarded.commit(of.space, put(id, 0));
    // A change, unlike a creation, raises a floor as well.
    await timed(times.commit, () => of.bare.commit('bench', put(id, 1)));
    await timed(times.guardedCommit, () => of.guarded.commit(of.space, put(id, 1)));
  }
  return {
    ...{ readMs: round(lowerDecile(times.read)), guardedReadMs: round(lowerDecile(times.guardedRead)) },
    ...{ commitMs: round(lowerDecile(times.commit)), guardedCommitMs: round(lowerDecile(times.guardedCommit)) },
  };
}

async function measure(grants: number): Promise<Row> {
  const redis = await startRedis();
  const rig = await ServedRig.open({ redis });
  const rootKey = Buffer.from(readFileSync(join(rig.directory, 'root.key'), 'utf8'), 'base64');
  const real = await openStore(redis.url);
  try {
    const { store, count } = counting(real);
    const vault = await openVault({ store, kms: openLocalKms({ rootKey }), clock: Date.now });
    const appId = /ALTER_APP_ID=(\S+)/.exec(rig.read('operator.env'))![1]!;
    const app = await vault.app(appId);
    const startedMiB = residentMiB(rig.child.pid!);

    const grantIds: string[] = [];
    const begunAt = performance.now();
    await inParallel(
      Array.from({ length: grants / grantsPerSecret }, (_, index) => index),
      64,
      async (index) => {
        const { secret, grant } = await app.secrets.create({
          draft: {
            name: `secret ${index}`,
            description: null,
            credentialType: 'bearer_token',
            injectionHeader: 'Authorization',
            injectionFormat: 'Bearer {token}',
            injectionRules: [],
            accountIdentifier: null,
            accountDisplayName: null,
            allowedHosts: [rig.target],
            policy: null,
          },
          fields: SecretValue.of({ token: `token-${index}` }),
          baseGrantLabel: 'default',
        });
        grantIds.push(grant.value.id);
        for (let more = 1; more < grantsPerSecret; more++) {
          const made = await app.grants.create({
            secretId: secret.value.id,
            principal: { type: 'system' },
            label: `grant ${more}`,
            description: null,
            expiresAt: null,
          });
          grantIds.push(made.value.id);
        }
      },
    );
    const loadedPerSecond = Math.round((grants * 1_000) / (performance.now() - begunAt));
    const redisMiB = Math.round(Number(/^used_memory:(\d+)/m.exec(await redis.cli('INFO', 'memory'))![1]) / 2 ** 20);

    const model = new ReadModel({ vault, maxStalenessMs: 5_000 });
    await model.findApp(appId);
    const some = Array.from({ length: asked }, (_, index) => grantIds[Math.floor((index * grants) / asked)]!);
    const roundTrips = async (): Promise<number> => {
      const before = count();
      for (const id of some) if ((await model.findGrant(appId, id)) === null) throw new Error('a grant is missing');
      return (count() - before) / asked;
    };
    const coldRoundTrips = await roundTrips();
    const hotRoundTrips = await roundTrips();
    model.close();

    const { key } = await rig.mintKey();
    const { key: otherKey } = await rig.mintKey();
    const ask = async (grantId: string, by: string): Promise<number> => {
      const socket = await connectTo(rig.proxyPort);
      const reader = new AnswerReader(socket);
      const head = [
        `GET https://${rig.target}/ HTTP/1.1`,
        `Host: ${rig.target}`,
        `Proxy-Authorization: ${basic('x', by)}`,
      ];
      const askedAt = performance.now();
      socket.write(`${[...head, `X-Alter-Grant: ${grantId}`].join('\r\n')}\r\n\r\n`);
      const { status } = await reader.next();
      const ms = performance.now() - askedAt;
      socket.destroy();
      if (status !== 200) throw new Error(`a request got ${status}`);
      return ms;
    };
    const inOrder = async (ids: readonly string[], by = key): Promise<number> => {
      const times: number[] = [];
      for (const id of ids) times.push(await ask(id, by));
      return lowerDecile(times);
    };
    // Else the compiler's work on the first requests would count as that of cold grants.
    const warmUp = Array.from({ length: asked }, (_, index) => grantIds[Math.floor(((index + 0.5) * grants) / asked)]!);
    await inOrder(warmUp);
    const coldMs = await inOrder(some);
    // No two keys share a connection to an upstream, so that all is known but that connection.
    const connectingMs = await inOrder(some, otherKey);
    const hotMs = await inOrder(some);
    const servingMiB = residentMiB(rig.child.pid!);

    const timed = async (path: string): Promise<number> => {
      const times: number[] = [];
      for (let turn = 0; turn < 15; turn++) {
        const at = performance.now();
        await rig.admin('GET', path);
        times.push(performance.now() - at);
      }
      return lowerDecile(times);
    };
    const firstPageMs = await timed('/grants?limit=50');
    const lastPageMs = await timed(`/grants?limit=50&offset=${grants - 50}`);
    const guard = await measureGuard({ guarded: vault.store, bare: real, space: appId, grantIds: some });
    const { secretId } = (await app.grants.get(some[0]!)).value;
    const ofOneSecretMs = await timed(`/managed-secrets/${secretId}/grants?limit=50`);
    return {
      ...{ grants, secrets: grants / grantsPerSecret, loadedPerSecond, redisMiB, startedMiB, servingMiB },
      ...{
        coldMs: round(coldMs),
        connectingMs: round(connectingMs),
        hotMs: round(hotMs),
        coldRoundTrips,
        hotRoundTrips,
      },
      ...{ firstPageMs: round(firstPageMs), lastPageMs: round(lastPageMs), ofOneSecretMs: round(ofOneSecretMs), guard },
    };
  } finally {
    await real.close();
    await rig.close();
    await redis.stop();
  }
}

const rows: Row[] = [];
for (const size of sizes) {
  const row = await measure(size);
  rows.push(row);
  process.stdout.write(`${JSON.stringify(row)}\n`);
}
const machine = describeMachine();
const folder = join(import.meta.dirname, 'results');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'scale.json'), `${JSON.stringify({ machine, rows }, null, 2)}\n`);
writeFileSync(
  join(folder, 'scale.md'),
  [
    '# Cost against the number of grants',
    '',
    'One Redis, one process that serves proxy and admin API; of every latency the lowest decile. A request is one over a connection of its own. A cold',
    'one asks for a grant, and mostly a secret, that the process has not seen; a hot one for what it has. Beyond the store, a cold one pays for a new TLS',
    'connection to the upstream, whose other end shares the machine: no two grants and no two keys share one. What that alone takes shows the request',
    'for a hot grant by a key that has not used it yet.',
    '',
    '| grants | secrets | loaded/s | Redis | process at start | process serving | cold grant | hot grant | cold request | hot, new upstream connection | hot request | first page of grants | last page | grants of one secret |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map(
      (row) =>
        `| ${row.grants} | ${row.secrets} | ${row.loadedPerSecond} | ${row.redisMiB} MiB | ${row.startedMiB} MiB | ${row.servingMiB} MiB | ${row.coldRoundTrips} round trips | ${row.hotRoundTrips} | ${row.coldMs} ms | ${row.connectingMs} ms | ${row.hotMs} ms | ${row.firstPageMs} ms | ${row.lastPageMs} ms | ${row.ofOneSecretMs} ms |`,
    ),
    '',
    'What [epochs and floors](../../docs/decisions/0011-epochs-and-floors-against-rollback.md) add to reading one record and to changing one, in the process that asks the store:',
    '',
    '| grants | read, past them | read, held to them | change, past them | change, held to them |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(
      ({ grants, guard }) =>
        `| ${grants} | ${guard.readMs} ms | ${guard.guardedReadMs} ms | ${guard.commitMs} ms | ${guard.guardedCommitMs} ms |`,
    ),
    '',
  ].join('\n'),
);
