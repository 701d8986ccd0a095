import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class GrantsList extends BaseCommand {
  static override operation = 'listGrants';
  static override examples = [
    {
      description: 'Which secret each is for',
      command: 'alter grants list --fields grant_id,managed_secret_slug,label',
    },
  ];
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(GrantsList);
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/grants`, { limit: flags.limit, offset: flags.offset }),
      {
        noun: 'grants',
        columns: [
          { field: 'grant_id', keep: true },
          { field: 'managed_secret_slug', header: 'SECRET' },
          { field: 'label' },
          { field: 'principal_type', header: 'PRINCIPAL' },
          { field: 'status' },
          { field: 'expires_at' },
          { field: 'last_used_at' },
        ],
      },
      flags,
    );
  }
}
