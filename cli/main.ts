import '../core/lean-http.ts';
import { existsSync, readFileSync } from 'node:fs';
import { commandTable, topics } from './commands.ts';
import { type Environment, provideEnvironment } from './environment.ts';
import { describeFailure, formatFailure, formatFailureJson } from './failure.ts';
import { findCommand } from './find-command.ts';
import { outputFormats } from './present.ts';
import { findPlainFlags, startService } from './start-service.ts';

/** Runs one command line. Never rejects: what goes wrong is told on stderr and becomes the exit code. */
export async function main(argv: readonly string[], environment: Environment): Promise<void> {
  provideEnvironment(environment);
  // The reader of our output has seen enough (`| head`): that is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  });
  try {
    const plain = argv[0] === 'serve' ? findPlainFlags(argv.slice(1)) : null;
    if (plain !== null) return await startService(plain, environment);
    const words = argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv];
    const found = findCommand(words, Object.keys(commandTable));
    const [{ run, settings }, { offerCommands }] = await Promise.all([
      import('@oclif/core'),
      import('./offered-commands.ts'),
    ]);
    settings.enableAutoTranspile = false; // with NODE_ENV=test or development oclif would look for ts-node
    await offerCommands(found?.id ?? null);
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

export function loadOptions() {
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
          target: `${import.meta.dirname}/offered-commands.${extension}`,
          identifier: 'offeredCommands',
        },
        topicSeparator: ' ' as const,
        topics: Object.fromEntries(Object.entries(topics).map(([name, description]) => [name, { description }])),
      },
    },
  };
}
