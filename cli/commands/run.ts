import { BaseCommand } from '../base-command.ts';
import { getEnvironment } from '../environment.ts';
import { usageFailure } from '../failure.ts';
import { runWithoutOurs } from '../run-child.ts';
import { workloadEnvironment } from '../workload-environment.ts';
import { readWorkloadVariables, workloadFlags } from '../workload-flags.ts';

export default class Run extends BaseCommand {
  static override description =
    'The command gets the proxy, the key and a bundle of the trusted CAs in its environment, and nothing that begins with ALTER_. Its exit code is passed on; 127 means that there is no such command.';
  static override usage = 'run [--grant G] [--key-file F] [--proxy-url URL] [--ca FILE] -- CMD...';
  static override examples = [
    { description: 'The grant that fits the host', command: 'alter run -- curl -s https://api.stripe.com/v1/charges' },
    {
      description: 'One grant for all that the program does',
      command:
        'alter run --grant 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --key-file /run/secrets/alter-key -- python worker.py',
    },
  ];
  static override strict = false;
  static override flags = { ...workloadFlags };

  async run(): Promise<void> {
    // Split by hand: oclif sorts what follows the -- by first occurrence, which turns `a b a` into `a a b`.
    const end = this.argv.indexOf('--');
    const [command, ...words] = end === -1 ? [] : this.argv.slice(end + 1);
    const { flags, argv } = await this.parse(Run, end === -1 ? this.argv : this.argv.slice(0, end));
    if (argv.length > 0)
      throw usageFailure(
        `There is an argument too many: ${argv.join(' ')}`,
        'Put the command behind --: alter run -- CMD',
      );
    if (command === undefined) throw usageFailure('There is no command to run.', 'Put it behind --: alter run -- CMD');
    const variables = await readWorkloadVariables(flags, () => this.openAdmin(flags));
    if (variables.NO_PROXY?.split(',').includes('*') === true)
      this.warning('NO_PROXY holds *, so most programs will not use the proxy.');
    process.exitCode = await runWithoutOurs(command, words, workloadEnvironment(getEnvironment(), variables));
  }
}
