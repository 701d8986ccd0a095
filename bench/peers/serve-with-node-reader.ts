/** `alter serve` of a build, in whose place Node's HTTP server reads requests. Run as a program: the folder of the build. */
import { join } from 'node:path';

const from = <T>(file: string): Promise<T> => import(join(process.argv[2]!, file)) as Promise<T>;
const { serve } = await from<typeof import('../../serve/main.ts')>('serve/main.js');
const { readHttpWithNode } = await from<typeof import('../../proxy/http/client-message-node.ts')>(
  'proxy/http/client-message-node.js',
);
process.exitCode = await serve({
  role: 'all',
  config: undefined,
  withEcho: false,
  env: process.env,
  readHttp: readHttpWithNode,
});
