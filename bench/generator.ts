import { spawn } from 'node:child_process';
import type { Load } from './case.ts';
import { buildGenerator } from './compile.ts';
import type { Route } from './contender.ts';
import type { LoadResult } from './sample.ts';

/**
 * Runs the generator over one route. `atReady` is called when all its connections are open and have had an answer, before
 * the measured part begins. Rejects where no result came; a result with errors is a result.
 */
export async function generate(of: {
  readonly load: Load;
  readonly route: Route;
  readonly seconds: number;
  readonly atReady: () => void | Promise<void>;
}): Promise<LoadResult> {
  const { load, route } = of;
  const options = [...words(load, route, of.seconds), ...(load.cold === true ? coldWords(route, load) : [])];
  const child = spawn(buildGenerator(), options, { stdio: ['pipe', 'pipe', 'pipe'] });
  let printed = '';
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  child.stdin.on('error', () => {}); // it ended before it was told to go; its result says why
  const ready = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      if (printed.startsWith('ready\n')) resolve();
    });
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  try {
    await Promise.race([ready, ended]);
    if (printed.startsWith('ready\n')) {
      await of.atReady();
      child.stdin.write('go\n');
    }
    await ended;
  } finally {
    process.off('exit', kill);
    kill();
  }
  const line = printed.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`the generator gave no result: ${complaints}`);
  const result = JSON.parse(line) as LoadResult;
  if (load.cold === true) usedHosts.set(route, (usedHosts.get(route) ?? 0) + result.handshakes + result.errors);
  return result;
}

/** How many of the cold hosts were asked for over a route. */
const usedHosts = new WeakMap<Route, number>();

/** The number of the first host that nobody asked for. One run uses a few more hosts than it completes handshakes. */
function coldWords(route: Route, { connections }: Load): string[] {
  const next = (usedHosts.get(route) ?? 0) + connections + 1;
  usedHosts.set(route, next);
  return ['--cold', String(next)];
}

function words(load: Load, route: Route, seconds: number): string[] {
  const option = (name: string, value: string | number | null | undefined): string[] =>
    value === null || value === undefined ? [] : [`--${name}`, String(value)];
  return [
    ...option('port', route.port),
    ...option('connect', route.connect?.authority),
    ...option('proxy-authorization', route.connect?.proxyAuthorization),
    ...option('name', route.name),
    ...option('host', route.host),
    ...option('ca', route.caFile),
    ...route.headers.flatMap((header) => option('header', header)),
    ...option('grants', route.grantsFile),
    ...option('mode', load.mode),
    ...(load.firstByte === true ? ['--first-byte'] : []),
    ...(load.resume === true ? ['--resume'] : []),
    ...option('connections', load.connections),
    ...option('seconds', seconds),
    ...option('method', load.method),
    ...option('path', load.path),
    ...option('upload', load.uploadBytes),
    ...option('expect', load.expectBytes),
  ];
}
