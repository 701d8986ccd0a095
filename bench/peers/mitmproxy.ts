import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender } from '../contender.ts';
import { accepts, findFreePort, firstLineOf, startProgram, until } from '../processes.ts';
import { howToInstall, mitmdump } from './install.ts';
import { intercepted } from './routes.ts';

export const mitmproxy: Contender = {
  name: 'mitmproxy',
  description:
    'mitmdump with an addon that sets one header and streams bodies; the RSA authority that it makes for itself; no authentication, policy or record',
  slow: true,
  find: () => {
    if (!existsSync(mitmdump)) return { missing: howToInstall };
    return { version: firstLineOf(mitmdump, ['--version'], /^Mitmproxy/) ?? 'unknown' };
  },
  start: async ({ directory, upstream }) => {
    const home = join(directory, 'mitmproxy');
    const port = await findFreePort();
    const program = startProgram(
      mitmdump,
      [
        ...['-q', '--listen-host', '127.0.0.1', '--listen-port', String(port)],
        ...['-s', join(import.meta.dirname, 'mitmproxy-addon.py')],
        ...[
          `confdir=${home}`,
          `ssl_verify_upstream_trusted_ca=${upstream.caFile}`,
          'upstream_cert=false',
          'connection_strategy=lazy',
          'http2=false',
        ].flatMap((setting) => ['--set', setting]),
      ],
      {
        env: { ...process.env, HEADER_VALUE: `Bearer ${upstream.credential}`, UPSTREAM_PORT: String(upstream.port) },
      },
    );
    await until(program, () => accepts(port));
    return {
      route: intercepted({ port, upstream, caFile: join(home, 'mitmproxy-ca-cert.pem') }),
      pids: [program.pid],
      storePids: [],
      stop: () => program.stop(),
    };
  },
};
