import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';

export default class GrantsShow extends BaseCommand {
  static override operation = 'getGrant';
  static override examples = [
    {
      description: 'Its policy alone',
      command: 'alter grants show 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --fields grant_policy',
    },
  ];
  static override args = { grant: Args.string({ required: true, ignoreStdin: true, description: 'Grant id.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsShow);
    const path = `${this.appPath(flags)}/grants/${pathPart(args.grant, '<grant>')}`;
    this.printObject(await this.openAdmin(flags).get(path), flags);
  }
}
