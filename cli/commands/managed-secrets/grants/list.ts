import { Args } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand, pageFlags } from '../../../base-command.ts';

export default class GrantsList extends BaseCommand {
  static override operation = 'listGrantsOfSecret';
  static override examples = [
    {
      description: 'Their ids, a line each',
      command: 'alter managed-secrets grants list stripe-live --output jsonl --fields grant_id',
    },
  ];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsList);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}/grants`;
    this.printPage(
      await this.openAdmin(flags).get(path, { limit: flags.limit, offset: flags.offset }),
      {
        noun: 'grants',
        columns: [
          { field: 'grant_id', keep: true },
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
