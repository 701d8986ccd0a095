import { describe, expect, it } from '@jest/globals';
import { commands } from '../../cli/commands.ts';
import { alter } from './alter.ts';

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
  });

  it.each(Object.entries(commands))('of %s has a summary that is a sentence, and an example', (id, command) => {
    expect(command.summary).toMatch(/^[A-Z].*\.$/);
    const path = `alter ${id.replaceAll(':', ' ')}`;
    expect(command.examples.some((example) => example.command.includes(path))).toBe(true);
  });

  it.each(Object.entries(commands))('of %s describes every flag and argument', (_, command) => {
    for (const [name, { description }] of Object.entries({ ...command.flags, ...command.args }))
      expect(`${name}: ${description}`).toMatch(/: [A-Z].*\.$/);
  });

  it('tells the version', async () => {
    expect((await alter(['--version'])).stdout).toMatch(/^alter-egress\/\d+\.\d+\.\d+ /);
  });
});
