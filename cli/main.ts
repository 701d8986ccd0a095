import { existsSync, readFileSync } from 'node:fs';
import { run, settings } from '@oclif/core';
import { commands } from './commands.ts';
import { type Environment, provideEnvironment } from './environment.ts';
import { describeFailure, formatFailure, formatFailureJson } from './failure.ts';
import { findCommand } from './find-command.ts';
import { outputFormats } from './present.ts';

/** Runs one command line. Never rejects: what goes wrong is told on stderr and becomes the exit code. */
export async function main(argv: readonly string[], environment: Environment): Promise<void> {
  provideEnvironment(environment);
  // The reader of our output has seen enough (`| head`): that is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  });
  settings.enableAutoTranspile = false; // with NODE_ENV=test or development oclif would look for ts-node
  try {
    const words = argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv];
    const found = findCommand(words, Object.keys(commands));
    await run(found === null ? words : [found.id, ...found.rest], loadOptions());
  } catch (error) {
    const failure = describeFailure(error);
    if (failure === null) return;
    process.exitCode = failure.exit;
    process.stderr.write(wantsJson(argv) ? formatFailureJson(failure) : formatFailure(failure));
    if (failure.code === 'internal_error' && environment.ALTER_DEBUG === '1' && error instanceof Error)
      process.stderr.write(`${error.stack}\n`);
  }
}

/** Read from the words themselves, because the command line that failed may be the one that could not be parsed. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const words = end === -1 ? argv : argv.slice(0, end);
  return outputFormats
    .filter((format) => format !== 'table')
    .some((format) =>
      words.some(
        (word, index) => word === `--output=${format}` || (word === '--output' && words[index + 1] === format),
      ),
    );
}

function loadOptions() {
  const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
  // From the source the manifest is one folder up, from dist/ two.
  const manifest = ['../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url));
  const { name, version, description } = JSON.parse(readFileSync(manifest!, 'utf8')) as Record<
    'name' | 'version' | 'description',
    string
  >;
  return {
    root: import.meta.dirname,
    ignoreManifest: true,
    userPlugins: false,
    devPlugins: false,
    jitPlugins: false,
    pjson: {
      name,
      version,
      description,
      type: 'module',
      oclif: {
        bin: 'alter',
        dirname: 'alter',
        commands: {
          strategy: 'explicit' as const,
          target: `${import.meta.dirname}/commands.${extension}`,
          identifier: 'commands',
        },
        topicSeparator: ' ' as const,
        topics: {
          apps: { description: 'Apps: each owns its secrets, grants and keys.' },
          agents: { description: 'What works by itself, with keys and grants of its own.' },
          delegations: { description: 'What users lent to agents.' },
          'identity-providers': { description: 'Who says which user a request is for.' },
          grants: { description: 'All grants of the app, and why a request would be refused.' },
          policy: { description: 'Rules that restrict a use: of the app, a secret, an agent or a grant.' },
          audit: { description: 'The record of what was done and decided.' },
          auth: { description: 'The login of this user at the admin service.' },
          ca: { description: 'The certificate authority that workloads have to trust.' },
          keys: { description: 'Keys with which workloads prove themselves to the proxy.' },
          'managed-secrets': { description: 'Stored credentials: written once, never read back.' },
          'managed-secrets:groups': { description: 'Groups of users, as an identity provider knows them.' },
          'managed-secrets:grants': { description: 'Who may use a secret.' },
        },
      },
    },
  };
}
