import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';
import { confirmYes } from '../../../confirm.ts';

export default class GrantsRevoke extends BaseCommand {
  static override operation = 'revokeGrant';
  static override examples = [
    {
      description: 'Without a question, in a script',
      command: 'alter managed-secrets grants revoke 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --yes',
    },
  ];
  static override args = { grant: Args.string({ required: true, ignoreStdin: true, description: 'Grant id.' }) };
  static override flags = { yes: Flags.boolean({ description: 'Do not ask.' }), ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsRevoke);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/grants/${pathPart(args.grant, '<grant>')}/revoke`;
    await confirmYes({ act: `This stops every workload that uses the grant ${args.grant}.`, yes: flags.yes });
    this.printResult(await admin.post(path, {}), flags);
  }
}
