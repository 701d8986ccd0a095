/**
 * `npm run chaos`: the store fails at random under load for longer, and is cut off and replaced again and again, and the
 * service is killed. TEST_CHAOS_SECONDS (180 unless given), TEST_FAILOVER_ROUNDS (5),
 * TEST_CLUSTER_ROUNDS (10), STORE_HANGS_SECONDS (60) and TEST_KILL_ROUNDS (200) say how long; TEST_SEED repeats an order of faults.
 */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './install.mjs';
import { endAs, runNode } from './run-node.mjs';
import { ensureTools } from './system-tools.mjs';

process.env.TEST_CHAOS_SECONDS ??= '180';
process.env.TEST_FAILOVER_ROUNDS ??= '5';
process.env.TEST_KILL_ROUNDS ??= '200';
process.env.TEST_CLUSTER_ROUNDS ??= '10';
process.env.TEST_LONG ??= '1';
process.env.STORE_HANGS_SECONDS ??= '60';
const node = ensureInstalled();
ensureBuilt();
ensureTools({ 'redis-server': 'redis-server' });
process.chdir(root);
endAs(
  await runNode(node, [
    '--disable-warning=ExperimentalWarning',
    '--experimental-vm-modules',
    join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
    ...[
      'test/e2e/store-chaos',
      'test/e2e/store-cluster',
      'test/e2e/store-failover',
      'test/e2e/store-fault',
      'test/e2e/killed-service',
      '--runInBand',
    ],
    ...process.argv.slice(2),
  ]),
);
