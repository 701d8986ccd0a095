import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';

export default class DelegationsShow extends BaseCommand {
  static override operation = 'getDelegation';
  static override examples = [
    { description: 'By its id', command: 'alter delegations show 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11' },
  ];
  static override args = { delegation: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(DelegationsShow);
    const path = `${this.appPath(flags)}/delegations/${pathPart(args.delegation, '<delegation>')}`;
    this.printObject(await this.openAdmin(flags).get(path), flags);
  }
}
