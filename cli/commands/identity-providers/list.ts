import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class IdentityProvidersList extends BaseCommand {
  static override operation = 'listIdentityProviders';
  static override examples = [{ description: 'All of them', command: 'alter identity-providers list' }];
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(IdentityProvidersList);
    const { limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/identity-providers`, { limit, offset }),
      {
        noun: 'identity providers',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'issuer' },
          { field: 'audience' },
          { field: 'created_at' },
        ],
      },
      flags,
    );
  }
}
