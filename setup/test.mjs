/**
 * `npm test`: installs what the tests need, builds, and runs them all but those of the package and the image, which take a
 * minute and have `npm run test:package`; further arguments go to jest. Fails when a test
 * fails, and also when no test ran or a suite ran none. The last line is `N passed, N failed`.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { hasChartTools } from './chart-tools.mjs';
import { ensureBuilt, ensureInstalled, root } from './install.mjs';
import { runNode } from './run-node.mjs';
import { ensureTools, offerTools } from './system-tools.mjs';

const node = ensureInstalled();
ensureBuilt();
ensureTools({ 'redis-server': 'redis-server', openssl: 'openssl', curl: 'curl' });
// Clients, botocore for a second opinion on signatures, shells, servers that read HTTP in ways of their own, who tells what
// a process dials, and who locks a network namespace.
offerTools({
  programs: {
    aws: 'awscli',
    zsh: 'zsh',
    fish: 'fish',
    nginx: 'nginx-light',
    haproxy: 'haproxy',
    strace: 'strace',
    nft: 'nftables',
    ip: 'iproute2',
  },
  modules: {
    boto3: 'python3-boto3',
    botocore: 'python3-botocore',
    httpx: 'python3-httpx',
    aiohttp: 'python3-aiohttp',
    websockets: 'python3-websockets',
  },
});
// By itself, because apt-get installs nothing where one name of several is unknown, and not every Debian has this one.
offerTools({ programs: { 'chromium-headless-shell': 'chromium-headless-shell' }, modules: {} });

process.chdir(root);
const words = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'alter-test-'));
const report = join(directory, 'results.json');
const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const ended = await runNode(node, [
  ...['--disable-warning=ExperimentalWarning', '--experimental-vm-modules', jest],
  ...[
    '--json',
    `--outputFile=${report}`,
    ...(words.length === 0 ? ['--testPathIgnorePatterns', '/test/package/'] : words),
  ],
]);
const results = readResults();
rmSync(directory, { recursive: true });

const problems = problemsOf(results);
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = ended === 0 && problems.length === 0 ? 0 : typeof ended === 'number' && ended > 0 ? ended : 1;
if (!hasChartTools()) {
  process.stdout.write(
    'Left out: the tests of the rendered chart, which need helm and kubeconform. `node setup/chart-tools.mjs` builds them, with Go.\n',
  );
}
process.stdout.write(`${totalsOf(results)}\n`);

/** Null when jest ended before it had any, as it does when it finds no test. */
function readResults() {
  try {
    return JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return null;
  }
}

/** What jest itself calls a success, and is none. */
function problemsOf(outcome) {
  if (outcome === null || outcome.numPassedTests + outcome.numFailedTests === 0) return ['No test ran.'];
  // Who asks for tests by name means to leave others out.
  if (words.some((word) => /^(-t|--testNamePattern)/.test(word))) return [];
  return outcome.testResults
    .filter(
      ({ assertionResults }) => !assertionResults.some(({ status }) => status === 'passed' || status === 'failed'),
    )
    .map(({ name }) => `No test ran in ${relative(root, name)}.`);
}

/** A suite that could not even be loaded counts as one failure. */
function totalsOf(outcome) {
  if (outcome === null) return '0 passed, 0 failed';
  const failed = outcome.numFailedTests + outcome.numRuntimeErrorTestSuites;
  const skipped = outcome.numPendingTests + outcome.numTodoTests;
  return `${outcome.numPassedTests} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
