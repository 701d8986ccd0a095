import { Args } from '@oclif/core';
import { BaseCommand } from '../base-command.ts';
import { shells, writeCompletion } from '../completion.ts';
import { usageFailure } from '../failure.ts';

export default class Completion extends BaseCommand {
  static override description =
    'It completes commands, flags and the values of flags that have few. It never asks the service.';
  static override examples = [
    { description: 'In ~/.bashrc', command: 'source <(alter completion bash)' },
    { description: 'In ~/.zshrc, after compinit', command: 'source <(alter completion zsh)' },
    { description: 'For fish', command: 'alter completion fish > ~/.config/fish/completions/alter.fish' },
  ];
  static override args = {
    shell: Args.option({
      options: shells,
      ignoreStdin: true,
      description: 'Which shell the script is for.',
    })(),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(Completion);
    if (args.shell === undefined) throw usageFailure('<shell> is missing.', 'Name bash, zsh or fish.');
    this.print(await writeCompletion(args.shell));
  }
}
