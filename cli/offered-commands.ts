import { Command } from '@oclif/core';
import { commandTable } from './commands.ts';

/** What oclif finds where it looks for commands; {@link offerCommands} fills it before oclif runs. */
export const offeredCommands: Record<string, typeof Command> = {};

/** Offers one command, or, where help on several is to be shown, all of them by their summaries: these can't be run. */
export async function offerCommands(id: string | null): Promise<void> {
  if (id !== null) {
    offeredCommands[id] = await loadCommand(id);
    return;
  }
  for (const [path, [summary]] of Object.entries(commandTable))
    offeredCommands[path] = class extends Command {
      static override summary = summary;

      run(): Promise<never> {
        return Promise.reject(new Error('Only the summary of this command is here.'));
      }
    };
}

/** The command itself, with the summary that the table has. Throws where there is none under this path. */
export async function loadCommand(id: string): Promise<typeof Command> {
  const entry = Object.hasOwn(commandTable, id) ? commandTable[id] : undefined;
  if (entry === undefined) throw new Error(`There is no command ${id}.`);
  const [summary, load] = entry;
  const { default: command } = await load();
  command.summary = summary;
  return command;
}
