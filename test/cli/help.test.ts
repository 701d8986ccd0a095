import { describe, expect, it } from '@jest/globals';
import { Command } from '@oclif/core';
import { commandTable, topics } from '../../cli/commands.ts';
import { loadCommand } from '../../cli/offered-commands.ts';
import { alter } from './alter.ts';

const commands = await Promise.all(
  Object.entries(commandTable).map(async ([id, [summary]]) => ({ id, summary, command: await loadCommand(id) })),
);

describe('the help', () => {
  it('lists the commands, without a server and without a token', async () => {
    for (const words of [[], ['--help'], ['help']]) {
      const { code, stdout } = await alter(words);
      expect(code).toBe(0);
      expect(stdout).toMatch(/managed-secrets[\s\S]*run +Run a command/);
    }
  });

  it('shows a topic and a command', async () => {
    expect((await alter(['managed-secrets', 'grants'])).stdout).toContain('managed-secrets grants revoke');
    const { code, stdout } = await alter(['run', '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('$ alter run [--grant G]');
    expect(stdout).toContain(commandTable.run![0]);
  });

  it.each(commands)('of $id has a summary that is a sentence, and an example', ({ id, summary, command }) => {
    expect(summary).toMatch(/^[A-Z].*\.$/);
    const path = `alter ${id.replaceAll(':', ' ')}`;
    const examples = command.examples.map((example) => (typeof example === 'string' ? example : example.command));
    expect(examples.some((example) => example.includes(path))).toBe(true);
  });

  it.each(commands)('of $id describes every flag and argument', ({ command }) => {
    for (const [name, { description }] of Object.entries({ ...command.flags, ...command.args }))
      expect(`${name}: ${description}`).toMatch(/: [A-Z].*\.$/);
  });

  it('has a sentence for every group of commands', () => {
    const groups = Object.keys(commandTable).flatMap((id) => {
      const words = id.split(':').slice(0, -1);
      return words.map((_, index) => words.slice(0, index + 1).join(':'));
    });
    expect(Object.keys(topics).sort()).toEqual([...new Set(groups)].sort());
    for (const description of Object.values(topics)) expect(description).toMatch(/^[A-Z].*\.$/);
  });

  it('takes the summary of a command from the table, where no other is', async () => {
    const own = await Promise.all(
      Object.values(commandTable).map(async ([summary, load]) => {
        const { default: command } = await load();
        return [summary, command.summary, command.prototype instanceof Command];
      }),
    );
    for (const [summary, found, isCommand] of own) {
      expect(isCommand).toBe(true);
      expect([undefined, summary]).toContain(found);
    }
  });

  it('tells the version', async () => {
    expect((await alter(['--version'])).stdout).toMatch(/^alter-egress\/\d+\.\d+\.\d+ /);
  });
});
