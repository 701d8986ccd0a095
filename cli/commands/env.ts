import { BaseCommand } from '../base-command.ts';
import { formatExports } from '../workload-environment.ts';
import { readWorkloadVariables, workloadFlags } from '../workload-flags.ts';

export default class Env extends BaseCommand {
  static override description =
    'The key is part of the proxy address: do not print this into a log. Variables that the shell already has, such as ALTER_PAT, stay as they are; `alter run` takes them away.';
  static override examples = [
    { description: 'For everything that this shell starts', command: 'eval "$(alter env)"' },
    { description: 'With a fixed grant', command: 'alter env --grant 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11' },
  ];
  static override flags = { ...workloadFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(Env);
    this.print(formatExports(await readWorkloadVariables(flags, () => this.openAdmin(flags))));
  }
}
