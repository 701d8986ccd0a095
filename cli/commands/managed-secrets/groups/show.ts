import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';

const limit = (what: string) =>
  Flags.integer({ description: `How many ${what} at most.`, min: 1, max: 1000, default: 200 });
const offset = (what: string) => Flags.integer({ description: `How many ${what} to skip.`, min: 0, default: 0 });

export default class GroupsShow extends BaseCommand {
  static override operation = 'getGroup';
  static override examples = [
    { description: 'By what its identity provider calls it', command: 'alter managed-secrets groups show support' },
  ];
  static override args = {
    group: Args.string({ required: true, ignoreStdin: true, description: 'Id, or external id.' }),
  };
  static override flags = {
    'member-limit': limit('members'),
    'member-offset': offset('members'),
    'grant-limit': limit('grants'),
    'grant-offset': offset('grants'),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GroupsShow);
    const path = `${this.appPath(flags)}/groups/${pathPart(args.group, '<group>')}`;
    const query = {
      member_limit: flags['member-limit'],
      member_offset: flags['member-offset'],
      grant_limit: flags['grant-limit'],
      grant_offset: flags['grant-offset'],
    };
    this.printObject(await this.openAdmin(flags).get(path, query), flags);
  }
}
