/**
 * `npm run bench`: installs the packages where they are missing, and runs the benchmark with the project's Node; arguments
 * go to it (`npm run bench -- --quick`).
 */
import { join } from 'node:path';
import { ensureInstalled, root } from './install.mjs';
import { endAs, runNode } from './run-node.mjs';

const node = ensureInstalled();
process.chdir(root);
endAs(
  await runNode(node, [
    '--disable-warning=ExperimentalWarning',
    join(root, 'bench', 'run.ts'),
    ...process.argv.slice(2),
  ]),
);
