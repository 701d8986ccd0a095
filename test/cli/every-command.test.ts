import { beforeAll, describe, expect, it } from '@jest/globals';
import { Command, Config } from '@oclif/core';
import { commandTable } from '../../cli/commands.ts';
import { provideEnvironment } from '../../cli/environment.ts';
import { describeFailure, type Failure } from '../../cli/failure.ts';
import { loadOptions } from '../../cli/main.ts';
import { loadCommand } from '../../cli/offered-commands.ts';
import { issueToken } from '../../core/token.ts';

const commands = await Promise.all(
  Object.keys(commandTable).map(async (id) => {
    const command = await loadCommand(id);
    const flags = Object.keys(command.flags ?? {});
    return { id, command, flags, isRemote: flags.includes('admin-url') };
  }),
);
/** These start something, or look for themselves what there is. */
const local = ['doctor', 'ready', 'run', 'env', 'serve'];
const remote = commands.filter(({ id, isRemote }) => isRemote && !local.includes(id));

let config: Config;
beforeAll(async () => {
  const { pjson, ...options } = loadOptions();
  const { commands: _, ...oclif } = pjson.oclif;
  config = await Config.load({ ...options, pjson: { ...pjson, oclif } });
  Object.defineProperty(process.stdin, 'isTTY', { value: false, configurable: true });
});

/** How it ends, in this process: all commands at once would be a hundred processes. */
async function fail(id: string, words: readonly string[], env: Record<string, string> = {}): Promise<Failure> {
  provideEnvironment({ HOME: '/nonexistent', ...env });
  const command = await loadCommand(id);
  command.id = id;
  try {
    await Command.run.call(command as unknown as new () => Command, [...words], config);
  } catch (error) {
    const failure = describeFailure(error);
    if (failure !== null) return failure;
  }
  throw new Error(`alter ${id} ${words.join(' ')} did not fail`);
}

/** The words of the examples that read nothing from standard input. */
function examplesOf(id: string, examples: readonly unknown[]): string[][] {
  const path = `alter ${id.replaceAll(':', ' ')}`;
  return examples
    .map((example) => (example as { readonly command: string }).command)
    .filter((line) => line.startsWith(path) && !/ -(?: |$)|\|| --token-stdin/.test(line))
    .map((line) => line.slice(path.length).replace(/\s>.*$/, ''))
    .map((line) => [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!));
}

describe('every command', () => {
  it.each(commands)('$id names a flag that it has not, and exits with 2', async ({ id }) => {
    const { exit, detail } = await fail(id, id === 'run' ? ['--no-such-flag=x', '--', 'true'] : ['--no-such-flag=x']);
    expect({ exit, detail }).toEqual({ exit: 2, detail: 'There is no flag --no-such-flag.' });
  });

  it.each(remote)('$id takes each of its examples, and exits with 8 where there is no service', async (of) => {
    const env = {
      ALTER_ADMIN_URL: 'http://127.0.0.1:9',
      ALTER_PAT: issueToken('pat', Date.now()).plaintext,
      ALTER_APP_ID: 'shop',
    };
    const exits: number[] = [];
    for (const words of examplesOf(of.id, of.command.examples)) {
      const { exit, detail } = await fail(of.id, words, env);
      exits.push(exit);
      if (exit === 8)
        expect(detail).toBe("The admin service at http://127.0.0.1:9 can't be reached: connection refused.");
      // What an example can't have here: somebody to ask, and its files.
      else expect(detail).toMatch(/^(?:--confirm|--yes|--token-stdin) is missing|there is no file |can't be read/);
    }
    expect(exits.every((exit) => [8, 2, 4].includes(exit))).toBe(true);
  });

  it.each(remote.filter(({ id }) => id !== 'auth:login' && id !== 'ca:bundle'))(
    '$id exits with 3 where nobody is signed in',
    async ({ id, command }) => {
      const [words = []] = examplesOf(id, command.examples);
      const { exit, detail } = await fail(id, words, { ALTER_APP_ID: 'shop' });
      if (exit === 3) expect(detail).toBe('Not signed in: ALTER_PAT is not set.');
      else expect(detail).toMatch(/^(?:--confirm|--yes|--\S+) is missing|there is no file /);
    },
  );

  it('that prints what the service answers has --output and --fields', () => {
    // A file, lines as they come, a PEM, or nothing.
    const printsItself = [
      'backup:create',
      'audit:export',
      'audit:tail',
      'ca:bundle',
      'apps:delete',
      'identity-providers:delete',
      'managed-secrets:delete',
    ];
    const without = remote.filter(({ flags }) => !(flags.includes('output') && flags.includes('fields')));
    expect(without.map(({ id }) => id).filter((id) => !printsItself.includes(id))).toEqual([]);
  });
});
