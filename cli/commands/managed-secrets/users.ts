import { Flags } from '@oclif/core';
import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class ManagedSecretsUsers extends BaseCommand {
  static override operation = 'listUsers';
  static override examples = [
    { description: 'Whose name, email or id holds a word', command: 'alter managed-secrets users --search alice' },
  ];
  static override flags = {
    idp: Flags.string({ description: 'Only those of this identity provider.', helpValue: 'UUID' }),
    search: Flags.string({ description: 'Only those whose name, email or id holds this.', helpValue: 'TEXT' }),
    ...pageFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(ManagedSecretsUsers);
    const { idp, search, limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/users`, { idp, search, limit, offset }),
      {
        noun: 'users',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'email' },
          { field: 'external_id' },
          { field: 'groups' },
          { field: 'last_seen_at' },
        ],
      },
      flags,
    );
  }
}
