import { buildGo, goVersion } from '../compile.ts';
import type { Contender } from '../contender.ts';
import { accepts, findFreePort, startProgram, until } from '../processes.ts';
import { writeAuthority } from './authority.ts';
import { intercepted } from './routes.ts';

export const go: Contender = {
  name: 'go',
  description:
    'go-mitm.go: 150 lines of net/http that open tunnels and set one header; no authentication, policy or audit',
  find: () => {
    const version = goVersion();
    return version === null ? { missing: 'go is not installed' } : { version };
  },
  start: async ({ directory, upstream }) => {
    const authority = await writeAuthority(directory);
    const port = await findFreePort();
    const program = startProgram(
      buildGo('peers/go-mitm.go'),
      [
        ...['-listen', `127.0.0.1:${port}`, '-ca-cert', authority.cert, '-ca-key', authority.key],
        ...['-upstream-ca', upstream.caFile, '-upstream-address', `127.0.0.1:${upstream.port}`],
      ],
      { env: { ...process.env, HEADER_VALUE: `Bearer ${upstream.credential}` } },
    );
    await until(program, () => accepts(port));
    return {
      route: intercepted({ port, upstream, caFile: authority.cert }),
      pids: [program.pid],
      storePids: [],
      stop: () => program.stop(),
    };
  },
};
