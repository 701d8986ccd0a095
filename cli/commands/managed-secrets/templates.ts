import { Flags } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags, pageFlags } from '../../base-command.ts';

export default class ManagedSecretsTemplates extends BaseCommand {
  static override operation = 'listTemplates';
  static override description =
    'With --template ID, create takes the type, the headers and the allowed hosts from here; what you say yourself wins.';
  static override examples = [
    { description: 'All of them', command: 'alter managed-secrets templates' },
    { description: 'By id, name or host', command: 'alter managed-secrets templates --search datadog' },
    {
      description: 'What a template fills in',
      command: 'alter managed-secrets templates --search trello --output json',
    },
  ];
  static override flags = {
    search: Flags.string({ description: 'Only those whose id, name or hosts hold this.', helpValue: 'TEXT' }),
    ...pageFlags,
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(ManagedSecretsTemplates);
    const { search, limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get('/v1/templates', { search, limit, offset }),
      {
        noun: 'templates',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'credential_type', header: 'TYPE' },
          { field: 'allowed_hosts', header: 'HOSTS' },
        ],
      },
      flags,
    );
  }
}
