import { Args } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';

export default class GroupsMembersAdd extends BaseCommand {
  static override operation = 'addGroupMember';
  static override description =
    'They stay in it whatever their tokens say, until "alter groups members remove". User and group have to be of one identity provider.';
  static override examples = [
    {
      description: 'By the id of the user',
      command: 'alter groups members add support 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11',
    },
  ];
  static override args = {
    group: Args.string({ required: true, ignoreStdin: true, description: 'Id, or external id.' }),
    user: Args.string({ required: true, ignoreStdin: true, description: 'User id.' }),
  };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GroupsMembersAdd);
    const group = `${this.appPath(flags)}/groups/${pathPart(args.group, '<group>')}`;
    const path = `${group}/members/${pathPart(args.user, '<user>')}`;
    this.printResult(await this.openAdmin(flags).put(path, null), flags);
  }
}
