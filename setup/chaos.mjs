/**
 * `npm run chaos`: the store fails at random under load for longer, and is cut off and replaced again and again.
 * TEST_CHAOS_SECONDS (180 unless given) and TEST_FAILOVER_ROUNDS (5) say how long; TEST_SEED repeats an order of faults.
 */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './install.mjs';
import { endAs, runNode } from './run-node.mjs';
import { ensureTools } from './system-tools.mjs';

process.env.TEST_CHAOS_SECONDS ??= '180';
process.env.TEST_FAILOVER_ROUNDS ??= '5';
process.env.TEST_LONG ??= '1';
const node = ensureInstalled();
ensureBuilt();
ensureTools({ 'redis-server': 'redis-server' });
process.chdir(root);
endAs(
  await runNode(node, [
    '--disable-warning=ExperimentalWarning',
    '--experimental-vm-modules',
    join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
    ...['test/e2e/store-chaos', 'test/e2e/store-failover', 'test/e2e/store-faults', '--runInBand'],
    ...process.argv.slice(2),
  ]),
);
