import { Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.ts';
import { getEnvironment } from '../environment.ts';
import { roles, startService } from '../start-service.ts';

export default class Serve extends BaseCommand {
  static override description =
    'Settings come from ALTER_… variables and from the file given with --config. The first start on an empty data directory makes the keys and prints how to go on.';
  static override examples = [
    { description: 'Everything in one process, on the embedded store', command: 'alter serve' },
    {
      description: 'Only the proxy, with a configuration file',
      command: 'alter serve --role proxy --config /etc/alter/alter.yaml',
    },
  ];
  static override flags = {
    role: Flags.option({
      options: roles,
      description: 'What to run; `injector` is the admission webhook of Kubernetes.',
      default: 'all' as const,
    })(),
    config: Flags.string({ description: 'A YAML file with settings under their variable names.', helpValue: 'PATH' }),
    'with-echo': Flags.boolean({
      description: 'Also start a local TLS upstream that echoes what it receives, for a first try.',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve);
    const { role, config } = flags;
    await startService({ role, config, withEcho: flags['with-echo'] === true }, getEnvironment());
  }
}
