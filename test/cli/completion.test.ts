import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { commandTable } from '../../cli/commands.ts';
import { type Shell, shells } from '../../cli/completion.ts';
import { loadCommand } from '../../cli/offered-commands.ts';
import { alter, runProgram } from './alter.ts';

/** What a shell is told, so that it offers on standard output what follows `words`, the last of which is being typed. */
const asking: Readonly<Record<Shell, (script: string, words: readonly string[]) => readonly string[]>> = {
  bash: (script, words) => {
    // As readline does it: = is a word of its own.
    const split = words.flatMap((word) => word.split(/(=)/).filter((part, index) => part !== '' || index === 0));
    return [
      '-c',
      `source '${script}'; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _alter; printf '%s\\n' "\${COMPREPLY[@]}"`,
      'bash',
      ...split,
    ];
  },
  zsh: (script, words) => [
    '-f',
    '-c',
    `compdef() { }; compset() { }; compadd() { shift; print -l -- $@ }; _describe() { print -l -- \${\${(P)2}%%:*} }
     _files() { print -l -- \${words[CURRENT]#@}*(N) }
     source '${script}'; words=("$@"); CURRENT=$#; _alter`,
    'zsh',
    ...words,
  ],
  fish: (script, words) => ['--no-config', '-c', `source '${script}'; complete -C '${words.join(' ')}'`],
};

describe.each(shells)('the completion of %s', (shell) => {
  const isThere = spawnSync(shell, ['--version']).error === undefined;
  const whereThere = isThere ? it : it.skip;
  const folder = mkdtempSync(join(tmpdir(), 'alter-completion-'));
  const script = join(folder, 'script');

  beforeAll(async () => {
    const { code, stdout, stderr } = await alter(['completion', shell]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    writeFileSync(script, stdout);
    writeFileSync(join(folder, 'policy file.json'), '{}');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function offered(...words: string[]): Promise<string[]> {
    const { code, stdout, stderr } = await runProgram(shell, asking[shell](script, ['alter', ...words]), {
      cwd: folder,
      env: { HOME: folder },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const typed = words.at(-1) ?? '';
    const lines = stdout.split('\n').map((line) => line.split('\t')[0]!);
    return lines.filter((line) => line !== '' && (shell === 'bash' || line.startsWith(typed)));
  }

  whereThere('offers the commands and groups, each once', async () => {
    const roots = [...new Set(Object.keys(commandTable).map((id) => id.split(':')[0]!))];
    expect((await offered('')).filter((word) => !word.startsWith('-')).sort()).toEqual(roots.sort());
    expect(await offered('managed-secrets', 'gr')).toEqual(['grants', 'groups']);
    expect(await offered('managed-secrets', 'grants', 'up')).toEqual(['update']);
  });

  whereThere('offers every flag of a command', async () => {
    const flags = Object.keys((await loadCommand('keys:mint')).flags ?? {}).map((name) => `--${name}`);
    expect((await offered('keys', 'mint', '--')).sort()).toEqual([...flags, '--help'].sort());
    expect(await offered('managed-secrets', 'show', 'stripe-live', '--out')).toEqual(['--output']);
  });

  whereThere('offers the values of a flag that has few', async () => {
    expect((await offered('keys', 'mint', '--key-type', '')).sort()).toEqual(['agent', 'runtime']);
    expect(await offered('apps', 'list', '--output', 'jsonl')).toEqual(['jsonl']);
    expect((await offered('completion', '')).filter((word) => !word.startsWith('-')).sort()).toEqual(
      [...shells].sort(),
    );
  });

  whereThere('offers no flag where a value is to be typed', async () => {
    expect((await offered('keys', 'mint', '--name', '--')).filter((word) => word === '--name')).toEqual([]);
  });
});

describe('the completion', () => {
  it('in bash offers files behind @, values behind =, and programs behind --', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'alter-completion-'));
    const script = join(folder, 'script');
    try {
      writeFileSync(script, (await alter(['completion', 'bash'])).stdout);
      writeFileSync(join(folder, 'policy file.json'), '{}');
      const offered = async (...words: string[]): Promise<string[]> => {
        const { stdout } = await runProgram('bash', asking.bash(script, ['alter', ...words]), { cwd: folder });
        return stdout.trimEnd().split('\n');
      };
      expect(await offered('policy', 'set', '--policy', '@pol')).toEqual(['@policy file.json']);
      expect(await offered('apps', 'list', '--output=')).toEqual(['table', 'json', 'jsonl']);
      expect(await offered('apps', 'list', '--output=jsonl')).toEqual(['jsonl']);
      expect(await offered('run', '--', 'bas')).toContain('bash');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names the shells that it knows where another is asked for, or none', async () => {
    for (const words of [['completion'], ['completion', 'tcsh']]) {
      const { code, stdout, stderr } = await alter(words);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(/bash.*zsh.*fish/s);
    }
  });
});
