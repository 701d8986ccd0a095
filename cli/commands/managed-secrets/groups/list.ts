import { Flags } from '@oclif/core';
import { appFlags, BaseCommand, pageFlags } from '../../../base-command.ts';

export default class GroupsList extends BaseCommand {
  static override operation = 'listGroups';
  static override examples = [
    { description: 'Whose name or id holds a word', command: 'alter managed-secrets groups list --search support' },
  ];
  static override flags = {
    idp: Flags.string({ description: 'Only those of this identity provider.', helpValue: 'UUID' }),
    search: Flags.string({ description: 'Only those whose name or id holds this.', helpValue: 'TEXT' }),
    ...pageFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(GroupsList);
    const { idp, search, limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/groups`, { idp, search, limit, offset }),
      {
        noun: 'groups',
        columns: [
          { field: 'id', keep: true },
          { field: 'external_group_id', keep: true },
          { field: 'name' },
          { field: 'member_count', header: 'MEMBERS' },
          { field: 'grant_count', header: 'GRANTS' },
        ],
      },
      flags,
    );
  }
}
