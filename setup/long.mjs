/**
 * `npm run test:long`: the suites of `npm test` that repeat one thing, with as many rounds as a night has time for. Each
 * variable may be set to another number; words that are given go to jest. The table in CONTRIBUTING.md says what each does.
 */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './install.mjs';
import { endAs, runNode } from './run-node.mjs';
import { ensureTools } from './system-tools.mjs';

const rounds = {
  ALTER_TAMPER_EVERY_BIT: '1',
  AUDIT_MUTATIONS: '4000',
  CRAWL: 'all',
  EVIL: 'all',
  FC_RUNS: '100000',
  KEY_GUESSES: '5000',
  REBINDING_REQUESTS: '2000',
  REPLAY_RACES: '1000',
  REVOKES: '1000',
  ROOT_KEY_APPS: '2000',
  ROOT_KEY_KILLS: '10',
  SIGNED_BODY_MIB: '16',
  STALLED_ATTACKERS: '1000',
  VICTIM_REQUESTS: '10000',
};
const suites = [
  ...['audit-tampering', 'crawled-api', 'dns-rebinding', 'evil-input', 'key-guessing', 'origin', 'queue-poisoning'],
  ...[
    'replayed-user-token',
    'revocation-latency',
    'root-key-rotation',
    'signing-flood',
    'slow-flood',
    'tampered-records',
  ],
];

for (const [name, value] of Object.entries(rounds)) process.env[name] ??= value;
const node = ensureInstalled();
ensureBuilt();
ensureTools({ 'redis-server': 'redis-server', openssl: 'openssl', curl: 'curl' });
process.chdir(root);
const words = process.argv.slice(2);
endAs(
  await runNode(node, [
    ...['--disable-warning=ExperimentalWarning', '--experimental-vm-modules'],
    ...[join(root, 'node_modules', 'jest', 'bin', 'jest.js'), '--runInBand', '--testTimeout', '3600000'],
    ...(words.length > 0 ? words : suites.map((suite) => `test/.*/${suite}\\.test`)),
  ]),
);
