import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { startRedis } from '../../test/support/redis.ts';
import { buildOurs, root } from '../compile.ts';
import type { Contender, Surroundings } from '../contender.ts';
import { firstLineOf, startProgram, until } from '../processes.ts';
import { fillAlter } from './fill-alter.ts';
import { intercepted, untouched } from './routes.ts';

interface Variant {
  readonly name: string;
  readonly description: string;
  readonly store?: 'sqlite' | 'redis';
  readonly audit?: 'strict' | 'buffered';
  readonly isBlind?: boolean;
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

function findCommand({ checkout, isFromSource }: Variant): string {
  if (checkout !== undefined) return join(checkout, 'dist/cli/bin.js');
  if (isFromSource === true) return join(root, 'cli/bin.ts');
  built ??= buildOurs();
  return built;
}

async function start(variant: Variant, { directory, upstream, profileDirectory }: Surroundings) {
  const home = variant.checkout ?? root;
  const bin = findCommand(variant);
  const redis = variant.store === 'redis' ? await startRedis({ appendonly: true }) : null;
  const rootKey = randomBytes(32);
  mkdirSync(join(directory, '.alter'), { recursive: true });
  const storeUrl = redis === null ? `sqlite:${join(directory, '.alter', 'alter.db')}` : redis.url;
  const filled = await fillAlter({ home, storeUrl, rootKey, upstream });

  const profiling =
    profileDirectory === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`, '--cpu-prof-interval=200'];
  const program = startProgram(process.execPath, [...profiling, bin, 'serve'], {
    cwd: directory,
    env: {
      PATH: process.env.PATH ?? '',
      ALTER_STORE_URL: storeUrl,
      ALTER_ROOT_KEY: rootKey.toString('base64'),
      ALTER_PROXY_LISTEN: '127.0.0.1:0',
      ALTER_ADMIN_LISTEN: '127.0.0.1:0',
      ALTER_OPS_LISTEN: '127.0.0.1:0',
      ALTER_HOSTS: `${upstream.host}=127.0.0.1,${upstream.blindHost}=127.0.0.1`,
      ALTER_ALLOW_ADDRESSES: `127.0.0.1:${upstream.port}`,
      ALTER_UPSTREAM_CA_FILE: upstream.caFile,
      ALTER_AUDIT: variant.audit ?? 'strict',
      ALTER_MAX_CONNECTIONS: '20000',
      ALTER_MAX_CONNECTIONS_PER_KEY: '20000',
    },
  });
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
            headers: [`X-Alter-Grant: ${filled.grantId}`],
          }),
    pids: [program.pid],
    storePids: redis === null ? [] : [redis.pid],
    stop: async () => {
      await program.stop();
      await redis?.stop();
    },
  };
}
