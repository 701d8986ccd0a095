import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';

export default class UsersShow extends BaseCommand {
  static override operation = 'getUser';
  static override examples = [
    { description: 'Their groups', command: 'alter users show 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --fields groups' },
  ];
  static override args = { user: Args.string({ required: true, ignoreStdin: true, description: 'User id.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(UsersShow);
    const path = `${this.appPath(flags)}/users/${pathPart(args.user, '<user>')}`;
    this.printObject(await this.openAdmin(flags).get(path), flags);
  }
}
