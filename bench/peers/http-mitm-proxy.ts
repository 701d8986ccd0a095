import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender } from '../contender.ts';
import { findFreePort, startProgram, until } from '../processes.ts';
import { howToInstall, httpMitmProxy } from './install.ts';
import { intercepted } from './routes.ts';

export const httpMitm: Contender = {
  name: 'http-mitm-proxy',
  description:
    'http-mitm-proxy on the same Node, with kept upstream connections and a handler that sets one header; the RSA authority that it makes for itself; no authentication, policy or record',
  compilesLate: true,
  slow: true,
  find: () => {
    if (!existsSync(httpMitmProxy)) return { missing: howToInstall };
    const { version } = JSON.parse(readFileSync(join(httpMitmProxy, 'package.json'), 'utf8')) as { version: string };
    return { version: `http-mitm-proxy ${version} on Node ${process.version}` };
  },
  start: async ({ directory, upstream }) => {
    const port = await findFreePort();
    const caFile = join(directory, 'certs', 'ca.pem');
    const program = startProgram(
      process.execPath,
      [join(import.meta.dirname, 'serve-http-mitm-proxy.ts'), httpMitmProxy, String(port), directory],
      {
        env: {
          PATH: process.env.PATH,
          HEADER_VALUE: `Bearer ${upstream.credential}`,
          NODE_EXTRA_CA_CERTS: upstream.caFile,
        },
      },
    );
    await until(program, () => program.output().includes('ready'));
    return {
      route: intercepted({ port, upstream, caFile }),
      pids: [program.pid],
      storePids: [],
      stop: () => program.stop(),
    };
  },
};
