import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';
import { confirmYes } from '../../../confirm.ts';

export default class GroupsMembersRemove extends BaseCommand {
  static override operation = 'removeGroupMember';
  static override description =
    'Whom the identity provider itself puts into the group, by their tokens, has to be taken out there.';
  static override examples = [
    {
      description: 'Without a question',
      command: 'alter groups members remove support 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --yes',
    },
  ];
  static override args = {
    group: Args.string({ required: true, ignoreStdin: true, description: 'Id, or external id.' }),
    user: Args.string({ required: true, ignoreStdin: true, description: 'User id.' }),
  };
  static override flags = { yes: Flags.boolean({ description: 'Do not ask.' }), ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GroupsMembersRemove);
    const group = `${this.appPath(flags)}/groups/${pathPart(args.group, '<group>')}`;
    const path = `${group}/members/${pathPart(args.user, '<user>')}`;
    const admin = this.openAdmin(flags);
    await confirmYes({
      act: `This takes the user ${args.user} out of the group ${args.group}, and with it what is granted to the group.`,
      yes: flags.yes,
    });
    const user = await admin.delete(path);
    if (user !== null) this.printResult(user, flags);
  }
}
