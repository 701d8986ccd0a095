import { describe, expect, it } from '@jest/globals';
import { alterCommand, runProgram } from './alter.ts';

/** Says on stderr, at the end, which files were loaded: what a command line waits for before it answers. */
const recorder = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  import { writeSync } from 'node:fs';
  const loaded = [];
  registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
  process.on('exit', () => writeSync(2, '\\nloaded ' + JSON.stringify(loaded) + '\\n'));
`)}`;

async function loadedBy(
  words: readonly string[],
): Promise<{ commands: string[]; rooms: string[]; packages: string[] }> {
  const [node, ...rest] = alterCommand;
  const { stderr } = await runProgram(node, ['--import', recorder, ...rest, ...words], {
    env: { ALTER_ADMIN_URL: 'http://127.0.0.1:9' },
  });
  const urls = JSON.parse(/^loaded (.*)$/m.exec(stderr)![1]!) as string[];
  const parts = (pattern: RegExp): string[] => [...new Set(urls.flatMap((url) => pattern.exec(url)?.[1] ?? []).sort())];
  return {
    commands: parts(/\/dist\/cli\/commands\/(.*)\.js$/),
    rooms: parts(/^(?!.*\/node_modules\/).*\/dist\/([a-z]+)\//),
    packages: parts(/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//),
  };
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
