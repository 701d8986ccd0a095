import { describe, expect, it } from '@jest/globals';
import { LoadedModulesRecorder } from '../support/loaded-modules.ts';
import { alterCommand, runProgram } from './alter.ts';

async function loadedBy(
  words: readonly string[],
): Promise<{ commands: string[]; rooms: string[]; packages: string[] }> {
  const recorder = new LoadedModulesRecorder();
  const [node, ...rest] = alterCommand;
  try {
    await runProgram(node, [...recorder.nodeWords, ...rest, ...words], {
      env: { ALTER_ADMIN_URL: 'http://127.0.0.1:9' },
    });
    const { files, rooms, packages } = recorder.threads()[0]!;
    const commands = files.flatMap((file) => /^cli\/commands\/(.*)$/.exec(file)?.[1] ?? []);
    return { commands, rooms: [...rooms], packages: [...packages] };
  } finally {
    recorder.close();
  }
}

describe('a command line', () => {
  it.each([['--help'], ['--version'], ['help'], ['managed-secrets'], ['keys', '--help'], ['no-such-command']])(
    'of `%s %s` loads no command',
    async (...words) => {
      const { commands, rooms } = await loadedBy(words.filter((word) => word !== undefined));
      expect(commands).toEqual([]);
      expect(rooms).toEqual(['cli', 'core']);
    },
  );

  it.each([
    [['apps', 'list'], 'apps/list'],
    [['managed-secrets', 'grants', 'create', '--help'], 'managed-secrets/grants/create'],
    [['serve', '--help'], 'serve'],
    [['keys', 'mint', '--no-such-flag'], 'keys/mint'],
  ])('of %j loads its own command and no other', async (words, own) => {
    const { commands, rooms } = await loadedBy(words);
    expect(commands).toEqual([own]);
    expect(rooms).toEqual(['cli', 'core']);
  });

  it('loads oclif, and no package of the service', async () => {
    const { packages } = await loadedBy(['apps', 'list']);
    expect(packages).toContain('@oclif/core');
    for (const heavy of ['@inquirer/prompts', 'zod', 'yaml', 'koa', 'undici', 'pino', 'ioredis', 'jose'])
      expect(packages).not.toContain(heavy);
  });
});
