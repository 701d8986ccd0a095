/** `npm run fuzz`: the fuzz suites for longer. FUZZ_ROUNDS sets how long (20,000 unless given), FUZZ_SEED repeats a run. */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './install.mjs';
import { endAs, runNode } from './run-node.mjs';

process.env.FUZZ_ROUNDS ??= '20000';
const node = ensureInstalled();
ensureBuilt();
process.chdir(root);
const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
endAs(
  await runNode(node, [
    '--disable-warning=ExperimentalWarning',
    '--experimental-vm-modules',
    jest,
    'test/fuzz',
    ...process.argv.slice(2),
  ]),
);
