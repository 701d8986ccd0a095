import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmYes } from '../../confirm.ts';

export default class DelegationsRevoke extends BaseCommand {
  static override operation = 'revokeDelegation';
  static override examples = [
    {
      description: 'Without a question, in a script',
      command: 'alter delegations revoke 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --yes',
    },
  ];
  static override args = { delegation: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = { yes: Flags.boolean({ description: 'Do not ask.' }), ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(DelegationsRevoke);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/delegations/${pathPart(args.delegation, '<delegation>')}/revoke`;
    await confirmYes({ act: `This stops the agent that uses the delegation ${args.delegation}.`, yes: flags.yes });
    this.printResult(await admin.post(path, {}), flags);
  }
}
