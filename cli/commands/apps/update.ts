import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { givenFields } from '../../given-fields.ts';

export default class AppsUpdate extends BaseCommand {
  static override operation = 'updateApp';
  static override examples = [
    { description: 'Only requests with a grant leave', command: 'alter apps update billing --egress-mode deny' },
    { description: 'Another name', command: 'alter apps update billing --name invoices' },
  ];
  static override args = { app: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = {
    name: Flags.string({ description: 'Its new name, unique among the apps.' }),
    'egress-mode': Flags.option({
      options: ['tunnel', 'deny', 'inherit'] as const,
      description:
        'What traffic without a grant gets: passed through untouched, refused, or what ALTER_EGRESS_MODE of the service says.',
    })(),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AppsUpdate);
    const mode = flags['egress-mode'];
    const body = givenFields({ name: flags.name, egress_mode: mode === 'inherit' ? null : mode });
    if (Object.keys(body).length === 0)
      throw usageFailure('There is nothing to change.', 'Give --name or --egress-mode.');
    this.printResult(await this.openAdmin(flags).patch(`/v1/apps/${pathPart(args.app, '<app>')}`, body), flags);
  }
}
