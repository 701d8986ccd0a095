/** `npm start`: installs, builds and serves, with an upstream to try it on. Further arguments go to `alter serve`. */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './install.mjs';
import { endAs, runNode } from './run-node.mjs';

const node = ensureInstalled();
ensureBuilt();
// Without the flag SIGUSR1 opens a debugger, which can read every credential.
endAs(
  await runNode(node, [
    '--disable-sigusr1',
    join(root, 'dist', 'cli', 'bin.js'),
    'serve',
    '--with-echo',
    ...process.argv.slice(2),
  ]),
);
