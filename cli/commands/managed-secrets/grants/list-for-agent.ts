import { Args } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand, pageFlags } from '../../../base-command.ts';

export default class GrantsListForAgent extends BaseCommand {
  static override operation = 'listGrantsOfAgent';
  static override description = 'What users lent to it stands in "alter delegations list --agent".';
  static override examples = [
    { description: 'By its name', command: 'alter managed-secrets grants list-for-agent crawler' },
  ];
  static override args = { agent: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsListForAgent);
    const path = `${this.appPath(flags)}/agents/${pathPart(args.agent, '<agent>')}/grants`;
    this.printPage(
      await this.openAdmin(flags).get(path, { limit: flags.limit, offset: flags.offset }),
      {
        noun: 'grants',
        columns: [
          { field: 'grant_id', keep: true },
          { field: 'managed_secret_slug', header: 'SECRET' },
          { field: 'label' },
          { field: 'status' },
          { field: 'expires_at' },
          { field: 'last_used_at' },
        ],
      },
      flags,
    );
  }
}
