import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { startRedis } from '../../test/support/redis.ts';
import { buildOurs, root } from '../compile.ts';
import type { Contender, Running, Surroundings } from '../contender.ts';
import { findFreePort, firstLineOf, startProgram, until } from '../processes.ts';
import { hostNames } from '../upstream.ts';
import { fillAlter } from './fill-alter.ts';
import { intercepted, untouched } from './routes.ts';

interface Variant {
  readonly name: string;
  readonly description: string;
  readonly store?: 'sqlite' | 'redis';
  readonly audit?: 'strict' | 'buffered';
  readonly isBlind?: boolean;
  readonly credential?: 'bearer' | 'sigv4';
  /** Instead of one, of which every request names the next. */
  readonly grants?: number;
  readonly workers?: number;
  /** Read by Node's HTTP server instead of our own reader. */
  readonly isReadByNode?: boolean;
  /** Another checkout, with its own dist/ and node_modules/. */
  readonly checkout?: string;
  /** Not compiled first: Node strips the types as it loads. For tests, which have no time for a build of their own. */
  readonly isFromSource?: boolean;
}

const features = 'policies at app, secret and grant, sealed state, a key that is proved';

/** Ours: what `alter serve` runs, with everything on that the product promises. */
export const alter = contender({ name: 'alter', description: `SQLite, strict audit, ${features}` });
export const alterBuffered = contender({
  name: 'alter-buffered',
  description: `SQLite, buffered audit, ${features}`,
  audit: 'buffered',
});
export const alterRedis = contender({
  name: 'alter-redis',
  description: `Redis with appendfsync always, strict audit, ${features}`,
  store: 'redis',
});
export const alterRedisBuffered = contender({
  name: 'alter-redis-buffered',
  description: `Redis with appendfsync always, buffered audit, ${features}`,
  store: 'redis',
  audit: 'buffered',
});
export const alterSigV4 = contender({
  name: 'alter-sigv4',
  description: 'as alter, but every request is signed with AWS Signature V4 instead of being given a token',
  credential: 'sigv4',
});
export const alterManyGrants = contender({
  name: 'alter-100k-grants',
  description: 'as alter, with 100,000 grants (of which 50,000 stay in memory): each request names the next one',
  grants: 100_000,
});
export const alterTwoWorkers = contender({ name: 'alter-2-workers', description: 'as alter, two workers', workers: 2 });
export const alterNodeReader = contender({
  name: 'alter-node-reader',
  description: "as alter, with Node's HTTP server as the reader of requests",
  isReadByNode: true,
});
export const alterFromSource = contender({
  name: 'alter-from-source',
  description: `as alter, not compiled first`,
  isFromSource: true,
});
export const tunnel = contender({
  name: 'tunnel',
  description: 'a blind tunnel through ours: bytes pass, TLS is between client and upstream',
  isBlind: true,
});

/** Another version of ours, beside this one in the same rounds. */
export function alterOf(checkout: string, name: string): Contender {
  return contender({ name, description: `as alter, from ${resolve(checkout)}`, checkout: resolve(checkout) });
}

function contender(variant: Variant): Contender {
  return {
    name: variant.name,
    description: variant.description,
    compilesLate: true,
    find: () => {
      if (variant.store === 'redis' && firstLineOf('redis-server', ['--version']) === null)
        return { missing: 'redis-server is not installed' };
      if (variant.checkout !== undefined && !existsSync(join(variant.checkout, 'dist/cli/bin.js')))
        return { missing: `${variant.checkout} has no dist/: run npm run build there` };
      return { version: `alter-egress on Node ${process.version}` };
    },
    start: (surroundings) => start(variant, surroundings),
  };
}

let built: string | undefined;

/** What Node is to run. */
function findCommand({ checkout, isFromSource, isReadByNode }: Variant): string[] {
  if (checkout !== undefined) return [join(checkout, 'dist/cli/bin.js'), 'serve'];
  if (isFromSource === true) return [join(root, 'cli/bin.ts'), 'serve'];
  built ??= buildOurs();
  if (isReadByNode === true) return [join(import.meta.dirname, 'serve-with-node-reader.ts'), join(built, '../..')];
  return [built, 'serve'];
}

/** How `alter serve` is started on a filled store, for who starts it by himself. Without a profile, on SQLite. */
export function findAlterStart(surroundings: Pick<Surroundings, 'directory' | 'upstream'>) {
  return prepare({ name: 'alter', description: '' }, { ...surroundings, profileDirectory: null });
}

/** Fills a store of its own, and says what Node is to run, and where, so that it serves from it. */
async function prepare(variant: Variant, { directory, upstream, coldHosts, profileDirectory }: Surroundings) {
  const command = findCommand(variant);
  const redis = variant.store === 'redis' ? await startRedis({ appendonly: true }) : null;
  const rootKey = randomBytes(32);
  mkdirSync(join(directory, '.alter'), { recursive: true });
  const storeUrl = redis === null ? `sqlite:${join(directory, '.alter', 'alter.db')}` : redis.url;
  const grantsFile = variant.grants === undefined ? null : join(directory, 'grants');
  const filled = await fillAlter({
    ...{ home: variant.checkout ?? root, storeUrl, rootKey, upstream, grantsFile },
    ...{ credential: variant.credential ?? 'bearer', grants: variant.grants ?? 1 },
  });
  const hosts = [...hostNames(upstream, coldHosts), upstream.blindHost].map((name) => `${name}=127.0.0.1`);
  writeFileSync(join(directory, 'hosts'), hosts.join(','));
  const opsPort = await findFreePort();
  const profiling =
    profileDirectory === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`, '--cpu-prof-interval=200'];
  const env = {
    PATH: process.env.PATH ?? '',
    ALTER_STORE_URL: storeUrl,
    ALTER_ROOT_KEY: rootKey.toString('base64'),
    ALTER_PROXY_LISTEN: '127.0.0.1:0',
    ALTER_ADMIN_LISTEN: '127.0.0.1:0',
    ALTER_OPS_LISTEN: `127.0.0.1:${opsPort}`,
    ALTER_HOSTS_FILE: join(directory, 'hosts'),
    ALTER_ALLOW_ADDRESSES: `127.0.0.1:${upstream.port}`,
    ALTER_UPSTREAM_CA_FILE: upstream.caFile,
    ALTER_AUDIT: variant.audit ?? 'strict',
    ALTER_WORKERS: String(variant.workers ?? 1),
    ALTER_MAX_CONNECTIONS: '20000',
    ALTER_MAX_CONNECTIONS_PER_KEY: '20000',
  };
  return { command: [...profiling, ...command], cwd: directory, env, opsPort, redis, filled, grantsFile };
}

async function start(variant: Variant, surroundings: Surroundings): Promise<Running> {
  const { directory, upstream } = surroundings;
  const { command, cwd, env, opsPort, redis, filled, grantsFile } = await prepare(variant, surroundings);
  const program = startProgram(process.execPath, command, { cwd, env });
  const listening = /^\s*proxy\s+http:\/\/127\.0\.0\.1:(\d+)$/m;
  await until(program, () => listening.test(program.output()) && existsSync(join(directory, '.alter', 'ca.pem')));
  const port = Number(listening.exec(program.output())![1]);
  const proxyAuthorization = `Basic ${Buffer.from(`x:${filled.key}`).toString('base64')}`;
  return {
    route:
      variant.isBlind === true
        ? untouched({ upstream, port, proxyAuthorization })
        : intercepted({
            port,
            upstream,
            caFile: join(directory, '.alter', 'ca.pem'),
            proxyAuthorization,
            headers: grantsFile === null ? [`X-Alter-Grant: ${filled.grantId}`] : [],
            grantsFile,
          }),
    pids: [program.pid],
    storePids: redis === null ? [] : [redis.pid],
    ...(variant.isBlind === true ? {} : { opsPort }),
    stop: async () => {
      await program.stop();
      await redis?.stop();
    },
  };
}
